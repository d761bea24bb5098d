"""Where everything of a deployment lies, so that no path is spelled twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from afuic.settings import HOSPITAL_FILE, SERVER_FILE


@dataclass(frozen=True)
class Layout:
    """Paths below ``folder``; on a hospital's own machine only ``hospital(name)`` exists, under any name."""

    folder: Path

    @property
    def federation(self) -> Path:
        return self.folder / SERVER_FILE

    @property
    def ca(self) -> Path:
        return self.folder / "ca"

    @property
    def server(self) -> Path:
        return self.folder / "server"

    @property
    def logs(self) -> Path:
        return self.server / "logs"

    @property
    def app(self) -> Path:
        return self.folder / "app"

    @property
    def nginx(self) -> Path:
        return self.folder / "nginx.conf"

    def hospital(self, name: str) -> Path:
        """A hospital's own folder."""
        return self.folder / "hospitals" / name

    def hospital_file(self, name: str) -> Path:
        """A hospital's settings."""
        return self.hospital(name) / HOSPITAL_FILE

    def role(self, role: str) -> Path:
        """The folder of whoever asks through the API without being a hospital: ``operator`` or ``auditor``."""
        return self.folder / role
