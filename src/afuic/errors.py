"""Every error afuic raises on purpose, so that a caller can catch one class and a user sees one sentence.

AfuicError
├── ConfigError            a configuration value is unknown, impossible or contradictory
├── DataError              a data set is missing, corrupt, or would leak
│   ├── ChecksumError      bytes differ from the published checksum
│   ├── ManifestError      a user's manifest or npz is malformed
│   └── LeakError          images are shared between sets that must be disjoint
├── ModelError             a network cannot be used with a contribution ledger
├── JsonError              bytes or a text from outside are not JSON as afuic reads it
├── ParamsError            parameters of the wrong names, shapes, types, or not finite
├── ScoresError            a hospital's scores of a model are not what scores can be
├── ProtocolError          an event that the protocol does not allow
│   ├── UnknownClient      no client of that name in the federation
│   ├── AlreadyErased      the client was erased before
│   ├── IllegalEvent       the event does not fit the request's state
│   └── InvariantViolation the ledger identity or another invariant does not hold
├── StoreError             a run folder, checkpoint, model file or database is unusable
│   └── Conflict           the same key or id was used before for something else
├── ServiceError           a federation's server cannot be asked, or says no
│   ├── Unreachable        nobody answers, or not at the moment: asking again may help
│   └── Denied             the server answered that it will not
├── CertificateError       a certificate does not hold, or must not be issued
│   └── EarlierForm         a certificate of a form that this afuic does not read any more
├── EngineError            the engine beneath (Flower) cannot do what was asked of it
├── Halted                 no work may be handed out until an operator has seen to the store
├── TaskStopped            a task was told to stop before its last batch
├── TaskRefused            a hospital does not do what it was sent
└── RunInterrupted         the user stopped a run; it can be resumed
"""

from __future__ import annotations

WAYS = "pip install '.[{0}]' in a clone of it, or './afuic-VERSION-py3-none-any.whl[{0}]' with the wheel that it came from"


def extra(name: str) -> str:
    """How to get one of afuic's extras: afuic is on no package index, so never by its bare name."""
    return f"install afuic with its extra {name}: {WAYS.format(name)}"


class AfuicError(Exception):
    """Base of all errors raised on purpose. The message is one sentence: what was wrong, where, what to do."""


class ConfigError(AfuicError):
    """A configuration value is unknown, impossible or contradictory."""


class DataError(AfuicError):
    """A data set is missing, corrupt, or unusable."""


class ChecksumError(DataError):
    """Downloaded or cached bytes differ from the published checksum."""


class ManifestError(DataError):
    """A user's manifest or npz is malformed."""


class LeakError(DataError):
    """Images are shared between sets that must be disjoint."""


class ModelError(AfuicError):
    """A network's buffers or parameters cannot be used with a contribution ledger."""


class JsonError(AfuicError, ValueError):
    """Bytes or a text from outside are not JSON as afuic reads it. The message says why, and not where they came from."""


class ParamsError(AfuicError):
    """Parameters of the wrong names, shapes or types, or with NaN or infinite entries."""


class ScoresError(AfuicError):
    """Scores with an unknown name, or a number that is missing, not finite or out of its range."""


class ProtocolError(AfuicError):
    """An event that the protocol does not allow; the state is unchanged."""


class UnknownClient(ProtocolError):
    """No client of that name takes part in the federation."""


class AlreadyErased(ProtocolError):
    """The client was erased before; nothing of it is left to remove."""


class IllegalEvent(ProtocolError):
    """The event does not fit the present state of the request or task it names."""


class InvariantViolation(ProtocolError):
    """An invariant of the protocol does not hold: a fault in afuic or in its store, never the user's."""


class StoreError(AfuicError):
    """A run folder, checkpoint, journal, model file or database is unusable."""


class Conflict(StoreError):
    """The same key or id was used before for something else; nothing was written."""


class ServiceError(AfuicError):
    """A federation's server cannot be asked, or says no."""


class Unreachable(ServiceError):
    """No answer, or none at the moment; ``wait_s``: how long the server wants to be left alone."""

    def __init__(self, sentence: str, wait_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.wait_s = wait_s


class Denied(ServiceError):
    """The server answered that it will not, with this HTTP ``status``."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class CertificateError(AfuicError):
    """A certificate does not hold (signature, form, chain or model), or what it would state is not so and it must not be issued."""


class EarlierForm(CertificateError):
    """A certificate of a form that this afuic does not read any more."""


class EngineError(AfuicError):
    """The engine beneath, Flower, cannot do what was asked of it."""


class Halted(AfuicError):
    """No work may be handed out until an operator has seen to the store."""


class TaskStopped(AfuicError):
    """A client's task was told to stop between two batches; nothing of it is kept."""


class TaskRefused(AfuicError):
    """A hospital does not do what it was sent. The message goes to the server: it holds no patient's id and no path."""


class RunInterrupted(AfuicError):
    """The user stopped a run; what was journalled is kept and can be resumed."""
