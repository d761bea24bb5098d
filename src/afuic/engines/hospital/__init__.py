"""What runs at a hospital, whatever engine carries its messages: its desk does the tasks that come in, on its own images.

Nothing in here knows an engine, a database or the server's address but the one it asks whether to go on. What leaves the hospital is what
``Desk.perform`` returns and what ``withdrawals`` gives to say: model changes, scores, digests and counts.
"""
