"""An asynchronous history cut into blocks, for methods whose papers speak of rounds.

Where updates enter one by one there are no rounds. A block is a run of as many consecutive updates as clients have contributed, one a
client on average; what a client added within it, summed, stands for its update in that round. Nothing is divided by the number of
clients, as a share already holds the server's step: a block's change of the model is the sum of its shares.
"""

from __future__ import annotations

from collections.abc import Sequence

from afuic.erase.ledger import client_of
from afuic.erase.rounds import Past
from afuic.params import Params, add

Block = tuple[Past, ...]


def contributors(history: Sequence[Past]) -> int:
    """How many clients have contributed to the history, whichever of their data epochs it was in."""
    return len({client_of(past.contributor) for past in history})


def blocks(history: Sequence[Past]) -> tuple[Block, ...]:
    """The history in its order, in blocks of ``contributors`` updates; the last may be shorter."""
    size = contributors(history)
    return tuple(tuple(history[i : i + size]) for i in range(0, len(history), size)) if size else ()


def by_client(block: Sequence[Past]) -> dict[str, Params]:
    """What each client added within the block, in the order of their first update in it."""
    sums: dict[str, Params] = {}
    for past in block:
        name = client_of(past.contributor)
        sums[name] = add(sums[name], past.share) if name in sums else past.share
    return sums
