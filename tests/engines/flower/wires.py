"""Two network namespaces and a router between them that can stop forwarding: a network that is cut without a word to either side.

Every address is inside namespaces that are made here and deleted at the end; the machine's own network is not touched.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNET = 0x40000000
SERVER_ADDRESS = "10.77.1.1"
WIRES = (("near", "left", SERVER_ADDRESS, "10.77.1.254"), ("far", "right", "10.77.2.1", "10.77.2.254"))


@dataclass(frozen=True)
class Network:
    """``near``: where the server is, ``far``: where the hospital is that will be cut off; names of network namespaces."""

    mark: str

    @property
    def near(self) -> str:
        return f"{self.mark}-near"

    @property
    def far(self) -> str:
        return f"{self.mark}-far"

    @property
    def router(self) -> str:
        return f"{self.mark}-router"

    def make(self) -> None:
        for name in (self.near, self.router, self.far):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        for end, port, address, gateway in WIRES:
            place = f"{self.mark}-{end}"
            ip("-n", self.router, "link", "add", port, "type", "veth", "peer", "name", "wire", "netns", place)
            ip("-n", place, "addr", "add", f"{address}/24", "dev", "wire")
            ip("-n", self.router, "addr", "add", f"{gateway}/24", "dev", port)
            ip("-n", place, "link", "set", "wire", "up")
            ip("-n", self.router, "link", "set", port, "up")
            ip("-n", place, "route", "add", "default", "via", gateway)
        self.forward(True)

    def forward(self, on: bool) -> None:
        """Whether packets pass; where they do not, neither side is told."""
        line = f"echo {int(on)} > /proc/sys/net/ipv4/ip_forward"
        ip("netns", "exec", self.router, "sh", "-c", line)

    def remove(self) -> None:
        for name in (self.near, self.router, self.far):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def within(namespace: str) -> Iterator[None]:
    """This thread, and what it starts, is in that network namespace."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(Path("/run/netns") / namespace)
        yield
    finally:
        _set(before)
        os.close(before)


def _enter(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        _set(handle)
    finally:
        os.close(handle)


def _set(handle: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
