"""Large pictures, tile by tile: a predictor for pictures whose objects would be too small if they were scaled down."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from centermask.errors import UserError
from centermask.instances import Instances
from centermask.ops import mask_warp, spans
from centermask.predict import Finder, ImageLike, Picture, load_picture, picture_name
from centermask.size import Size
from centermask.stitch import Piece, Tile, cut_sides, stitch

TILES_AT_ONCE = 4
"""In one run of the network: they are of one size, so that the answer does not depend on it."""


class TiledPredictor:
    """Finds the objects of large pictures in overlapping tiles, each object once; called like the predictor within.

    A tile is a picture to the predictor: it is scaled so that its short side is the predictor's ``short_side``, and an
    object looks as large to the network as in a picture of the tile's size. A ``tile`` as large as ``short_side``, or a
    predictor with ``resize=False``, shows the network the pixels as they are; a smaller tile enlarges them.

    What lies in the tiles' overlap is seen twice, and tells which pieces belong together (``stitch``). An object no
    larger than the overlap is always whole in some tile. Larger ones are also looked for in the whole picture, scaled
    down as without tiles. A picture that fits into one tile gets the predictor's own answer.

    >>> from centermask import Predictor, TiledPredictor                               # doctest: +SKIP
    >>> instances = TiledPredictor(Predictor("plus-nano"), tile=640)("aerial.tif")     # doctest: +SKIP

    Args:
        predictor: Finds the objects of a tile. Its ``score_threshold`` holds for what a tile shows of an object, its
            ``max_detections`` for each tile and for the picture.
        tile: Side of the tiles in pixels of the picture.
        overlap: Share of its side by which a tile overlaps the next one, or more, because the last one ends at the
            picture's border.
        overview: Look for objects larger than the overlap in the whole picture, too: one more run of the network. A
            predictor with ``resize=False`` never does: it would have to take all pixels at once.

    Raises:
        UserError: the tile is too small, or the overlap not in its range.
    """

    def __init__(self, predictor: Finder, *, tile: int = 640, overlap: float = 0.2, overview: bool = True) -> None:
        if tile < 32:
            raise UserError(f"tile must be at least 32 pixels, not {tile}")
        if not 0 < overlap <= 0.5:
            raise UserError(f"overlap must lie in (0, 0.5], not {overlap}; without it, what a border cuts stays cut")
        self.predictor = predictor
        self.tile, self.overlap, self.overview = tile, overlap, overview and predictor.resize
        self.model, self.device, self.resize = predictor.model, predictor.device, predictor.resize
        self.class_names, self.category_ids = predictor.class_names, predictor.category_ids
        self.short_side, self.long_side = predictor.short_side, predictor.long_side
        self.score_threshold, self.max_detections = predictor.score_threshold, predictor.max_detections

    def __call__(self, image: ImageLike) -> Instances:
        """Find the objects of one picture, best first.

        Raises:
            UserError: see ``Predictor``.
        """
        picture = load_picture(image)
        tiles = lay_tiles(Size(*picture.shape[:2]), self.tile, self.overlap)
        found = self.predictor(picture) if len(tiles) == 1 else self._find(picture, tiles)
        return dataclasses.replace(found, file_name=picture_name(image))

    def batch(self, images: Sequence[ImageLike]) -> list[Instances]:
        """Find the objects of several pictures, one after the other.

        Raises:
            UserError: see ``Predictor``.
        """
        return [self(image) for image in images]

    def _find(self, picture: Picture, tiles: Sequence[Tile]) -> Instances:
        size = Size(*picture.shape[:2])
        pieces = [piece for tile, found in self._look(picture, tiles) for piece in _pieces(found, tile, size)]
        found = stitch(pieces, self._large(picture) if self.overview else [], size)
        best = sorted(found, key=lambda piece: -piece.score)[: self.max_detections]
        return self._instances(best, size)

    def _look(self, picture: Picture, tiles: Sequence[Tile]) -> Iterator[tuple[Tile, Instances]]:
        for start in range(0, len(tiles), TILES_AT_ONCE):
            some = tiles[start : start + TILES_AT_ONCE]
            crops = [picture[tile.top : tile.bottom, tile.left : tile.right] for tile in some]
            yield from zip(some, self.predictor.batch(crops), strict=True)

    def _large(self, picture: Picture) -> list[Piece]:
        """Objects of the whole picture, scaled down, that may be whole in no tile."""
        size = Size(*picture.shape[:2])
        everything = Tile(left=0, top=0, right=size.width, bottom=size.height)
        found = self.predictor(picture)
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        return _pieces(found[sides.max(axis=1, initial=0) > self.overlap * self.tile], everything, size)

    def _instances(self, pieces: Sequence[Piece], size: Size) -> Instances:
        return Instances(
            size=size,
            boxes=np.array([piece.box for piece in pieces], dtype=np.float32).reshape(-1, 4),
            scores=np.array([piece.score for piece in pieces], dtype=np.float32),
            box_scores=np.array([piece.box_score for piece in pieces], dtype=np.float32),
            labels=np.array([piece.label for piece in pieces], dtype=np.int64),
            rle=tuple(spans.to_rle(piece.spans, size) for piece in pieces),
            categories=self.class_names,
            category_ids=self.category_ids,
        )


def lay_tiles(size: Size, tile: int, overlap: float) -> list[Tile]:
    """Tiles that cover a picture, row by row: evenly spread, all of one size, the last ones flush with its border.

    >>> [(each.left, each.right) for each in lay_tiles(Size(100, 250), tile=100, overlap=0.2)]
    [(0, 100), (75, 175), (150, 250)]
    """
    height, width = min(tile, size.height), min(tile, size.width)
    return [
        Tile(left=left, top=top, right=left + width, bottom=top + height)
        for top in _starts(size.height, tile, overlap)
        for left in _starts(size.width, tile, overlap)
    ]


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    beyond = max(0, length - tile)
    steps = -(-beyond // max(1, int(tile * (1 - overlap))))
    return [beyond * i // steps for i in range(steps + 1)] if steps else [0]


def _pieces(found: Instances, tile: Tile, size: Size) -> list[Piece]:
    """What a tile shows, in pixels of the whole picture; objects whose mask is empty are left out."""
    pieces = (_piece(found, i, tile, size) for i in range(len(found)))
    return [piece for piece in pieces if len(piece.spans)]


def _piece(found: Instances, i: int, tile: Tile, size: Size) -> Piece:
    mask = mask_warp.shift(mask_warp.from_rle(found.rle[i]), tile.left, tile.top)
    box = found.boxes[i] + np.array([tile.left, tile.top] * 2, dtype=np.float32)
    around = mask_warp.bounds(mask).astype(np.float32)
    extent = np.concatenate([np.minimum(box, around)[:2], np.maximum(box, around)[2:]])
    return Piece(
        tile=tile,
        label=int(found.labels[i]),
        score=float(found.scores[i]),
        box_score=float(found.box_scores[i]),
        box=box,
        spans=spans.spans_of(mask_warp.to_rle(mask, size)),
        cut=cut_sides(extent, tile, size),
    )
