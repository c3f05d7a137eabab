"""What tiles of one picture saw becomes the objects of the picture: each once, however many tiles cut it.

Masks are compared where two tiles overlap, and nowhere else: beyond that strip one of the two is blind. They are spans
of the whole picture (``ops/spans.py``), so that nothing here costs by its size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from centermask.ops import spans as span
from centermask.ops.spans import Spans
from centermask.size import Size

SAME = 0.5
"""Of two masks: from this IoU on they are one object."""
CONTAINED = 0.8
"""Share of a cut piece that lies in another mask, from which on it is a part of that."""
NEAR = (4.0, 1 / 14)
"""An object ends at its tile's border if it comes as near as this: in pixels, or in its own extent (two of the 28 cells
of a mask), whichever is more. Called cut, a whole object loses nothing: it is joined with what others saw of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A part of the picture, in its pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def corners(self) -> Float32[np.ndarray, "4"]:
        """xyxy."""
        return np.array([self.left, self.top, self.right, self.bottom], dtype=np.float32)

    def shared(self, other: "Tile") -> "Tile":
        """What lies in both; they must overlap."""
        return Tile(
            left=max(self.left, other.left),
            top=max(self.top, other.top),
            right=min(self.right, other.right),
            bottom=min(self.bottom, other.bottom),
        )


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Piece:
    """An object as far as its tile shows it, in pixels of the whole picture."""

    tile: Tile
    label: int
    score: float
    box_score: float
    box: Float32[np.ndarray, "4"]
    """xyxy."""
    spans: Spans
    cut: tuple[bool, bool, bool, bool]
    """Whether it ends at the tile's left, top, right and bottom border, where the picture goes on."""

    @property
    def is_whole(self) -> bool:
        """Whether no border cuts it."""
        return not any(self.cut)

    def goes_on_in(self, tile: Tile) -> bool:
        """Whether a border that cuts it lies inside of another tile."""
        own, other = self.tile, tile
        inside = (
            other.left < own.left < other.right,
            other.top < own.top < other.bottom,
            other.left < own.right < other.right,
            other.top < own.bottom < other.bottom,
        )
        return any(cut and seen for cut, seen in zip(self.cut, inside, strict=True))


def cut_sides(box: Float32[np.ndarray, "4"], tile: Tile, size: Size) -> tuple[bool, bool, bool, bool]:
    """At which borders of its tile an object in ``box`` ends, though the picture goes on there.

    >>> cut_sides(np.float32([90, 10, 100, 20]), Tile(left=0, top=0, right=100, bottom=50), Size(50, 200))
    (False, False, True, False)
    """
    pixels, share = NEAR
    extent = np.tile(box[2:] - box[:2], 2)
    near = np.abs(box - tile.corners) <= np.maximum(pixels, share * extent)
    borders = np.array([0, 0, size.width, size.height], dtype=np.float32)
    left, top, right, bottom = (near & (tile.corners != borders)).tolist()
    return left, top, right, bottom


def stitch(pieces: Sequence[Piece], overview: Sequence[Piece], size: Size) -> list[Piece]:
    """The objects of a picture of ``size``, each once, from what its tiles saw.

    An object that a tile saw whole is taken from there; what the others saw of it, whole or cut, is dropped. Pieces
    that no tile saw whole are joined where they agree, over as many tiles as it takes: the mask is their union, the box
    goes around it, the scores are those of the best piece.

    Args:
        pieces: What the tiles saw.
        overview: Objects of the picture seen as a whole, too large to be whole in a tile. Cut pieces of such an object
            are dropped, or give it their finer mask if together they cover it.
        size: Of the picture.
    """
    wholes = _each_once([piece for piece in pieces if piece.is_whole], size)
    large = [piece for piece in overview if not _is_made_of(piece, wholes)]
    cut, parts = _sort_out([piece for piece in pieces if not piece.is_whole], large, size)
    wholes, cut = _explain(cut, wholes, size)
    refined = [_refine(one, found, size) for one, found in zip(large, parts, strict=True)]
    return wholes + refined + [_join(group, size) for group in _groups(cut, size)]


def agree(a: Piece, b: Piece, size: Size) -> bool:
    """Whether pieces of two tiles show the same object.

    They do if their masks are the same. If one goes on in the other's tile, they also do if the masks are the same in
    the strip that both tiles see, or if the one that goes on lies there in the other.
    """
    shared = span.shared_area(a.spans, b.spans)
    if not shared:
        return False
    if shared >= SAME * (span.area(a.spans) + span.area(b.spans) - shared):
        return True
    a_goes_on, b_goes_on = a.goes_on_in(b.tile), b.goes_on_in(a.tile)
    in_a, in_b = _seen_by(b.tile, a, size), _seen_by(a.tile, b, size)
    return (
        ((a_goes_on or b_goes_on) and shared >= SAME * (in_a + in_b - shared))
        or (a_goes_on and shared >= CONTAINED * in_a)
        or (b_goes_on and shared >= CONTAINED * in_b)
    )


def _seen_by(tile: Tile, piece: Piece, size: Size) -> int:
    """How many pixels of a piece lie in another tile."""
    strip = tile.shared(piece.tile)
    return span.shared_area(span.rectangle(strip.left, strip.top, strip.right, strip.bottom, size), piece.spans)


class _Others:
    """Pieces among which those that show a certain object are looked for."""

    def __init__(self, pieces: Sequence[Piece], size: Size) -> None:
        self.pieces = pieces
        self._size = size
        self._boxes = np.array([piece.box for piece in pieces], dtype=np.float32).reshape(-1, 4)
        self._labels = np.array([piece.label for piece in pieces], dtype=np.int64)

    def matches(self, piece: Piece) -> Iterator[int]:
        """The places of those that show the object of ``piece``, of its class and in other tiles."""
        boxes, (left, top, right, bottom) = self._boxes, piece.box
        touching = (boxes[:, 0] < right) & (boxes[:, 1] < bottom) & (boxes[:, 2] > left) & (boxes[:, 3] > top)
        for place in np.flatnonzero(touching & (self._labels == piece.label)).tolist():
            other = self.pieces[place]
            if other.tile != piece.tile and agree(piece, other, self._size):
                yield place


def _each_once(pieces: Sequence[Piece], size: Size) -> list[Piece]:
    """Of pieces that show the same object, the one that is best seen: much of it, with a high score."""
    ranked = sorted(pieces, key=lambda piece: -piece.score * span.area(piece.spans))
    others, kept = _Others(ranked, size), set[int]()
    for place, piece in enumerate(ranked):
        if kept.isdisjoint(others.matches(piece)):
            kept.add(place)
    return [ranked[place] for place in sorted(kept)]


def _is_made_of(large: Piece, wholes: Sequence[Piece]) -> bool:
    """Whether what was taken for one object from afar is one or several that tiles saw whole."""
    covered = sum(span.shared_area(large.spans, one.spans) for one in wholes if one.label == large.label)
    return covered >= SAME * span.area(large.spans)


def _sort_out(cut: Sequence[Piece], large: Sequence[Piece], size: Size) -> tuple[list[Piece], list[list[Piece]]]:
    """The cut pieces that belong to no large object, and those of each."""
    others = _Others(large, size)
    parts: list[list[Piece]] = [[] for _ in large]
    rest: list[Piece] = []
    for piece in cut:
        place = next(others.matches(piece), None)
        (rest if place is None else parts[place]).append(piece)
    return rest, parts


def _explain(cut: Sequence[Piece], wholes: Sequence[Piece], size: Size) -> tuple[list[Piece], list[Piece]]:
    """The wholes, and the cut pieces that they leave unexplained.

    Where most of a piece lies outside of what the whole one's tile sees, that one was not whole: it joins the pieces.
    """
    others = _Others(wholes, size)
    unexplained, not_whole = [], set[int]()
    for piece in cut:
        found = list(others.matches(piece))
        beyond = [i for i in found if _seen_by(wholes[i].tile, piece, size) < SAME * span.area(piece.spans)]
        not_whole.update(beyond)
        if len(beyond) == len(found):
            unexplained.append(piece)
    return (
        [one for place, one in enumerate(wholes) if place not in not_whole],
        unexplained + [wholes[place] for place in sorted(not_whole)],
    )


def _refine(large: Piece, parts: Sequence[Piece], size: Size) -> Piece:
    """An object with the mask of its parts, which is finer, if they cover what was seen from afar."""
    joined = span.union([part.spans for part in parts])
    shared = span.shared_area(large.spans, joined)
    if shared < CONTAINED * (span.area(large.spans) + span.area(joined) - shared):
        return large
    return replace(large, box=span.bounds(joined, size), spans=joined)


def _groups(pieces: Sequence[Piece], size: Size) -> list[list[Piece]]:
    """Pieces that agree, directly or over others."""
    others, above = _Others(pieces, size), list(range(len(pieces)))

    def first_of(place: int) -> int:
        while above[place] != place:
            above[place] = place = above[above[place]]
        return place

    for place, piece in enumerate(pieces):
        for other in others.matches(piece):
            above[first_of(place)] = first_of(other)
    groups: dict[int, list[Piece]] = {}
    for place, piece in enumerate(pieces):
        groups.setdefault(first_of(place), []).append(piece)
    return list(groups.values())


def _join(group: Sequence[Piece], size: Size) -> Piece:
    """The pieces of one object as one; a single piece stays as it is."""
    best = max(group, key=lambda piece: piece.score)
    if len(group) == 1:
        return best
    joined = span.union([piece.spans for piece in group])
    return replace(best, box=span.bounds(joined, size), spans=joined)
