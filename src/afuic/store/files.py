"""The only durable writes. A file is whole or absent: written under a temporary name, synced, then renamed.

Nobody else writes meanwhile: a folder is held by one process at a time.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afuic.document import parse_json
from afuic.errors import JsonError, StoreError

if TYPE_CHECKING:
    import torch

HEADER_BYTES, HEADER_DEPTH = 1 << 24, 3
LONGEST_REASON = 300


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within the block what the machine objects to (a full disk, a folder that is read-only) becomes a StoreError naming ``path``."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise StoreError(
            f"{path}: cannot be written ({why}); free space or allow writing, then try again, or go on with --resume where a run was begun"
        ) from error


@contextmanager
def holding(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Within the block no other process holds ``folder``, which is made if need be; the lock ends with the process, however it ends.

    StoreError while another holds it, unless ``wait``. Where the system or the disk knows no locks, nothing is held.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder, wait)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, wait: bool) -> None:
    import fcntl  # noqa: PLC0415 - Windows has none

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise StoreError(f"{folder}: another process works there; wait until it has ended, or choose another folder") from None
    except OSError as error:
        if error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.EBADF}:
            raise StoreError(f"{folder}: cannot be locked ({error.strerror})") from error


def write_bytes(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file whole or not at all; StoreError (for example a full disk) leaves nothing behind."""
    with writing(path):
        _write_bytes(path, content, mode)


def _write_bytes(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON; StoreError names a file that is missing or broken."""
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: not readable JSON ({error})") from None


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    from safetensors.torch import save  # noqa: PLC0415 - a supervisor writes files too, and needs no torch

    write_bytes(path, save({name: t.detach().contiguous() for name, t in tensors.items()}))


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read safetensors into memory of their own; StoreError names a file that is missing or broken.

    The copy matters: tensors that point into the file's buffer start at any address, and matrix kernels give other last bits
    on other alignments.
    """
    try:
        return load_tensors(path.read_bytes())
    except (OSError, StoreError) as error:
        raise StoreError(f"{path}: not a readable safetensors file ({error})") from None


def load_tensors(content: bytes, header: int = HEADER_BYTES) -> dict[str, torch.Tensor]:
    """The tensors in the bytes of a safetensors file, which may come from outside, in memory of their own; StoreError says what is wrong.

    ``header``: bytes that the file's header may have. It is JSON and is bounded as such before anything else reads it.
    """
    from safetensors.torch import load  # noqa: PLC0415 - as above

    _check_header(content, header)
    try:
        return {name: tensor.clone() for name, tensor in load(content).items()}
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what the library raises is not only its own, and a panic in it is no Exception
        raise StoreError(f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST_REASON]) from None


def _check_header(content: bytes, most: int) -> None:
    size = int.from_bytes(content[:8], "little")
    if not 2 <= size <= min(most, len(content) - 8):
        raise StoreError(f"its header is of {size} bytes, in a file of {len(content)}; at most {most} can be right")
    try:
        parse_json(content[8 : 8 + size], limit=most, depth=HEADER_DEPTH)
    except JsonError as error:
        raise StoreError(f"its header is {error}") from None


def sync_folder(folder: Path) -> None:
    """Make the folder's own entries durable, where the system lets a folder be opened."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
