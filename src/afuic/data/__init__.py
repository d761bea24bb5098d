"""Data sets, their division among hospitals, triggers, and the import of a hospital's own images."""

from afuic.data.dataset import Dataset
from afuic.data.download import fetch
from afuic.data.federation import ClientData, Federation, TestSet, federate
from afuic.data.loading import load
from afuic.data.manifest import ImportReport, import_manifest
from afuic.data.patients import choose_patients, split_forget
from afuic.data.phantoms import phantom
from afuic.data.registry import Entry, catalogue
from afuic.data.triggers import stamp

__all__ = [
    "ClientData",
    "Dataset",
    "Entry",
    "Federation",
    "ImportReport",
    "TestSet",
    "catalogue",
    "choose_patients",
    "federate",
    "fetch",
    "import_manifest",
    "load",
    "phantom",
    "split_forget",
    "stamp",
]
