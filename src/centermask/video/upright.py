"""Frames turned upright, as a phone's note beside its video asks for."""

import struct

import numpy as np
from jaxtyping import UInt8


def upright(
    pixels: UInt8[np.ndarray, "height width 3"], matrix: bytes | None
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """The frame turned and mirrored as its display matrix says, by the nearest quarter of a turn.

    Args:
        pixels: As stored.
        matrix: Nine numbers a b u c d v x y w, as FFmpeg keeps them: a pixel at (x, y) is shown at
            (a x + c y, b x + d y), but for an offset. None leaves the frame as it is.

    >>> upright(np.array([[[1, 1, 1], [2, 2, 2]]], dtype=np.uint8), turn(0, 1, -1, 0))[:, :, 0]
    array([[1],
           [2]], dtype=uint8)
    """
    if matrix is None:
        return pixels
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    if is_sideways(matrix):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def is_sideways(matrix: bytes | None) -> bool:
    """Whether height and width are exchanged."""
    if matrix is None:
        return False
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    return abs(b) + abs(c) > abs(a) + abs(d)


def turn(a: int, b: int, c: int, d: int) -> bytes:
    """A display matrix from its four whole numbers."""
    return struct.pack("=9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
