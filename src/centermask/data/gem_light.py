"""Light on gemstones: lamps, what a stone shows of them, the tray below, and the camera above.

Picture frame: x right, y down, z towards the camera, which looks straight down. Light is linear RGB; a white sheet in
full light is about 1. A stone is traced as light travels: through the crown, twice off the pavilion, out through the
crown to a lamp, losing colour on the way.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from PIL import Image, ImageFilter

from centermask.data.gem_cuts import Facets
from centermask.size import Size

Colour = Float32[np.ndarray, "3"]
Light = Float32[np.ndarray, "height width 3"]
Plane = Float32[np.ndarray, "height width"]
Rays = Float32[np.ndarray, "rays 3"]

PORTION = 2048
"""Rays traced at once: few enough for the processor's cache, which makes it several times as fast."""


class Lamps(NamedTuple):
    """What shines on the tray; the first lamp is the one that throws the shadows."""

    directions: Float32[np.ndarray, "lamps 3"]
    edges: Float32[np.ndarray, " lamps"]
    """Cosine of each lamp's half-angle."""
    powers: Float32[np.ndarray, "lamps 3"]
    tray: Colour
    """The light that comes back from below."""


class Matter(NamedTuple):
    """What a stone is made of."""

    transmission: Colour
    """The share of light left after one radius of stone."""
    refraction: float
    """Its index."""


MATTER: dict[str, Matter] = {
    name: Matter(np.array(rgb, dtype=np.float32), index)
    for name, rgb, index in (
        ("ruby", (0.86, 0.10, 0.20), 1.77),
        ("sapphire", (0.10, 0.24, 0.82), 1.77),
        ("emerald", (0.10, 0.70, 0.34), 1.58),
        ("amethyst", (0.56, 0.26, 0.85), 1.55),
        ("citrine", (0.96, 0.70, 0.14), 1.55),
        ("diamond", (0.97, 0.97, 0.98), 2.42),
        ("garnet", (0.66, 0.10, 0.08), 1.79),
        ("topaz", (0.55, 0.83, 0.95), 1.62),
    )
}


def aim_lamp(rng: np.random.Generator) -> Float32[np.ndarray, "3"]:
    """The direction (a unit vector from the tray) of a key lamp that stands half high."""
    height, turn = rng.uniform(0.6, 0.8), rng.uniform(0, 2 * np.pi)
    level = np.sqrt(1 - height**2)
    return np.array([level * np.cos(turn), level * np.sin(turn), height], dtype=np.float32)


def hang_lamps(key: Float32[np.ndarray, "3"], tray: Colour, rng: np.random.Generator) -> Lamps:
    """The ``key`` lamp, a window, and small lights around, over a tray that throws back ``tray``."""
    small = int(rng.integers(7, 12))
    height, turn = rng.uniform(0.25, 0.95, small + 1), rng.uniform(0, 2 * np.pi, small + 1)
    level = np.sqrt(1 - height**2)
    others = np.stack([level * np.cos(turn), level * np.sin(turn), height], axis=1)
    edges = np.cos(np.radians(np.concatenate([[20.0, 32.0], rng.uniform(5, 14, small)])))
    strength = np.concatenate([[4.5, 1.6], rng.uniform(1.0, 4.0, small)])
    tint = 1 + rng.uniform(-0.08, 0.08, (2 + small, 1)) * np.array([1.0, 0.0, -1.0])
    powers = (strength[:, None] * tint).astype(np.float32)
    return Lamps(np.vstack([key, others]).astype(np.float32), edges.astype(np.float32), powers, tray)


def shine(lamps: Lamps, directions: Rays) -> Rays:
    """The light that comes from each direction (a unit vector from the stone)."""
    up = directions[:, 2:]
    towards = directions @ lamps.directions.T
    seen = np.clip((towards - lamps.edges) / (1 - lamps.edges) * 3, 0, 1)
    camera = 1 - 0.85 * np.clip((up - 0.90) * 16, 0, 1)
    above = seen @ lamps.powers + (0.06 + 0.34 * up) * camera
    return np.where(up > 0, above, 0.35 * lamps.tray)


def trace(
    points: Float32[np.ndarray, "rays 2"], crown: Facets, pavilion: Facets, matter: Matter, lamps: Lamps
) -> tuple[Rays, Int[np.ndarray, " rays"]]:
    """What the camera sees of a stone at ``points`` (in radii from its middle), and on which facet of the crown."""
    portions = [points[i : i + PORTION] for i in range(0, len(points), PORTION)]
    traced = [_trace(portion, crown, pavilion, matter, lamps) for portion in portions]
    return np.concatenate([light for light, _ in traced]), np.concatenate([facet for _, facet in traced])


def _trace(
    points: Float32[np.ndarray, "rays 2"], crown: Facets, pavilion: Facets, matter: Matter, lamps: Lamps
) -> tuple[Rays, Int[np.ndarray, " rays"]]:
    heights, facet = _surface(points, crown)
    normal = crown.normals[facet]
    down = np.zeros_like(normal)
    down[:, 2] = -1.0
    mirror = _schlick(normal[:, 2:], matter.refraction)
    inside, _ = _refract(down, normal, 1 / matter.refraction)
    body = _interior(np.concatenate([points, heights[:, None]], axis=1), inside, crown, pavilion, matter, lamps)
    return mirror * shine(lamps, _reflect(down, normal)) + (1 - mirror) * body, facet


def _surface(
    points: Float32[np.ndarray, "rays 2"], crown: Facets
) -> tuple[Float32[np.ndarray, " rays"], Int[np.ndarray, " rays"]]:
    slopes = crown.normals[:, :2] / crown.normals[:, 2:]
    heights = crown.offsets / crown.normals[:, 2] - points @ slopes.T
    facet = heights.argmin(axis=1)
    return heights[np.arange(len(points)), facet], facet


def _interior(origin: Rays, direction: Rays, crown: Facets, pavilion: Facets, matter: Matter, lamps: Lamps) -> Rays:
    """Follow rays off two facets of the pavilion and out; where a facet lets light through, the tray shows."""
    seen = np.zeros_like(origin)
    left = np.ones_like(origin)
    for _ in range(2):
        origin, normal, length = _hit(origin, direction, pavilion)
        left = left * _absorbed(matter, length)
        _, through = _refract(direction, -normal, matter.refraction)
        seen += left * through * 0.45 * lamps.tray
        left = left * (1 - through)
        direction = _reflect(direction, normal)
    _, normal, length = _hit(origin, direction, crown)
    out, through = _refract(direction, -normal, matter.refraction)
    light = np.where(through > 0, shine(lamps, out), 0.5 * shine(lamps, direction))
    seen += left * _absorbed(matter, length) * light
    return seen


def _absorbed(matter: Matter, length: Float32[np.ndarray, "rays 1"]) -> Rays:
    left: Rays = np.exp(length * np.log(matter.transmission))
    return left


def _hit(origin: Rays, direction: Rays, facets: Facets) -> tuple[Rays, Rays, Float32[np.ndarray, "rays 1"]]:
    """Where rays from inside meet the first of ``facets``: point, normal, distance."""
    nearness = (direction @ facets.normals.T) / np.maximum(facets.offsets - origin @ facets.normals.T, 1e-5)
    facet = nearness.argmax(axis=1)
    length = 1 / np.maximum(nearness[np.arange(len(origin)), facet], 1 / 3)[:, None]
    return origin + length * direction, facets.normals[facet], length


def _reflect(direction: Rays, normal: Rays) -> Rays:
    reflected: Rays = direction - 2 * _dot(direction, normal) * normal
    return reflected


def _dot(a: Rays, b: Rays) -> Float32[np.ndarray, "rays 1"]:
    product: Float32[np.ndarray, "rays 1"] = np.einsum("ri,ri->r", a, b)[:, None]
    return product


def _refract(direction: Rays, normal: Rays, ratio: float) -> tuple[Rays, Float32[np.ndarray, "rays 1"]]:
    """Bend rays at a surface whose normal points against them; also the share that passes (0: total reflection)."""
    cosine = np.clip(-_dot(direction, normal), 0, 1)
    square = 1 - ratio**2 * (1 - cosine**2)
    outer = np.sqrt(np.maximum(square, 0))
    bent = ratio * direction + (ratio * cosine - outer) * normal
    outside = outer if ratio > 1 else cosine
    return bent, np.where(square > 0, 1 - _schlick(outside, ratio), np.float32(0))


def _schlick(cosine: Float32[np.ndarray, "rays 1"], index: float) -> Float32[np.ndarray, "rays 1"]:
    """The share of light that a surface mirrors (Schlick 1994)."""
    least = ((index - 1) / (index + 1)) ** 2
    square = np.square(1 - cosine)
    mirrored: Float32[np.ndarray, "rays 1"] = np.float32(least) + np.float32(1 - least) * square**2 * (1 - cosine)
    return mirrored


# --- the tray ---


def noise(size: Size, cell: tuple[float, float], rng: np.random.Generator) -> Plane:
    """Smooth noise of unit strength whose blobs are about ``cell`` (height, width) pixels."""
    rows, columns = (max(2, round(side / step)) for side, step in zip(size, cell, strict=True))
    coarse = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
    return np.asarray(coarse.resize((size.width, size.height), Image.Resampling.BICUBIC))


def lay_tray(size: Size, lamp: Float32[np.ndarray, "3"], rng: np.random.Generator) -> Light:
    """An empty tray of felt, paper, steel or wood, lit from the side of ``lamp``."""
    covers = (_felt, _paper, _steel, _wood)
    cover = covers[int(rng.integers(len(covers)))](size, rng)
    cover *= _falloff(size, lamp, rng)[:, :, None]
    return cover


def _falloff(size: Size, lamp: Float32[np.ndarray, "3"], rng: np.random.Generator) -> Plane:
    """Brighter towards the lamp, darker in the corners, uneven by a little."""
    y, x = np.linspace(-1, 1, size.height, dtype=np.float32)[:, None], np.linspace(-1, 1, size.width, dtype=np.float32)
    slope = float(rng.uniform(0.10, 0.28))
    vignette = 1 - float(rng.uniform(0.08, 0.22)) * (x**2 + y**2)
    lit: Plane = (1 + slope * (lamp[0] * x + lamp[1] * y)) * vignette * (1 + 0.03 * noise(size, (120.0, 120.0), rng))
    return lit


def _felt(size: Size, rng: np.random.Generator) -> Light:
    dyes = ((0.02, 0.02, 0.025), (0.02, 0.035, 0.10), (0.02, 0.07, 0.045), (0.12, 0.02, 0.03), (0.16, 0.16, 0.17))
    dye = np.array(dyes[int(rng.integers(len(dyes)))], dtype=np.float32) * rng.uniform(0.9, 1.6)
    fibres = noise(size, (1.0, 3.0), rng) + noise(size, (3.0, 1.0), rng) + noise(size, (1.5, 1.5), rng)
    return _cover(dye, 1 + 0.13 * fibres + 0.10 * noise(size, (30.0, 30.0), rng))


def _paper(size: Size, rng: np.random.Generator) -> Light:
    white = np.array([0.78, 0.76, 0.72], dtype=np.float32) * rng.uniform(0.75, 1.05)
    return _cover(white, 1 + 0.012 * noise(size, (1.3, 1.3), rng) + 0.02 * noise(size, (9.0, 9.0), rng))


def _steel(size: Size, rng: np.random.Generator) -> Light:
    grey = np.array([0.36, 0.37, 0.39], dtype=np.float32) * rng.uniform(0.8, 1.25)
    brushed = 0.09 * noise(size, (1.0, 60.0), rng) + 0.05 * noise(size, (2.0, 160.0), rng)
    return _cover(grey, 1 + brushed + 0.10 * noise(size, (400.0, 70.0), rng))


def _wood(size: Size, rng: np.random.Generator) -> Light:
    woods = ((0.30, 0.16, 0.07), (0.44, 0.28, 0.14), (0.12, 0.06, 0.03))
    wood = np.array(woods[int(rng.integers(len(woods)))], dtype=np.float32)
    rows = np.arange(size.height, dtype=np.float32)[:, None]
    rings = np.sin(rows / float(rng.uniform(5, 9)) + 1.6 * noise(size, (50.0, 160.0), rng))
    grain = noise(size, (1.0, 24.0), rng) + noise(size, (12.0, 140.0), rng)
    return _cover(wood, 1 + 0.13 * rings + 0.10 * grain)


def _cover(colour: Float[np.ndarray, "3"], pattern: Plane) -> Light:
    cover: Light = np.maximum(pattern, 0.2)[:, :, None] * colour.astype(np.float32)
    return cover


# --- the camera ---


def develop(light: Light, rng: np.random.Generator) -> UInt8[np.ndarray, "height width 3"]:
    """The photograph (RGB) that a small camera takes of ``light``: balance, exposure, bloom, lens blur and noise."""
    balance = 1 + rng.uniform(-0.06, 0.06) * np.array([1.0, 0.1, -1.0]) + rng.uniform(-0.015, 0.015, 3)
    exposed = light * (balance * rng.uniform(1.35, 1.75)).astype(np.float32)
    film = np.sqrt(1 - np.exp(-exposed))
    glare = _blurred(np.clip(light - 1.2, 0, 1), light.shape[0] / 90)
    sharp = _blurred(np.clip(film + 0.35 * glare, 0, 1), float(rng.uniform(0.4, 0.75)))
    grain = rng.standard_normal(light.shape, dtype=np.float32) * np.float32(rng.uniform(0.006, 0.014))
    picture: UInt8[np.ndarray, "height width 3"] = (np.clip(sharp + grain, 0, 1) * 255 + 0.5).astype(np.uint8)
    return picture


def _blurred(picture: Light, radius: float) -> Light:
    """Blur what lies in 0 … 1; Pillow blurs bytes only, and the grain hides their steps."""
    image = Image.fromarray((picture * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, dtype=np.float32) / 255
