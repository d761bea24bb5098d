"""A federation that runs in real time: the server's loop around ``protocol.step``, whatever engine carries its messages.

The driver decides nothing: it turns what the world does into events, makes each durable before anybody is told, and hands effects to a
transport (``engines.flower``, or the stand-in of the tests). What it knows is in the store; a driver that starts goes on from there.
"""
