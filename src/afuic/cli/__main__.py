"""``python -m afuic.cli``: the same command where its script is not on the path."""

from afuic.cli import main

main()
