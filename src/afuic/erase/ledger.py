"""Who put what into the model: the ledger that makes removal a subtraction.

At every version  θ_t = θ_0 + Σ_k C_k + S  (design section 2). C is kept per contributor, a client in one of its data epochs: when
patients withdraw, the client goes on in a new epoch and what it contributed before stays separable. S, the server's own steps
(healing, guarding), is kept per set of contributors that its teachers had learned from, because a later erasure of one of
them has to answer for it: by taking it out, or by saying that it was kept. Cost: one model-sized tensor per contributor and per such set,
no history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from afuic.params import Params, add, sub, total

K = TypeVar("K")
Contributor = str
"""``client@epoch``."""


def contributor(client: str, epoch: int) -> Contributor:
    """The ledger's name of a client in one of its data epochs."""
    return f"{client}@{epoch}"


def client_of(name: Contributor) -> str:
    """The client of a contributor."""
    return name.rpartition("@")[0]


@dataclass(frozen=True)
class Ledger:
    """θ_0, the contributions C, and the server's steps S keyed by the sorted contributors their teachers contained."""

    origin: Params
    clients: Mapping[Contributor, Params]
    server: Mapping[tuple[Contributor, ...], Params]

    def contribute(self, name: Contributor, share: Params) -> Ledger:
        """Add a share to one contributor's C."""
        return replace(self, clients=_accumulate(self.clients, name, share))

    def serve(self, contained: Iterable[Contributor], delta: Params) -> Ledger:
        """Add a step of the server's own, made with a teacher that had learned from ``contained``."""
        return replace(self, server=_accumulate(self.server, tuple(sorted(set(contained))), delta))

    def of(self, names: Iterable[Contributor]) -> Params:
        """Σ C over the contributors named; zeros for those that never contributed."""
        return total((self.clients[n] for n in sorted(set(names)) if n in self.clients), self.origin)

    def answerable(self, names: Iterable[Contributor]) -> Params:
        """Σ of the server's steps whose teachers contained any of ``names``."""
        wanted = set(names)
        return total((self.server[k] for k in sorted(self.server) if wanted & set(k)), self.origin)

    def without(self, names: Iterable[Contributor], *, server: bool) -> Ledger:
        """The ledger after these contributors left; with ``server``, after the steps that answer for them left too.

        Without, those steps become one sum under all whom their teachers had learned from: many erasures do not make many sums.
        """
        gone = set(names)
        clients = {n: c for n, c in self.clients.items() if n not in gone}
        answering = [k for k in sorted(self.server) if gone & set(k)]
        kept = {k: s for k, s in self.server.items() if k not in answering}
        if answering and not server:
            kept[tuple(sorted({n for k in answering for n in k}))] = total((self.server[k] for k in answering), self.origin)
        return replace(self, clients=clients, server=kept)

    def merge(self, names: Iterable[Contributor], into: Contributor) -> Ledger:
        """Book the contributions of ``names`` under ``into``; the model is unchanged."""
        old = [n for n in names if n in self.clients]
        moved = self._but(old)
        for name in old:
            moved = moved.contribute(into, self.clients[name])
        return moved

    def overwrite(self, names: Iterable[Contributor], contained: Iterable[Contributor], delta: Params) -> Ledger:
        """Add a step that makes the model another one, without the data of ``names``; ``contained`` is whom that one had learned from.

        What ``names`` had contributed is undone by the step, so that the two belong together: one without the other would bring it back.
        """
        return self._but(names).serve(contained, add(self.of(names), delta))

    def _but(self, names: Iterable[Contributor]) -> Ledger:
        gone = set(names)
        return replace(self, clients={n: c for n, c in self.clients.items() if n not in gone})

    def contributors(self) -> tuple[Contributor, ...]:
        """Whoever is in the sum, with a contribution that can be told from the rest. A server optimizer that is not linear leaves none."""
        return tuple(sorted(self.clients))

    def taught_by(self) -> tuple[Contributor, ...]:
        """Whoever the teachers of the server's steps had learned from. They may have left the sum since."""
        return tuple(sorted({name for key in self.server for name in key}))

    def contained(self) -> tuple[Contributor, ...]:
        """Both together: whoever a model with this ledger may still know something of, so that a teacher with it hands that on."""
        return tuple(sorted({*self.contributors(), *self.taught_by()}))

    def rebuilt(self) -> Params:
        """θ_0 + Σ C + S, summed in the order of the names."""
        model: Params = self.origin
        for name in sorted(self.clients):
            model = add(model, self.clients[name])
        for key in sorted(self.server):
            model = add(model, self.server[key])
        return model

    def residual(self, model: Params) -> float:
        """Largest absolute entry of θ − (θ_0 + Σ C + S), relative to 1 + the largest entry of θ. Rounding only: < 1e-4."""
        gap = max(float(t.abs().max()) for t in sub(model, self.rebuilt()).values())
        return gap / (1.0 + max(float(t.abs().max()) for t in model.values()))


def _accumulate(parts: Mapping[K, Params], key: K, delta: Params) -> dict[K, Params]:
    return {**parts, key: add(parts[key], delta) if key in parts else delta}
