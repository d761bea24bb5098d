"""Setting up and running a federation: its files, its keys, its processes. It decides nothing about models or erasure."""
