"""Where numbers come from: the commit, the machine, the versions."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from afuic.learning import devices

HERE = Path(__file__).parents[1]


@functools.lru_cache(maxsize=1)
def commit() -> str | None:
    """The commit of this source, "+changes" where the source differs from it; None outside a checkout."""
    head = _git("rev-parse", "HEAD")
    return head + "+changes" if head and _git("status", "--porcelain", "--", ".") else head


def machine() -> dict[str, str | int]:
    """System, processor and cores; the GPU, where networks compute on one."""
    gpu = devices.gpu()
    found: dict[str, str | int] = {"system": platform.system(), "processor": _processor(), "cores": os.cpu_count() or 1}
    return found | ({} if gpu is None else {"gpu": gpu})


def versions() -> dict[str, str]:
    """What decides the numbers."""
    return {"python": platform.python_version()} | {name: version(name) for name in ("afuic", "torch", "numpy")}


def _git(*arguments: str) -> str | None:
    found = subprocess.run(["git", "-C", str(HERE), *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return found.stdout.strip() or None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
