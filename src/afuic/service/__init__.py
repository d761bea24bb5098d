"""The server's HTTP API: how an erasure is asked for, and what may be seen of the federation."""
