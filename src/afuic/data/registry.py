"""The public data sets afuic knows by name, as a table of facts: the 2D sets of MedMNIST v3 at 28 × 28 pixels.

Source: Yang et al., "MedMNIST v2", Scientific Data 10:41 (2023); files, checksums, counts and licences of the third edition, Zenodo
record 10519652.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from afuic.data.files import cache_dir
from afuic.errors import DataError

_ORGANS = (
    "bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right",
    "liver", "lung-left", "lung-right", "pancreas", "spleen",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One registered set. ``n``: images for train, val and test; ``md5``: of the npz, empty for the set that is made in code."""

    name: str
    md5: str
    n: tuple[int, int, int]
    channels: int
    classes: tuple[str, ...]
    description: str
    licence: str = "CC BY 4.0"
    size: int = 28
    multi_label: bool = False

    def path(self, cache: Path | None = None) -> Path:
        """Where the downloaded file lies or would lie."""
        return cache_dir(cache) / f"{self.name}.npz"

    def cached(self, cache: Path | None = None) -> bool:
        """Whether the file is there (its checksum is only verified when it is read); true for the set made in code."""
        return not self.md5 or self.path(cache).is_file()


PHANTOM = Entry(
    "phantom", "", (200, 60, 60), 1, ("stripes-0", "stripes-45", "stripes-90", "stripes-135"),
    "synthetic striped blobs, made in code, nothing to download", "Apache-2.0",
)  # fmt: skip

MEDMNIST = (
    Entry(
        "pathmnist", "a8b06965200029087d5bd730944a56c1", (89996, 10004, 7180), 3,
        ("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa",
         "cancer-associated stroma", "colorectal adenocarcinoma epithelium"),
        "colorectal tissue under the microscope, H&E stain",
    ),
    Entry(
        "chestmnist", "02c8a6516a18b556561a56cbdd36c4a8", (78468, 11219, 22433), 1,
        ("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax",
         "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia"),
        "chest X-rays with several findings each; not supported", multi_label=True,
    ),
    Entry(
        "dermamnist", "0744692d530f8e62ec473284d019b0c7", (7007, 1003, 2005), 3,
        ("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions",
         "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions"),
        "pigmented skin lesions (HAM10000)", "CC BY-NC 4.0",
    ),
    Entry(
        "octmnist", "c68d92d5b585d8d81f7112f81e2d0842", (97477, 10832, 1000), 1,
        ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
        "optical coherence tomography of the retina",
    ),
    Entry(
        "pneumoniamnist", "28209eda62fecd6e6a2d98b1501bb15f", (4708, 524, 624), 1,
        ("normal", "pneumonia"),
        "chest X-rays of children",
    ),
    Entry(
        "retinamnist", "bd4c0672f1bba3e3a89f0e4e876791e4", (1080, 120, 400), 3,
        ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),
        "fundus photographs, grades of diabetic retinopathy taken as classes",
    ),
    Entry(
        "breastmnist", "750601b1f35ba3300ea97c75c52ff8f6", (546, 78, 156), 1,
        ("malignant", "normal or benign"),
        "breast ultrasound",
    ),
    Entry(
        "bloodmnist", "7053d0359d879ad8a5505303e11de1dc", (11959, 1712, 3421), 3,
        ("basophil", "eosinophil", "erythroblast", "immature granulocyte", "lymphocyte", "monocyte", "neutrophil", "platelet"),
        "normal blood cells under the microscope",
    ),
    Entry(
        "tissuemnist", "ebe78ee8b05294063de985d821c1c34b", (165466, 23640, 47280), 1,
        ("collecting duct or connecting tubule", "distal convoluted tubule", "glomerular endothelial cells",
         "interstitial endothelial cells", "leukocytes", "podocytes", "proximal tubule segments", "thick ascending limb"),
        "kidney cortex cells under the microscope",
    ),
    Entry(
        "organamnist", "68e3f8846a6bd62f0c9bf841c0d9eacc", (34561, 6491, 17778), 1, _ORGANS,
        "abdominal CT, axial slices of eleven organs",
    ),
    Entry(
        "organcmnist", "b9ceb9546e10131b32923c5bbeaea2b1", (12975, 2392, 8216), 1, _ORGANS,
        "abdominal CT, coronal slices of eleven organs",
    ),
    Entry(
        "organsmnist", "9ab87b696fb54e2a387ebe992d6ed5f1", (13932, 2452, 8827), 1, _ORGANS,
        "abdominal CT, sagittal slices of eleven organs",
    ),
)  # fmt: skip

_BY_NAME = {entry.name: entry for entry in (PHANTOM, *MEDMNIST)}


def catalogue() -> tuple[Entry, ...]:
    """Every set that ``load`` knows by name."""
    return tuple(_BY_NAME.values())


def find(name: str) -> Entry | None:
    """The entry of that name, if any."""
    return _BY_NAME.get(name)


def supported(name: str) -> Entry:
    """The entry of that name; DataError for an unknown name or a set whose labels are not one class an image."""
    entry = find(name)
    if entry is None:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_BY_NAME)}."
        raise DataError(f"{name!r} is neither a registered data set nor an existing npz file; {hint}")
    if entry.multi_label:
        raise DataError(
            f"{name}: an image can have several labels, which is not supported; choose a set with one class an image"
        )
    return entry
