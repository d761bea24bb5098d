"""Which processes the server and a hospital consist of, what each waits for, and how to tell that it is there."""

from __future__ import annotations
