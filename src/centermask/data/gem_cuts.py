"""The cuts of gemstones: the outline of each, and the planes of its facets.

Stone frame: x and y lie in the plane of the girdle (the rim), z points up through the table (the flat top facet); the
unit is the stone's radius. A stone is convex, so it is nothing but its planes: the facet seen at a point is the lowest
of them. Every facet is placed by its share ρ of the way from the middle (0) to the girdle (1), which lets one table of
proportions cut any outline.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32

Outline = Float[np.ndarray, "vertices 2"]
"""(x, y) of the girdle, in order."""

VERTICES = 96
"""Of every outline: enough for a smooth rim, and divisible by four times each number of main facets."""

GIRDLE = 0.03
"""Half the height of the rim."""


class Facets(NamedTuple):
    """Planes normal · point = offset, normals of length one pointing out of the stone."""

    normals: Float32[np.ndarray, "facets 3"]
    offsets: Float32[np.ndarray, " facets"]


class Row(NamedTuple):
    """A ring of equal facets: z rises by ``slope`` per ρ going inwards, and is ``height`` over the rim at ``share``."""

    turns: tuple[float, ...]
    """Where the facets stand, in steps between main facets."""
    slope: float
    share: float = 1.0
    height: float = 0.0


class Style(NamedTuple):
    """The proportions of a cut."""

    mains: int
    table: float
    """Height of the table above the rim."""
    crown: tuple[Row, ...]
    pavilion: tuple[Row, ...]
    """Measured downwards."""


class Cut(NamedTuple):
    """One stone's shape."""

    outline: Outline
    crown: Facets
    """What is seen from above; the table is its first facet."""
    pavilion: Facets


_BRILLIANT_PAVILION = (Row((0.0,), 0.87), Row((-0.25, 0.25), 0.883))
BRILLIANT = Style(
    mains=8,
    table=0.30,
    crown=(Row((0.0,), 0.70), Row((-0.25, 0.25), 0.745), Row((0.5,), 0.40, share=0.527, height=0.30)),
    pavilion=_BRILLIANT_PAVILION,
)
TRILLIANT = BRILLIANT._replace(mains=6)
STEP = Style(
    mains=8,
    table=0.25,
    crown=(Row((0.0,), 1.0), Row((0.0,), 0.7, share=0.88, height=0.12), Row((0.0,), 0.42, share=0.75, height=0.211)),
    pavilion=(Row((0.0,), 1.15), Row((0.0,), 0.88, share=0.8, height=0.23), Row((0.0,), 0.6, share=0.45, height=0.538)),
)


def _ellipse(across: float) -> Outline:
    turn = _turn()
    return np.stack([np.cos(turn), across * np.sin(turn)], axis=1)


def _superellipse(across: float, power: float) -> Outline:
    """An ellipse for ``power`` 1, the closer to a rectangle the nearer it is to 0."""
    circle = _ellipse(1.0)
    outline: Outline = np.sign(circle) * np.abs(circle) ** power * (1.0, across)
    return outline


def _marquise(across: float) -> Outline:
    """Two arcs that meet in points at x = ±1."""
    radius = (1 + across**2) / (2 * across)
    angle = np.linspace(-1, 1, VERTICES // 2, endpoint=False) * np.arcsin(1 / radius)
    half = np.stack([-radius * np.sin(angle), radius * np.cos(angle) - radius + across], axis=1)
    return np.concatenate([half, -half])


def _pear(across: float) -> Outline:
    turn = _turn()
    y = across * 1.3 * np.sin(turn) * np.sin(turn / 2)
    return np.stack([np.cos(turn) + 0.22, y], axis=1) / 1.22


def _trilliant(across: float) -> Outline:
    """The curve whose distance from the middle, along its normal, is 1 + c · cos 3t: a triangle with round sides."""
    turn = _turn()
    distance, slope = 1 + 0.115 * np.cos(3 * turn), -0.345 * np.sin(3 * turn)
    normal, along = np.stack([np.cos(turn), np.sin(turn)]), np.stack([-np.sin(turn), np.cos(turn)])
    outline: Outline = (distance * normal + slope * along).T * (0.9, 0.9 * across)
    return outline


def _emerald(across: float) -> Outline:
    """A rectangle without its corners; each of the eight edges gets an eighth of the vertices."""
    x, y = 1 - 0.22, across - 0.22
    corners = np.array([(1, -y), (1, y), (x, across), (-x, across), (-1, y), (-1, -y), (-x, -across), (x, -across)])
    place = np.arange(VERTICES) * 8 / VERTICES + 0.5
    return np.stack([np.interp(place, np.arange(9), np.append(axis, axis[0]), period=8) for axis in corners.T], axis=1)


def _turn() -> Float[np.ndarray, "vertices"]:
    return np.arange(VERTICES) * (2 * np.pi / VERTICES)


class Kind(NamedTuple):
    """A cut by name: its outline for a width across (length is 1), the widths it comes in, and its proportions."""

    outline: Callable[[float], Outline]
    across: tuple[float, float]
    style: Style


KINDS: dict[str, Kind] = {
    "round": Kind(_ellipse, (1.0, 1.0), BRILLIANT),
    "oval": Kind(_ellipse, (0.66, 0.78), BRILLIANT),
    "emerald": Kind(_emerald, (0.66, 0.78), STEP),
    "pear": Kind(_pear, (0.62, 0.74), BRILLIANT),
    "marquise": Kind(_marquise, (0.44, 0.54), BRILLIANT),
    "cushion": Kind(lambda across: 0.92 * _superellipse(across, 0.62), (0.84, 1.0), BRILLIANT),
    "princess": Kind(lambda across: 0.82 * _superellipse(across, 0.25), (0.96, 1.0), BRILLIANT),
    "trilliant": Kind(_trilliant, (0.96, 1.04), TRILLIANT),
}


def cut_stone(kind: str, across: float) -> Cut:
    """The shape of a stone of one of ``KINDS``, ``across`` as wide as it is long.

    >>> cut = cut_stone("round", across=1.0)
    >>> len(cut.crown.normals), len(cut.pavilion.normals)
    (33, 24)
    """
    outline, style = KINDS[kind].outline(across), KINDS[kind].style
    sides = [_facets(outline, style.mains, rows) for rows in (style.crown, style.pavilion)]
    table = np.array([[0.0, 0.0, 1.0]]), np.array([GIRDLE + style.table])
    crown = np.concatenate([table[0], sides[0][0]]), np.concatenate([table[1], sides[0][1]])
    return Cut(outline, _normalised(*crown), _normalised(sides[1][0] * (1, 1, -1), sides[1][1]))


def _facets(
    outline: Outline, mains: int, rows: tuple[Row, ...]
) -> tuple[Float[np.ndarray, "facets 3"], Float[np.ndarray, " facets"]]:
    """Planes z = offset − (nx, ny) · (x, y), as normals (nx, ny, 1) and offsets."""
    along = np.roll(outline, -1, axis=0) - np.roll(outline, 1, axis=0)
    outward = np.stack([along[:, 1], -along[:, 0]], axis=1)
    normals, offsets = [], []
    for row in rows:
        steps = (np.arange(mains)[:, None] + np.array(row.turns)).ravel() * (VERTICES // mains)
        direction = outward[steps.astype(int) % VERTICES]
        per_share = direction / (direction @ outline.T).max(axis=1, keepdims=True)
        normals.append(np.concatenate([row.slope * per_share, np.ones((len(direction), 1))], axis=1))
        offsets.append(np.full(len(direction), GIRDLE + row.height + row.slope * row.share))
    return np.concatenate(normals), np.concatenate(offsets)


def _normalised(normals: Float[np.ndarray, "facets 3"], offsets: Float[np.ndarray, " facets"]) -> Facets:
    length = np.linalg.norm(normals, axis=1)
    return Facets((normals / length[:, None]).astype(np.float32), (offsets / length).astype(np.float32))
