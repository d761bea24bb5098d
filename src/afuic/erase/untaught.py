"""Classes that nobody who stays has ever taught: what the server must not hand back when it heals with a teacher that knew them.

A client without images of class j trains with cross-entropy on features h ≥ 0 (a ReLU before the last linear layer). Its gradient with
respect to row j of that layer is the mean of p_j h, which is nowhere negative; clipping and momentum keep the sign. So all that it
ever contributed to the row is nowhere positive, but for weight decay, and the ledger tells it from a client that had such images
(decision 0020). Where features may be negative, no row looks like that and no class is found.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from afuic.erase.ledger import Contributor, Ledger

SHARE = 3e-4
"""Of what a client moved a row, at most so much is upward where it never taught the class. Measured: at most 1.5e-4 without an image of it,
at least 4.4e-4 with 20 or more (decision 0020). Weight decay adds to it with time; where it adds more, no class is found."""


def untaught(ledger: Ledger, names: Iterable[Contributor], head: str) -> tuple[int, ...]:
    """The classes, in order, of which no contributor named has had images, by their contributions to ``head``.

    ``head``: the weight [classes, d] of the last linear layer. None are found where a name has contributed nothing yet, or nobody is named.
    """
    names = tuple(names)
    if not names or any(name not in ledger.clients for name in names):
        return ()
    rows = torch.stack([ledger.clients[name][head] for name in names])
    up, moved = rows.clamp(min=0).sum(dim=2), rows.abs().sum(dim=2)
    if not moved.any(dim=1).all():
        return ()
    never = (moved > 0) & (up <= SHARE * moved)
    return tuple(int(index) for index in never.all(dim=0).nonzero().flatten())
