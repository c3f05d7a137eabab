"""Masks: their extent, drawn, moved, pasted into a box of the picture (the inverse of ``mask_crop.py``), and coded.

A true mask is ``Polygons`` or a ``Bitmap`` cut to the object, never a full-size plane. All of it is numpy: the work is
a few small matrix products per object, and an exported model needs it without torch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Bool, Float

from centermask.ops import rle as rles
from centermask.ops.rle import RLE, Runs
from centermask.size import Size

Box = Float[np.ndarray, "4"]
"""xyxy, pixels of the picture."""


class Polygons(NamedTuple):
    """A mask as the union of closed polygons, each an array of (x, y) in pixels of the picture."""

    parts: tuple[Float[np.ndarray, "vertices 2"], ...]


class Bitmap(NamedTuple):
    """A mask as the pixels around the object; the first one stands at (``left``, ``top``) of the picture."""

    pixels: Bool[np.ndarray, "height width"]
    left: int
    top: int


Mask = Polygons | Bitmap


def bounds(mask: Mask) -> Box:
    """The smallest box (xyxy) around a mask; all zeros if it is empty.

    >>> bounds(Bitmap(np.ones((2, 3), dtype=bool), left=10, top=20)).tolist()
    [10.0, 20.0, 13.0, 22.0]
    """
    match mask:
        case Polygons(parts):
            points = np.concatenate([np.zeros((0, 2)), *parts])
            if not len(points):
                return np.zeros(4)
            return np.concatenate([points.min(axis=0), points.max(axis=0)])
        case Bitmap(pixels, left, top):
            rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
            if not len(rows):
                return np.zeros(4)
            return np.array([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1], dtype=float)


def area(mask: Mask) -> float:
    """Area in square pixels: by the shoelace formula for polygons (parts add up), by counting for a bitmap."""
    match mask:
        case Polygons(parts):
            return float(sum(_shoelace(part) for part in parts))
        case Bitmap(pixels, _, _):
            return float(pixels.sum())


def _shoelace(points: Float[np.ndarray, "vertices 2"]) -> float:
    if not len(points):
        return 0.0
    x, y = points[:, 0], points[:, 1]
    closing = x[0] * y[-1] - y[0] * x[-1]
    return 0.5 * abs(float(np.dot(x[1:], y[:-1]) - np.dot(y[1:], x[:-1]) + closing))


def middle(mask: Mask) -> Float[np.ndarray, "2"]:
    """The centre of mass (x, y) of a mask; that of its bounds if it has no area.

    >>> middle(Bitmap(np.array([[True, True, True, False], [False, False, True, False]]), left=10, top=20)).tolist()
    [11.75, 20.75]
    """
    pixels, left, top = pixels_of(mask)
    rows, columns = np.nonzero(pixels)
    if not len(rows):
        return bounds(mask).reshape(2, 2).mean(axis=0)
    return np.array([left + columns.mean() + 0.5, top + rows.mean() + 0.5])


def covers(masks: Sequence[Mask], points: Float[np.ndarray, "points 2"]) -> Bool[np.ndarray, "points masks"]:
    """Whether the pixel at each point (x, y) belongs to each mask.

    >>> block = Bitmap(np.ones((2, 3), dtype=bool), left=10, top=20)
    >>> covers([block], np.array([[12.9, 20.0], [13.0, 20.0]])).tolist()
    [[True], [False]]
    """
    x, y = np.ascontiguousarray(np.floor(points).astype(np.int32).T)
    seen = np.zeros((len(masks), len(points)), dtype=bool)
    for own, (pixels, left, top) in zip(seen, map(pixels_of, masks), strict=True):
        height, width = pixels.shape
        near = np.flatnonzero((x >= left) & (x < left + width) & (y >= top) & (y < top + height))
        own[near] = pixels[y[near] - top, x[near] - left]
    return seen.T


def pixels_of(mask: Mask) -> Bitmap:
    """The pixels of a mask; polygons are drawn within their bounds, by COCO's rule."""
    if isinstance(mask, Bitmap):
        return mask
    left, top = np.floor(bounds(mask)[:2]).astype(int).tolist()
    right, bottom = np.ceil(bounds(mask)[2:]).astype(int).tolist()
    moved = [part - np.array([left, top]) for part in mask.parts]
    return Bitmap(draw(moved, Size(bottom - top, right - left)), left, top)


def draw(parts: Sequence[Float[np.ndarray, "_ 2"]], size: Size) -> Bool[np.ndarray, "height width"]:
    """Draw the union of polygons on a grid by COCO's rule."""
    if not parts or min(size) < 1:
        return np.zeros(size, dtype=bool)
    codes = coco_mask.frPyObjects([part.ravel().tolist() for part in parts], size.height, size.width)
    drawn: Bool[np.ndarray, "height width"] = coco_mask.decode(coco_mask.merge(codes)).astype(bool)
    return drawn


def resample(mask: Bitmap, box: Box, size: Size) -> Bool[np.ndarray, "height width"]:
    """Show a bitmap through a box on a grid of ``size``: a cell is set where the mask covers at least half of it.

    A box whose right is less than its left shows the mask mirrored.
    """
    pixels, left, top = mask
    rows = _coverage(box[1] - top, box[3] - top, size.height, pixels.shape[0])
    columns = _coverage(box[0] - left, box[2] - left, size.width, pixels.shape[1])
    return (rows @ pixels.astype(np.float32)) @ columns.T >= 0.5 - 1e-6


def _coverage(start: float, stop: float, cells: int, pixels: int) -> Float[np.ndarray, "cells pixels"]:
    """Which share of each of ``cells`` equal cells from start to stop each unit pixel [k, k + 1) covers."""
    if start == stop:
        return np.zeros((cells, pixels), dtype=np.float32)
    edges = start + (stop - start) / cells * np.arange(cells + 1)
    # How much of each pixel lies before each edge; where stop comes before start, both numbers are negative.
    before = np.clip(edges[:, None] - np.arange(pixels), 0, 1)
    return ((before[1:] - before[:-1]) * (cells / (stop - start))).astype(np.float32)


def move(mask: Mask, scale: tuple[float, float], offset: tuple[float, float], size: Size) -> Mask:
    """Move a mask by (x, y) → (x, y) · scale + offset and cut it to a picture of ``size``; a negative scale mirrors.

    The result may be empty; polygons are cut at the border so that ``bounds`` tells the visible box.
    """
    match mask:
        case Polygons(parts):
            moved = (_clip(part * np.array(scale) + np.array(offset), size) for part in parts)
            return Polygons(tuple(part for part in moved if len(part) >= 3))
        case Bitmap(pixels, left, top):
            x = np.sort(np.array([left, left + pixels.shape[1]]) * scale[0] + offset[0])
            y = np.sort(np.array([top, top + pixels.shape[0]]) * scale[1] + offset[1])
            x0, x1 = int(max(0, np.floor(x[0]))), int(min(size.width, np.ceil(x[1])))
            y0, y1 = int(max(0, np.floor(y[0]))), int(min(size.height, np.ceil(y[1])))
            if x1 <= x0 or y1 <= y0:
                return Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)
            corners = np.array([x0, y0, x1, y1], dtype=float)
            source = (corners - np.array([*offset, *offset])) / np.array([*scale, *scale])
            return Bitmap(resample(mask, source, Size(y1 - y0, x1 - x0)), x0, y0)


def shift(mask: Mask, x: int, y: int) -> Mask:
    """Move a mask by whole pixels; nothing is cut."""
    match mask:
        case Polygons(parts):
            return Polygons(tuple(part + np.array([x, y], dtype=float) for part in parts))
        case Bitmap(pixels, left, top):
            return Bitmap(pixels, left + x, top + y)


def as_bitmap(mask: Mask, size: Size) -> Bitmap:
    """The pixels of a mask that lies in a picture of ``size``, polygons drawn by COCO's rule."""
    return mask if isinstance(mask, Bitmap) else from_rle(to_rle(mask, size))


def _clip(points: Float[np.ndarray, "vertices 2"], size: Size) -> Float[np.ndarray, "kept 2"]:
    """Cut a polygon to the picture (Sutherland and Hodgman, one border after the other)."""
    if not len(points) or _holds(size, points):
        return points
    for axis, limit, sign in ((0, 0.0, 1), (0, float(size.width), -1), (1, 0.0, 1), (1, float(size.height), -1)):
        inside = (points[:, axis] - limit) * sign >= 0
        if inside.all():
            continue
        if not inside.any():
            return points[:0]
        following, inside_next = np.roll(points, -1, axis=0), np.roll(inside, -1)
        crosses = inside != inside_next
        step = np.where(crosses, following[:, axis] - points[:, axis], 1.0)
        crossing = points + ((limit - points[:, axis]) / step)[:, None] * (following - points)
        crossing[:, axis] = limit
        both = np.stack([points, crossing], axis=1).reshape(-1, 2)
        points = both[np.stack([inside, crosses], axis=1).ravel()]
    return points


def _holds(size: Size, points: Float[np.ndarray, "vertices 2"]) -> bool:
    return bool(points.min() >= 0 and points[:, 0].max() <= size.width and points[:, 1].max() <= size.height)


def paste(
    probabilities: Float[np.ndarray, "side side"],
    box: Box,
    size: Size,
    threshold: float = 0.5,
    *,
    fills_box: bool = False,
) -> Bitmap:
    """Put a soft mask back into its box of the picture and cut it at ``threshold``; the inverse of ``crop_masks``.

    Bilinear between cell centres. Beyond the outermost ones values fall to zero within a cell, as the published
    implementation pastes; of a mask that ``fills_box`` they stay, up to the edge of the box. The box may reach over the
    picture: only the part inside is made, and never more than the box.
    """
    side = probabilities.shape[0]
    x0, y0 = np.maximum(np.floor(box[:2]) - 1, 0).astype(int)
    x1, y1 = int(min(np.ceil(box[2]) + 1, size.width)), int(min(np.ceil(box[3]) + 1, size.height))
    if x1 <= x0 or y1 <= y0 or box[2] <= box[0] or box[3] <= box[1]:
        return Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)
    columns = _interpolation((np.arange(x0, x1) + 0.5 - box[0]) / (box[2] - box[0]) * side - 0.5, side, fills_box)
    rows = _interpolation((np.arange(y0, y1) + 0.5 - box[1]) / (box[3] - box[1]) * side - 0.5, side, fills_box)
    soft = rows @ probabilities.astype(np.float32) @ columns.T
    return Bitmap(soft >= threshold, int(x0), int(y0))


def _interpolation(
    positions: Float[np.ndarray, " pixels"], side: int, fills_box: bool
) -> Float[np.ndarray, "pixels side"]:
    """Weights that read a row of ``side`` values at fractional positions."""
    read = np.clip(positions, 0, side - 1) if fills_box else positions
    weights = np.clip(1 - np.abs(read[:, None] - np.arange(side)[None, :]), 0, None)
    if fills_box:
        weights[(positions < -0.5) | (positions >= side - 0.5)] = 0
    return weights.astype(np.float32)


def to_rle(mask: Mask, size: Size) -> RLE:
    """Code a mask at the size of its picture, without making the picture-sized plane of a bitmap."""
    match mask:
        case Polygons(parts):
            if not parts:
                return rles.compress(np.array([size.height * size.width]), size)
            codes = coco_mask.frPyObjects([part.ravel().tolist() for part in parts], *size)
            return RLE(size=list(size), counts=coco_mask.merge(codes)["counts"].decode("ascii"))
        case Bitmap():
            return rles.compress(_runs(mask, size), size)


def _runs(mask: Bitmap, size: Size) -> Runs:
    pixels, left, top = mask
    total = size.height * size.width
    height, width = pixels.shape
    columns = np.zeros((width, height + 2), dtype=bool)
    columns[:, 1:-1] = pixels.T
    # Each column begins and ends with background, so that in all of them together starts and ends of runs alternate.
    found = np.flatnonzero(columns[:, 1:] != columns[:, :-1])
    places = (found // (height + 1) + left) * size.height + found % (height + 1) + top
    starts, ends = places[::2], places[1::2]
    if not len(starts):
        return np.array([total])
    joined = starts[1:] == ends[:-1]  # a run that reaches the foot of a column goes on at the head of the next
    starts, ends = starts[np.append(True, ~joined)], ends[np.append(~joined, True)]
    edges = np.stack([starts, ends], axis=1).ravel()
    runs = np.diff(np.concatenate([[0], edges, [total]]))
    return runs if runs[-1] else runs[:-1]


def from_rle(code: RLE) -> Bitmap:
    """The bitmap behind a run-length code, cut to the object; the inverse of ``to_rle``.

    Raises:
        ValueError: the code is broken (see ``rle.runs_of``); nothing is allocated before that is known.
    """
    return from_runs(rles.runs_of(code), Size(*code["size"]))


def from_runs(runs: Runs, size: Size) -> Bitmap:
    """The bitmap behind checked runs, cut to the object."""
    edges = np.cumsum(runs)
    ends = edges[1::2]
    starts = edges[::2][: len(ends)]
    lengths = ends - starts
    starts, lengths = starts[lengths > 0], lengths[lengths > 0]
    if not len(starts):
        return Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)
    columns, rows = np.divmod(starts, size.height)
    top, bottom = int(rows.min()), int((rows + lengths).max())
    if bottom > size.height:  # a run goes on at the head of the next column: it has the lowest and the highest row
        top, bottom = 0, size.height
    left, right = int(columns[0]), int((starts[-1] + lengths[-1] - 1) // size.height) + 1
    # Only the rows of the object are written, column by column: +1 where a run starts, −1 behind its end.
    at = (columns - left) * (bottom - top) + rows - top
    steps = np.zeros((right - left) * (bottom - top) + 1, dtype=np.int8)
    steps[at] += 1
    steps[at + lengths] -= 1
    strip = np.cumsum(steps[:-1], dtype=np.int8).view(bool).reshape(right - left, bottom - top)
    return Bitmap(np.ascontiguousarray(strip.T), left, top)
