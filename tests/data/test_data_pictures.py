"""What a picture file becomes: the pixels that every viewer shows, or a refusal that names the file. Never other pixels in silence."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from afuic.data import import_manifest, load, pictures
from afuic.errors import ManifestError

RAMP = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3
"""Four rows of six pixels, no two alike, so that every turn of it is another picture."""

LOSSLESS = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "BMP": {}, "PPM": {}, "JPEG2000": {}}
UPRIGHT: dict[int, Any] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}
"""EXIF 2.3, tag 0x0112: which side of the stored rows and columns is up; what a viewer does about it, written out."""


def png(depth: int, colour: int, raster: bytes, size: tuple[int, int], *more: tuple[bytes, bytes]) -> bytes:
    """A PNG made by hand: Pillow writes no 16-bit colour. ``raster``: rows with their filter bytes."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)),
        *more,
        (b"IDAT", zlib.compress(raster)),
        (b"IEND", b""),
    ]
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(bits: int, samples: int, kind: int = 1) -> bytes:
    """A little-endian TIFF of 2 × 2 pixels made by hand; ``kind``: SampleFormat (1 unsigned, 2 signed, 3 floating point)."""
    raster = bytes(range(2 * 2 * samples * bits // 8))
    entries = [
        (256, 2),
        (257, 2),
        (258, bits),
        (259, 1),
        (262, 2 if samples > 1 else 1),
        (273, 8),
        (277, samples),
        (278, 2),
        (279, len(raster)),
    ]
    entries += [(339, kind)] if samples == 1 else []
    start = 8 + len(raster)
    many = start + 2 + 12 * len(entries) + 4
    rows = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries]
    if samples > 1:
        rows[2] = struct.pack("<HHII", 258, 3, samples, many)
    return b"".join(
        [
            b"II*\0",
            struct.pack("<I", start),
            raster,
            struct.pack("<H", len(rows)),
            *rows,
            bytes(4),
            struct.pack("<H", bits) * samples,
        ]
    )


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    (image or Image.fromarray(RAMP)).save(out, kind, **options)
    return out.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(content: bytes) -> Path:
        path = tmp_path / "picture.bin"
        path.write_bytes(content)
        return path

    return write


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Every ManifestError within the block begins with the file's name."""
    try:
        yield
    except ManifestError as error:
        if not str(error).startswith(f"{path}: "):
            raise AssertionError(f"{path} is not named: {error}") from error
        raise


def refused(file: Path, why: str) -> None:
    with pytest.raises(ManifestError, match=f"{re.escape(str(file))}: .*{why}"):
        pictures.read(file)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_pixels_of_lossless_formats_are_kept(kind: str, file: Any) -> None:
    found = pictures.read(file(encoded(kind, **LOSSLESS[kind])))
    assert np.array_equal(found.pixels, RAMP)
    assert not found.flattened


@pytest.mark.parametrize("kind", LOSSLESS)
def test_grey_stays_one_channel(kind: str, file: Any) -> None:
    if kind != "WEBP":  # which knows no grey
        found = pictures.read(file(encoded(kind, Image.fromarray(RAMP[..., 0]), **LOSSLESS[kind])))
        assert np.array_equal(found.pixels, RAMP[..., :1])


class TestDepth:
    @pytest.mark.parametrize(("colour", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
    def test_png_of_16_bits_in_every_colour_type(self, colour: int, samples: int, file: Any) -> None:
        raster = (b"\0" + b"\x0f\xff" * 2 * samples) * 2
        refused(file(png(16, colour, raster, (2, 2))), "16 bits")

    @pytest.mark.parametrize("depth", [1, 2, 4])
    def test_png_of_fewer_bits_reaches_from_black_to_white(self, depth: int, file: Any) -> None:
        # one row of two pixels, 0 and the largest value
        row = bytes([((1 << depth) - 1) << (8 - 2 * depth)])
        assert pictures.read(file(png(depth, 0, b"\0" + row, (2, 1)))).pixels.ravel().tolist() == [0, 255]

    @pytest.mark.parametrize("samples", [1, 3, 4])
    @pytest.mark.parametrize("bits", [16, 32])
    def test_tiff(self, samples: int, bits: int, file: Any) -> None:
        refused(file(tiff(bits, samples)), f"{bits} bits")

    def test_tiff_of_8_bits_made_by_hand_is_read(self, file: Any) -> None:
        assert pictures.read(file(tiff(8, 3))).pixels.ravel().tolist() == list(range(12))

    @pytest.mark.parametrize(("bits", "kind"), [(8, 2), (16, 2), (32, 3)])
    def test_tiff_of_signed_or_floating_point_samples(self, bits: int, kind: int, file: Any) -> None:
        refused(file(tiff(bits, 1, kind)), "signed or floating point")

    @pytest.mark.parametrize("magic", [b"P2", b"P3", b"P5", b"P6"])
    @pytest.mark.parametrize("largest", [1023, 4095, 65535])
    def test_pnm(self, magic: bytes, largest: int, file: Any) -> None:
        samples = 3 if magic in {b"P3", b"P6"} else 1
        raster = b"700 " * samples if magic < b"P4" else b"\x02\xbc" * samples
        refused(file(magic + b" # a comment\n1 1\n%d\n" % largest + raster), f"{largest.bit_length()} bits")

    def test_pnm_of_fewer_values_reaches_from_black_to_white(self, file: Any) -> None:
        assert pictures.read(file(b"P5 2 1 15\n\x00\x0f")).pixels.ravel().tolist() == [0, 255]

    def test_jpeg_of_12_bits(self, file: Any) -> None:
        content = bytearray(encoded("JPEG"))
        content[content.index(b"\xff\xc0") + 4] = 12
        refused(file(bytes(content)), "12 bits")

    def test_jpeg2000(self, file: Any) -> None:
        refused(file(encoded("JPEG2000", Image.fromarray(np.full((16, 16), 4095, dtype=np.uint16)))), "16 bits")

    @pytest.mark.parametrize(("size", "why"), [(11, "12 bits"), (0x87, "signed")])
    def test_jpeg2000_whose_header_says_so(self, size: int, why: str, file: Any) -> None:
        content = bytearray(encoded("JPEG2000", Image.fromarray(np.zeros((32, 32, 3), dtype=np.uint8))))
        content[content.index(b"\xff\x4f\xff\x51") + 42 + 3] = size  # the second component's
        refused(file(bytes(content)), why)

    @pytest.mark.parametrize(("flags", "bits"), [(0x40, 10), (0x60, 12)])
    def test_avif(self, flags: int, bits: int, file: Any) -> None:
        content = bytearray(encoded("AVIF"))
        content[content.index(b"av1C") + 6] |= flags
        pixel_information = content.index(b"pixi") + 9
        content[pixel_information : pixel_information + 3] = bytes([bits] * 3)
        refused(file(bytes(content)), f"{bits} bits")

    @pytest.mark.parametrize("mode", ["F", "I", "I;16"])
    def test_whatever_else_has_more_than_8_bits(self, mode: str, file: Any) -> None:
        refused(file(encoded("TIFF", Image.new(mode, (2, 2)))), "bits|floating point")

    def test_another_colour_space(self, file: Any) -> None:
        refused(file(encoded("TIFF", Image.new("LAB", (2, 2)))), "its colours are LAB")


class TestOrientation:
    @pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
    @pytest.mark.parametrize("orientation", UPRIGHT)
    def test_a_picture_is_turned_as_every_viewer_turns_it(self, kind: str, orientation: int, file: Any) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        found = pictures.read(file(encoded(kind, exif=exif, **LOSSLESS[kind])))
        assert np.array_equal(found.pixels, UPRIGHT[orientation](RAMP))

    @pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
    @pytest.mark.parametrize("orientation", UPRIGHT)
    def test_of_a_lossy_format(self, kind: str, orientation: int, file: Any) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        large = np.kron(RAMP, np.ones((16, 16, 1), dtype=np.uint8))
        picture = Image.fromarray(large)
        turned = pictures.read(file(encoded(kind, picture, exif=exif, quality=95))).pixels
        as_stored = pictures.read(file(encoded(kind, picture, quality=95))).pixels
        assert np.array_equal(turned, UPRIGHT[orientation](as_stored))


class TestTransparency:
    def test_black_lies_beneath(self, file: Any) -> None:
        pixels = np.dstack([RAMP, np.full(RAMP.shape[:2], 255, dtype=np.uint8)])
        pixels[0, :, 3], pixels[1, :, 3] = 0, 51
        for kind in ("PNG", "TIFF"):
            found = pictures.read(file(encoded(kind, Image.fromarray(pixels))))
            assert found.flattened
            assert not found.pixels[0].any()
            assert np.array_equal(found.pixels[1], np.rint(RAMP[1] / 5))  # 51 / 255: a fifth
            assert np.array_equal(found.pixels[2:], RAMP[2:])

    def test_hidden_colours_make_no_difference(self, file: Any) -> None:
        one, two = (np.dstack([np.full((2, 2, 3), shade, dtype=np.uint8), np.eye(2, dtype=np.uint8) * 255]) for shade in (7, 7))
        two[0, 1, :3] = 200
        a, b = (pictures.read(file(encoded("PNG", Image.fromarray(pixels)))).pixels for pixels in (one, two))
        assert np.array_equal(a, b)

    def test_what_is_opaque_is_not_flattened(self, file: Any) -> None:
        found = pictures.read(file(encoded("PNG", Image.fromarray(RAMP).convert("RGBA"))))
        assert np.array_equal(found.pixels, RAMP)
        assert not found.flattened

    def test_grey_with_alpha_is_grey(self, file: Any) -> None:
        pixels = np.array([[[200, 255], [200, 0]]], dtype=np.uint8)
        found = pictures.read(file(encoded("PNG", Image.fromarray(pixels, "LA"))))
        assert found.pixels[..., 0].tolist() == [[200, 0]]
        assert found.pixels.shape[2] == 1

    @pytest.mark.parametrize(
        ("colour", "raster", "more", "expected"),
        [
            (0, b"\0\xc8\x10", [(b"tRNS", b"\0\xc8")], [[[0], [16]]]),
            (2, b"\0\xc8\xc8\xc8\1\2\3", [(b"tRNS", b"\0\xc8" * 3)], [[[0, 0, 0], [1, 2, 3]]]),
            (3, b"\0\0\1", [(b"PLTE", b"\xc8\xc8\xc8\1\2\3"), (b"tRNS", b"\0")], [[[0, 0, 0], [1, 2, 3]]]),
        ],
    )  # fmt: skip
    def test_of_a_colour_or_a_palette(self, colour: int, raster: bytes, more: Any, expected: Any, file: Any) -> None:
        found = pictures.read(file(png(8, colour, raster, (2, 1), *more)))
        assert found.pixels.tolist() == expected
        assert found.flattened

    @pytest.mark.parametrize(("bits", "raster"), [(1, b"\0\x40"), (2, b"\0\x30"), (4, b"\0\x0f")])
    def test_of_a_grey_of_few_bits(self, bits: int, raster: bytes, file: Any) -> None:
        found = pictures.read(file(png(bits, 0, raster, (2, 1), (b"tRNS", bytes([0, 2**bits - 1])))))
        assert found.flattened
        assert not found.pixels.any()

    def test_of_a_gif(self, file: Any) -> None:
        image = Image.new("P", (2, 1), 0)
        image.putpalette([200, 200, 200, 1, 2, 3])
        image.putpixel((1, 0), 1)
        assert pictures.read(file(encoded("GIF", image, transparency=0))).pixels.tolist() == [[[0, 0, 0], [1, 2, 3]]]

    def test_nothing_but_transparency_is_refused(self, file: Any) -> None:
        refused(file(encoded("PNG", Image.new("RGBA", (2, 2), (9, 9, 9, 0)))), "wholly transparent")

    def test_the_import_says_how_many_and_on_what(self, folder: Any, tmp_path: Path) -> None:
        for shade in range(20):
            folder.add(shade, label="ab"[shade % 2])
        for shade in range(3):
            pixels = np.full((8, 8, 2), 100 + shade, dtype=np.uint8)
            Image.fromarray(pixels, "LA").save(folder.root / f"{shade}.png")
        assert import_manifest(folder.save(), tmp_path / "out.npz").flattened == 3


class TestPages:
    @pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP", "AVIF", "MPO"])
    def test_several_are_refused(self, kind: str, file: Any) -> None:
        other = Image.fromarray(RAMP[::-1].copy())
        refused(file(encoded(kind, save_all=True, append_images=[other])), "holds 2 pages or frames")

    @pytest.mark.parametrize("magic", [b"P4", b"P5", b"P6"])
    def test_pictures_one_after_the_other_are_refused(self, magic: bytes, file: Any) -> None:
        one = magic + b" 8 1 " + (b"" if magic == b"P4" else b"255 ") + b"\x50" * {b"P4": 1, b"P5": 8, b"P6": 24}[magic]
        assert pictures.read(file(one + b"\n")).pixels.shape[:2] == (1, 8)
        refused(file(one + one), "several pictures")

    @pytest.mark.parametrize("magic", [b"P1", b"P2", b"P3"])
    def test_pictures_written_as_numbers_one_after_the_other_are_refused(self, magic: bytes, file: Any) -> None:
        one = magic + b" 2 1 " + (b"" if magic == b"P1" else b"255 ") + b"1 " * (6 if magic == b"P3" else 2)
        assert pictures.read(file(one + b"\n")).pixels.shape[:2] == (1, 2)
        refused(file(one + one), "several pictures")

    def test_one_page_of_a_format_that_can_hold_several_is_read(self, file: Any) -> None:
        for kind in ("GIF", "TIFF", "WEBP"):
            assert pictures.read(file(encoded(kind))).pixels.shape == (4, 6, 3)


class TestDamage:
    @pytest.mark.parametrize(
        "kind", ["AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP", "DDS", "ICNS", "TGA", "PCX", "SGI"]
    )
    def test_any_bytes_give_a_picture_or_a_refusal_that_names_the_file(self, kind: str, file: Any) -> None:
        whole = encoded(kind, Image.fromarray(np.kron(RAMP, np.ones((4, 4, 1), dtype=np.uint8))))
        generator = np.random.default_rng(5)
        for number in range(60):
            content = bytearray(whole)
            for place in generator.integers(0, len(content) if number % 2 else min(len(content), 64), 1 + number % 5):
                content[place] = generator.integers(256)
            cut = int(generator.integers(1, len(content))) if number % 4 == 0 else len(content)
            path = file(bytes(content[:cut]))
            with suppress(ManifestError), naming(path):
                pixels = pictures.read(path).pixels
                assert pixels.dtype == np.uint8
                assert pixels.shape[2:] in {(1,), (3,)}

    @pytest.mark.parametrize(
        "raised",
        [
            MemoryError(),
            RecursionError("deep"),
            SyntaxError("odd"),
            struct.error("short"),
            RuntimeError("x"),
            NotImplementedError(),
        ],
    )
    def test_whatever_pillow_raises_names_the_file(self, raised: Exception, file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise raised

        monkeypatch.setattr(Image, "open", fail)
        refused(file(b"anything"), "not a readable image")

    def test_a_bomb(self, file: Any) -> None:
        refused(file(png(8, 0, b"", (60000, 60000))), "not a readable image")

    def test_formats_that_are_not_read_say_which_are(self, file: Any) -> None:
        refused(file(encoded("TGA")), "none of the formats AVIF, BMP, GIF")
        refused(file(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "none of the formats")
        refused(file(bytes(128) + b"DICM" + bytes(64)), "DICOM")


def test_a_refused_picture_leaves_no_set_behind(folder: Any, tmp_path: Path) -> None:
    for shade in range(20):
        folder.add(shade, label="ab"[shade % 2])
    (folder.root / "3.png").write_bytes(png(16, 2, (b"\0" + b"\x0f\xff" * 24) * 8, (8, 8)))
    with pytest.raises(ManifestError, match=r"3\.png: has 16 bits"):
        import_manifest(folder.save(), tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_turned_and_upright_pictures_become_one_set(folder: Any, tmp_path: Path) -> None:
    for shade in range(20):
        folder.add(shade, label="ab"[shade % 2], shape=(8, 6))
    for shade in range(0, 20, 2):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.full((6, 8), shade, dtype=np.uint8)).save(folder.root / f"{shade}.png", exif=exif)
    report = import_manifest(folder.save(), tmp_path / "out.npz")
    assert report.original == (8, 6)
    assert len(load(str(tmp_path / "out.npz"))) == 20
