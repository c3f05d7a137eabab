"""Height and width, and how the size of a picture becomes the size the network sees."""

from typing import NamedTuple


class Size(NamedTuple):
    """Height and width in pixels, in that order."""

    height: int
    width: int


def fit_size(size: Size, short_side: int, long_side: int) -> Size:
    """Scale ``size`` so that its short side is ``short_side``, or less if its long side would pass ``long_side``.

    >>> fit_size(Size(480, 640), short_side=240, long_side=1000)
    Size(height=240, width=320)
    >>> fit_size(Size(100, 1000), short_side=200, long_side=1000)
    Size(height=100, width=1000)
    """
    scale = min(short_side / min(size), long_side / max(size))
    return Size(max(1, round(size.height * scale)), max(1, round(size.width * scale)))


def fill_plane(size: Size, plane: Size) -> Size:
    """Scale ``size`` so that it is as large as ``plane`` lets it be.

    >>> fill_plane(Size(480, 640), plane=Size(320, 320))
    Size(height=240, width=320)
    """
    scale = min(plane.height / size.height, plane.width / size.width)
    return Size(max(1, round(size.height * scale)), max(1, round(size.width * scale)))


def pad_size(sizes: list[Size], divisor: int) -> Size:
    """The smallest size that holds all ``sizes`` and whose sides are multiples of ``divisor``.

    >>> pad_size([Size(30, 40), Size(33, 10)], divisor=32)
    Size(height=64, width=64)
    """
    height = max(size.height for size in sizes)
    width = max(size.width for size in sizes)
    return Size(-(-height // divisor) * divisor, -(-width // divisor) * divisor)
