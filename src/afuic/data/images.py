"""Images as bytes: the few transformations the data layer needs, and the digests by which it finds exact duplicates.

Everything stays uint8 [n, h, w, c] until the very end, so that "the same image" means the same bytes.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from afuic.data.dataset import Bytes

_CHUNK = 1024
_LUMA = np.array([0.299, 0.587, 0.114])


def resize(images: Bytes, size: int) -> Bytes:
    """``images`` at size × size pixels, bilinear with antialiasing; a picture that is not square is squeezed, not cropped."""
    if images.shape[1:3] == (size, size):
        return images
    chunks = [_resized(images[start : start + _CHUNK], size) for start in range(0, len(images), _CHUNK)]
    return np.concatenate(chunks) if chunks else np.empty((0, size, size, images.shape[3]), dtype=np.uint8)


def _resized(images: Bytes, size: int) -> Bytes:
    planes = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    small = interpolate(planes, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
    out: Bytes = small.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
    return out


def match_channels(images: Bytes, channels: int) -> Bytes:
    """Grey repeated to RGB, or RGB weighted to grey by ITU-R BT.601 luma (0.299, 0.587, 0.114); else as they are."""
    if images.shape[3] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=3)
    grey: Bytes = np.rint(images @ _LUMA).astype(np.uint8)
    return grey[..., None]


def to_tensor(images: Bytes) -> Tensor:
    """uint8 [n, h, w, c] as float32 [n, c, h, w] in [−1, 1]: x / 127.5 − 1."""
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).float().div_(127.5).sub_(1.0)


def digests(images: Bytes) -> list[bytes]:
    """A 128-bit BLAKE2b digest of each image's bytes; equal digests mean equal images."""
    return [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images]
