"""One picture file as the 8-bit pixels that every viewer shows, or a refusal that names the file.

Pillow gives something for nearly every file: it cuts 16 bits to their upper 8, ignores the camera's orientation, shows what transparency
hides, and reads the first page of many. None of this can be seen afterwards, so it is decided here, from the file's own header. Only
formats whose header is understood are opened.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from afuic.data.dataset import Bytes
from afuic.errors import ManifestError

_VOLUMES = {".nii": "NIfTI", ".nii.gz": "NIfTI", ".dcm": "DICOM", ".mha": "MetaImage", ".mhd": "MetaImage", ".nrrd": "NRRD"}
_BITS, _SAMPLES = 258, 339
_UNSIGNED, _UNDEFINED = 1, 4
_OTHER_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, eq=False)
class Picture:
    """``pixels``: uint8 [h, w, 1] or [h, w, 3], upright. ``flattened``: some were transparent, and black was laid beneath them."""

    pixels: Bytes
    flattened: bool


class _Refusal(Exception):
    """Why a picture that can be read is not used."""


def read(file: Path) -> Picture:
    """The picture in ``file``, turned as its EXIF orientation says; ManifestError, naming the file, for whatever else it is.

    Refused: other formats than those of ``FORMATS``, more than 8 bits a sample, signed or floating-point samples, several pages or frames,
    other colour spaces than grey, RGB, CMYK and YCbCr, pictures that are wholly transparent, and what Pillow cannot read.
    """
    try:
        return _read(file)
    except _Refusal as refusal:
        raise ManifestError(f"{file}: {refusal}") from None
    except UnidentifiedImageError:
        raise ManifestError(f"{file}: not a readable image ({_guess(file)}); replace it or leave its row out") from None
    except Exception as error:  # a damaged file makes Pillow raise anything, RecursionError and MemoryError included
        what = str(error) or type(error).__name__
        raise ManifestError(f"{file}: not a readable image ({what}); replace it or leave its row out") from error


def _read(file: Path) -> Picture:
    head = file.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on metadata that nobody uses here
        with Image.open(io.BytesIO(head), formats=tuple(FORMATS)) as image:
            _check_depth(image, head)
            _check_pages(image, head)
            return _flat(ImageOps.exif_transpose(image))


def _check_depth(image: ImageFile, head: bytes) -> None:
    bits = FORMATS.get(image.format or "", _eight)(image, head)
    if bits > 8 or image.mode in {"I", "F"} or image.mode.startswith("I;"):
        depth = f"{bits} bits" if bits > 8 else "more than 8 bits"
        raise _Refusal(
            f"has {depth} a sample ({image.format}), and more than 8 bits cannot be kept; convert it to 8 bits first"
        )


def _check_pages(image: ImageFile, head: bytes) -> None:
    pages = getattr(image, "n_frames", 1)
    if pages > 1:
        raise _Refusal(
            f"holds {pages} pages or frames, and only one could be used; save each that you want as a file of its own"
        )
    if image.format == "PPM" and _follows(image, head):
        raise _Refusal("holds several pictures, and only one could be used; save each that you want as a file of its own")


def _follows(image: ImageFile, head: bytes) -> bool:
    """Whether another picture follows the raster of a PNM file."""
    start = image.tile[0][2]
    if head[:2] in {b"P1", b"P2", b"P3"}:
        return re.search(rb"\sP[1-7]\s", head[start:]) is not None
    if head[:2] not in {b"P4", b"P5", b"P6"}:
        return False
    row = -(-image.width // 8) if head[:2] == b"P4" else image.width * len(image.getbands())
    return re.match(rb"\s*P[1-7]\s", head[start + row * image.height :]) is not None


def _flat(image: Image.Image) -> Picture:
    grey = image.mode in {"1", "L", "LA"}
    if not grey and image.mode not in {"P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr"}:
        raise _Refusal(f"its colours are {image.mode}; convert it to grey or RGB first")
    if "A" not in image.mode.upper() and "transparency" not in image.info:
        return Picture(_array(image, "L" if grey else "RGB"), False)
    samples = _array(image, "LA" if grey else "RGBA")
    colours, alpha = samples[..., :-1], samples[..., -1:].astype(np.uint16)
    if not alpha.any():
        raise _Refusal("is wholly transparent; save it without an alpha channel")
    shown = ((colours * alpha + 127) // 255).astype(np.uint8)
    return Picture(shown[..., :1] if grey else shown, bool((alpha < 255).any()))


def _array(image: Image.Image, mode: str) -> Bytes:
    pixels: Bytes = np.array(image.convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _eight(_image: ImageFile, _head: bytes) -> int:
    return 8


def _png(image: ImageFile, head: bytes) -> int:
    """From the header. A transparent grey of 2 or 4 bits comes as it is in the file, beside samples that Pillow has brought to 8."""
    bits, transparent = head[24], image.info.get("transparency")
    if image.mode == "L" and bits in {2, 4} and isinstance(transparent, int):
        image.info["transparency"] = transparent * 255 // (2**bits - 1)
    return bits


def _jpeg(_image: ImageFile, head: bytes) -> int:
    return _precision(head) or 8


def _precision(head: bytes) -> int | None:
    """The bits a sample of a JPEG file's frame header; None where there is none."""
    at = 2 if head[:2] == b"\xff\xd8" else len(head)
    while at + 5 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _OTHER_FRAMES:
            return head[at + 4]
        if marker == 0xFF:
            at += 1
        else:
            at += 2 if marker in _ALONE else 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


def _jpeg2000(_image: ImageFile, head: bytes) -> int:
    start = head.index(b"\xff\x4f\xff\x51")
    count = int.from_bytes(head[start + 40 : start + 42], "big")
    sizes = head[start + 42 : start + 42 + 3 * count : 3]
    if any(size & 0x80 for size in sizes):
        raise _Refusal("its samples are signed; convert it to unsigned 8 bits first")
    return max(size + 1 for size in sizes)


def _tiff(image: ImageFile, _head: bytes) -> int:
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    kinds = tags.get(_SAMPLES, (_UNSIGNED,))
    if not set(kinds) <= {_UNSIGNED, _UNDEFINED}:
        raise _Refusal("its samples are signed or floating point; convert it to unsigned 8 bits first")
    return int(max(tags.get(_BITS, (1,))))


def _pnm(image: ImageFile, _head: bytes) -> int:
    """From the header's largest value, which Pillow hands to the decoder wherever it is another than its mode's own."""
    given = image.tile[0].args
    if isinstance(given, tuple) and len(given) == 2:
        return int(given[1]).bit_length()
    return 16 if image.mode == "I" else 8


def _avif(_image: ImageFile, head: bytes) -> int:
    """From every ``av1C`` box (AV1-ISOBMFF, 2.3): 8 bits, or 10 or 12 where ``high_bitdepth`` is set."""
    flags = [head[found.end() + 2] for found in re.finditer(rb"av1C", head) if found.end() + 2 < len(head)]
    return max((8 if not flag & 0x40 else 12 if flag & 0x20 else 10 for flag in flags), default=8)


FORMATS: dict[str, Callable[[ImageFile, bytes], int]] = {
    "AVIF": _avif,
    "BMP": _eight,
    "GIF": _eight,
    "JPEG": _jpeg,
    "JPEG2000": _jpeg2000,
    "PNG": _png,
    "PPM": _pnm,
    "TIFF": _tiff,
    "WEBP": _eight,
}
"""The formats that are opened, by Pillow's names, and how many bits a sample of such a file has, from its bytes."""


def _guess(file: Path) -> str:
    """What a file that is no picture may be."""
    with suppress(Exception):  # the file may be anything, and a guess is not needed
        head = file.read_bytes()
        if head[128:132] == b"DICM":
            return "it is a DICOM file: export its frames as 8-bit PNG"
        if kind := next((kind for ending, kind in _VOLUMES.items() if file.name.lower().endswith(ending)), None):
            return f"{kind} is not supported by this import: export its slices as 8-bit PNG"
        for kind, bits in (("JPEG", _precision(head)), ("TIFF", _declared(head))):
            if bits is not None and bits > 8:
                return f"a {kind} of {bits} bits a sample: convert it to 8 bits"
    return f"it is whole in none of the formats {', '.join(FORMATS)}"


def _declared(head: bytes) -> int | None:
    """The bits a sample that a TIFF's first directory names; None where there is none."""
    if head[:4] not in {b"II*\0", b"MM\0*"}:
        return None
    directory = ImageFileDirectory_v2(head[:8])
    content = io.BytesIO(head)
    content.seek(directory.next)
    directory.load(content)
    return int(max(directory.get(_BITS, (1,))))
