"""Gemstones scattered on a tray: which stones, where, which hide which; and their photograph.

A stone is drawn in its own small patch. Its shape is the set of pixels of which it covers half or more; a stone put
down later takes its pixels from those below, which makes the visible masks exact and disjoint.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int16, UInt8
from PIL import Image, ImageDraw, ImageFilter

from centermask.data import gem_light
from centermask.data.gem_cuts import KINDS, Cut, Facets, Outline, cut_stone
from centermask.data.gem_light import MATTER, Lamps, Light, Matter
from centermask.size import Size

NOBODY = -1
LEAST_SHARE = 0.25
"""Of a stone's area stays visible, or the stone above it is put elsewhere."""
LEAST_PIXELS = 16

Coverage = Float32[np.ndarray, "height width"]
Rotation = Float[np.ndarray, "3 3"]
Owners = Int16[np.ndarray, "height width"]
"""The index of the topmost stone at each pixel, or ``NOBODY``."""


class Stone(NamedTuple):
    """A stone in its patch, before it has a place; it stands in the middle of the patch, ``radius`` pixels large."""

    kind: str
    matter: Matter
    radius: float
    cut: Cut
    """Turned and tilted to the picture frame."""
    coverage: Coverage
    """The share of each pixel that the stone covers."""

    @property
    def shape(self) -> Bool[np.ndarray, "height width"]:
        """The pixels that belong to the stone."""
        return self.coverage >= 0.5


class Placed(NamedTuple):
    """A stone whose patch begins at (``left``, ``top``) of the picture; that may lie outside."""

    stone: Stone
    left: int
    top: int


class Window(NamedTuple):
    """The part of a patch that lies inside the picture, seen from both."""

    picture: tuple[slice, slice]
    patch: tuple[slice, slice]


def window(placed: Placed, size: Size, shift: tuple[int, int] = (0, 0)) -> Window:
    """Cut a stone's patch, moved by ``shift`` (down, right) pixels, to a picture of ``size``."""
    picture, patch = [], []
    starts = (placed.top + shift[0], placed.left + shift[1])
    for start, length, limit in zip(starts, placed.stone.coverage.shape, size, strict=True):
        low, high = min(max(start, 0), limit), max(min(start + length, limit), 0)
        picture.append(slice(low, max(high, low)))
        patch.append(slice(low - start, max(high, low) - start))
    return Window((picture[0], picture[1]), (patch[0], patch[1]))


# --- a stone ---


def pick_stone(radius: float, rng: np.random.Generator) -> Stone:
    """A stone of any kind and any matter, ``radius`` pixels large, turned and a little tilted."""
    kind = list(KINDS)[int(rng.integers(len(KINDS)))]
    upright = cut_stone(kind, float(rng.uniform(*KINDS[kind].across)))
    turn = _rotation(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 0.30)), float(rng.uniform(0, 2 * np.pi)))
    crown, pavilion = (_turned(facets, turn, rng) for facets in (upright.crown, upright.pavilion))
    cut = Cut(upright.outline @ turn[:2, :2].T, crown, pavilion)
    return Stone(kind, _pick_matter(rng), radius, cut, _cover(cut.outline * radius))


def _pick_matter(rng: np.random.Generator) -> Matter:
    """A family, paler or deeper, its hue a little off."""
    matter = list(MATTER.values())[int(rng.integers(len(MATTER)))]
    hue = matter.transmission * rng.uniform(0.85, 1.15, 3)
    depth = rng.uniform(0.45, 1.1)
    return matter._replace(transmission=(np.clip(hue, 0.02, 0.99) ** depth).astype(np.float32))


def _rotation(spin: float, tilt: float, towards: float) -> Rotation:
    """Turn by ``spin`` about z, then lean by ``tilt`` in the direction ``towards`` (radians)."""
    lean = _about_z(towards) @ _about_y(tilt) @ _about_z(-towards)
    rotation: Rotation = lean @ _about_z(spin)
    return rotation


def _about_z(angle: float) -> Rotation:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def _about_y(angle: float) -> Rotation:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def _turned(facets: Facets, rotation: Rotation, rng: np.random.Generator) -> Facets:
    """Facets in the picture frame, each a little off as a hand would polish it."""
    normals = facets.normals @ rotation.T + rng.normal(0, 0.012, facets.normals.shape)
    return Facets((normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32), facets.offsets)


def _cover(outline: Outline) -> Coverage:
    """Draw an outline (pixels from the middle) in the middle of a patch that just holds it."""
    half = int(np.ceil(np.abs(outline).max())) + 1
    drawn = Image.new("L", (8 * half, 8 * half))
    corners = (outline + half) * 4 - 0.5
    ImageDraw.Draw(drawn).polygon([(float(x), float(y)) for x, y in corners], fill=255)
    return np.asarray(drawn.resize((2 * half, 2 * half), Image.Resampling.BOX), dtype=np.float32) / 255


# --- its place ---


def scatter(
    size: Size, count: int, radius: tuple[float, float], overlap: float, rng: np.random.Generator
) -> tuple[list[Placed], Owners]:
    """Put up to ``count`` stones down, lowest first; a stone for which there is no room is left out.

    A share ``overlap`` of them, but no more than leaves a free one in six, is put partly onto another one; the rest lie
    on free tray, half of these against a neighbour. Every stone keeps ``LEAST_SHARE`` of its area, and at least
    ``LEAST_PIXELS``, in sight.
    """
    owners: Owners = np.full(size, NOBODY, dtype=np.int16)
    stones: list[Placed] = []
    free = max(count - int(rng.binomial(count, overlap)), -(-count // 6))
    for i in range(count):
        stone = pick_stone(float(rng.uniform(*radius)), rng)
        placed = _put_free(stone, owners, rng) if i < free else _put_onto(stone, stones, owners, rng)
        if placed is None:
            continue
        part = window(placed, size)
        owners[part.picture][stone.shape[part.patch]] = len(stones)
        stones.append(placed)
    return stones, owners


def _put_onto(stone: Stone, stones: list[Placed], owners: Owners, rng: np.random.Generator) -> Placed | None:
    """A place where ``stone`` hides a part of another one, and nothing hides too much."""
    for _ in range(30 if stones else 0):
        below = stones[int(rng.integers(len(stones)))]
        reach = float(rng.uniform(0.3, 0.8)) * (stone.radius + below.stone.radius)
        angle = float(rng.uniform(0, 2 * np.pi))
        half = below.stone.coverage.shape[0] / 2
        placed = _centred(stone, below.top + half + reach * np.sin(angle), below.left + half + reach * np.cos(angle))
        if _hides(placed, owners) and _shows(placed, owners) and _spares(placed, stones, owners):
            return placed
    return None


def _put_free(stone: Stone, owners: Owners, rng: np.random.Generator) -> Placed | None:
    """A place where ``stone`` hides nothing; in half of the cases pushed on until it meets something."""
    middle = np.array(owners.shape) / 2
    reach = np.maximum(middle - 0.4 * stone.radius, 0)
    for _ in range(40):
        y, x = rng.uniform(middle - reach, middle + reach).tolist()
        placed = _centred(stone, y, x)
        if _shows(placed, owners) and not _hides(placed, owners):
            return _pushed(placed, owners, rng) if rng.random() < 0.5 else placed
    return None


def _pushed(placed: Placed, owners: Owners, rng: np.random.Generator) -> Placed:
    """The last place before a stone, pushed in any direction, runs into another one or out of the picture."""
    angle = float(rng.uniform(0, 2 * np.pi))
    last = placed
    for step in range(1, int(3 * placed.stone.radius)):
        left, top = placed.left + round(step * np.cos(angle)), placed.top + round(step * np.sin(angle))
        moved = placed._replace(left=left, top=top)
        if _hides(moved, owners) or not _shows(moved, owners):
            break
        last = moved
    return last


def _centred(stone: Stone, y: float, x: float) -> Placed:
    half = stone.coverage.shape[0] / 2
    return Placed(stone, left=round(x - half), top=round(y - half))


def _under(placed: Placed, owners: Owners) -> Int16[np.ndarray, " pixels"]:
    """Who owns the pixels that a stone would take; those outside the picture are left out."""
    part = window(placed, Size(*owners.shape))
    taken: Int16[np.ndarray, " pixels"] = owners[part.picture][placed.stone.shape[part.patch]]
    return taken


def _hides(placed: Placed, owners: Owners) -> bool:
    return bool((_under(placed, owners) != NOBODY).any())


def _shows(placed: Placed, owners: Owners) -> bool:
    """Whether enough of the stone is inside the picture."""
    return _is_enough(len(_under(placed, owners)), placed.stone, 0.5)


def _spares(placed: Placed, stones: list[Placed], owners: Owners) -> bool:
    """Whether enough is left of every stone that the new one covers."""
    taken = _under(placed, owners)
    hidden = np.bincount(taken[taken != NOBODY], minlength=len(stones))
    visible = np.bincount(owners[owners != NOBODY], minlength=len(stones))
    return all(_is_enough(int(visible[i] - hidden[i]), stones[i].stone, LEAST_SHARE) for i in np.flatnonzero(hidden))


def _is_enough(visible: int, stone: Stone, share: float) -> bool:
    return visible >= max(LEAST_PIXELS, share * int(stone.shape.sum()))


# --- the photograph ---

SUBPIXELS = np.array([(-0.33, 0.0), (0.17, -0.33), (0.17, 0.33)], dtype=np.float32)
"""Where a pixel is looked at, as (x, y) from its middle."""


def photograph(stones: list[Placed], size: Size, rng: np.random.Generator) -> UInt8[np.ndarray, "height width 3"]:
    """The picture (RGB) of ``stones`` lying on a tray, lowest first."""
    key = gem_light.aim_lamp(rng)
    light = gem_light.lay_tray(size, key, rng)
    lamps = gem_light.hang_lamps(key, light.mean(axis=(0, 1)), rng)
    for placed in stones:
        _cast_shadow(light, placed, lamps)
        _lay(light, placed, lamps)
    return gem_light.develop(light, rng)


def _cast_shadow(light: Light, placed: Placed, lamps: Lamps) -> None:
    """Darken ``light`` beside a stone: close and dark where it touches, wide and coloured away from the key lamp."""
    stone = placed.stone
    away = -lamps.directions[0, :2] / np.linalg.norm(lamps.directions[0, :2])
    passed = stone.matter.transmission**1.5
    for reach, blur, depth, glow in ((0.07, 0.08, 0.70, 0.0), (0.34, 0.20, 0.72, 0.40)):
        pad = int(np.ceil(stone.radius * 3 * blur)) + 1
        shadow = depth * _softened(stone.coverage, pad, stone.radius * blur)
        cast = Placed(stone._replace(coverage=shadow), placed.left - pad, placed.top - pad)
        right, down = (round(float(part) * reach * stone.radius) for part in away)
        part = window(cast, Size(*light.shape[:2]), (down, right))
        light[part.picture] *= 1 - shadow[part.patch][:, :, None] * (1 - glow * passed)


def _softened(coverage: Coverage, pad: int, blur: float) -> Float32[np.ndarray, "height+2*{pad} width+2*{pad}"]:
    """Blur by ``blur`` pixels, over the patch and ``pad`` pixels around."""
    image = Image.fromarray((np.pad(coverage, pad) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / 255


def _lay(light: Light, placed: Placed, lamps: Lamps) -> None:
    """Put the look of a stone over ``light``; what lies below shines through it."""
    part = window(placed, Size(*light.shape[:2]))
    below = light[part.picture]
    coverage = placed.stone.coverage[part.patch][:, :, None]
    ground = below[coverage[:, :, 0] > 0].mean(axis=0)
    look = _look(placed.stone, lamps._replace(tray=ground))[part.patch]
    light[part.picture] = below + coverage * (look - below)


def _look(stone: Stone, lamps: Lamps) -> Light:
    """The light from every pixel of the patch that the stone touches; zero elsewhere."""
    rows, columns = np.nonzero(stone.coverage)
    middle = np.array(stone.coverage.shape, dtype=np.float32)[::-1] / 2
    pixels = np.stack([columns, rows], axis=1).astype(np.float32) + 0.5 - middle
    points = (pixels[:, None] + SUBPIXELS).reshape(-1, 2) / np.float32(stone.radius)
    seen, facet = gem_light.trace(points, stone.cut.crown, stone.cut.pavilion, stone.matter, lamps)
    facets = facet.reshape(-1, len(SUBPIXELS))
    edge = (facets != facets[:, :1]).any(axis=1, keepdims=True)
    look = np.zeros((*stone.coverage.shape, 3), dtype=np.float32)
    look[rows, columns] = seen.reshape(-1, len(SUBPIXELS), 3).mean(axis=1) * (1 + 0.18 * edge) + 0.03 * edge
    look += _rim(stone.coverage)[:, :, None] * (0.03 + 0.13 * stone.matter.transmission)
    return look


def _rim(coverage: Coverage) -> Coverage:
    """The pixels along the outline, where the ground girdle scatters light."""
    around = np.pad(coverage, 1)
    neighbours = np.stack([around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]])
    rim: Coverage = coverage * (1 - neighbours.min(axis=0))
    return rim
