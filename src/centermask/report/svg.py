"""Charts as SVG: lines and points over two axes, small enough to stand side by side on a phone.

Colours are CSS variables of the page, so that a chart follows its light or dark ground. All text is escaped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

WIDTH, HEIGHT = 380.0, 240.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 14.0, 18.0, 34.0
"""Margins around the plot, for the labels."""
EMPTY = Markup()
Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve."""

    points: Sequence[Point]
    name: str = ""
    colour: str = "c0"
    """A class of the page's style sheet."""
    style: str = ""
    """One more class: faint, or none."""
    dots: bool = False
    """Whether each point shows, with its values on a tip."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A range of values and its name."""

    low: float
    high: float
    title: str = ""

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values in the range."""
        step = nice_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [step * k for k in range(first, last + 1)]


SHARE = Axis(low=0.0, high=1.0)
"""From 0 to 1."""


def nice_step(least: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that is not less.

    >>> nice_step(0.13), nice_step(3.0)
    (0.2, 5.0)
    """
    power = 10.0 ** math.floor(math.log10(least))
    return float(f"{next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9)):.6g}")


def fit_axis(values: Sequence[float], title: str = "", *, from_zero: bool = False) -> Axis:
    """An axis around some values, with round ends; 0 to 1 if there is none.

    >>> fit_axis([0.31, 0.52])
    Axis(low=0.3, high=0.55, title='')
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return Axis(low=0.0, high=1.0, title=title)
    low, high = min([*finite, 0.0] if from_zero else finite), max(finite)
    if high - low < 1e-12 * max(1.0, abs(high)):
        reach = abs(high) / 2 if abs(high) > 1e-9 else 0.5
        low, high = low if from_zero and low == 0 else low - reach, high + reach
    step = nice_step((high - low) / 5)
    return Axis(
        low=_round(math.floor(low / step + 1e-9) * step), high=_round(math.ceil(high / step - 1e-9) * step), title=title
    )


def _round(value: float) -> float:
    return float(f"{value:.10g}")


def label(value: float) -> str:
    """A number on an axis, as short as it can be.

    >>> [label(value) for value in (0.0, 0.25, 1500.0, 0.00045, 2e6)]
    ['0', '0.25', '1.5k', '4.5e-4', '2M']
    """
    value = float(f"{value:.6g}")
    if value == 0:
        return "0"
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1e3:
        return f"{value / 1e3:g}k"
    if abs(value) < 1e-3:
        digits, power = f"{value:.2e}".split("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:g}"


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The plane of a chart."""

    x: Axis
    y: Axis
    width: float = WIDTH
    height: float = HEIGHT

    def at(self, point: Point) -> Point:
        """A point's place in the drawing."""
        x = LEFT + self.x.share(point[0]) * (self.width - LEFT - RIGHT)
        y = self.height - BOTTOM - self.y.share(point[1]) * (self.height - TOP - BOTTOM)
        return x, y


def chart(frame: Frame, lines: Sequence[Line], title: str, *, under: Markup = EMPTY, over: Markup = EMPTY) -> Markup:
    """A whole chart; ``title`` is read aloud, ``under`` and ``over`` are drawn below and above the lines."""
    drawn = Markup("").join([_grid(frame), under, *(_line(frame, line) for line in lines), over])
    return Markup('<svg class="chart" role="img" viewBox="0 0 {w:g} {h:g}" aria-label="{title}">{drawn}</svg>').format(
        w=frame.width, h=frame.height, title=title, drawn=drawn
    )


def _grid(frame: Frame) -> Markup:
    parts = []
    for value in frame.y.ticks():
        (x0, y), (x1, _) = frame.at((frame.x.low, value)), frame.at((frame.x.high, value))
        parts.append(segment((x0, y), (x1, y), "grid"))
        parts.append(text(label(value), x0 - 6, y + 3.5, "tick end"))
    for value in frame.x.ticks():
        x, y = frame.at((value, frame.y.low))
        parts.append(segment((x, y), (x, y + 4), "axis"))
        parts.append(text(label(value), x, y + 16, "tick mid"))
    (x0, y0), (x1, _) = frame.at((frame.x.low, frame.y.low)), frame.at((frame.x.high, frame.y.low))
    parts.append(segment((x0, y0), (x1, y0), "axis"))
    parts.append(text(frame.x.title, (x0 + x1) / 2, frame.height - 3, "name mid"))
    parts.append(text(frame.y.title, x0, TOP - 8, "name"))
    return Markup("").join(parts)


def _line(frame: Frame, line: Line) -> Markup:
    places = [frame.at(point) for point in line.points]
    if not places:
        return EMPTY
    path = "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    hint = Markup("<title>{}</title>").format(line.name) if line.name else Markup()
    parts = [Markup('<path class="line {} {}" d="{}">{}</path>').format(line.colour, line.style, path, hint)]
    if line.dots or len(places) == 1:
        parts += [
            dot(place, line.colour, f"{line.name} {label(x)}: {y:.3f}")
            for place, (x, y) in zip(places, line.points, strict=True)
        ]
    return Markup("").join(parts)


def dot(place: Point, colour: str, hint: str, radius: float = 3.2) -> Markup:
    """A point with a tip; a wider circle that does not show catches the pointer."""
    return Markup(
        '<g class="dot {}"><title>{}</title><circle class="catch" cx="{:.1f}" cy="{:.1f}" r="9"/>'
        '<circle cx="{:.1f}" cy="{:.1f}" r="{:g}"/></g>'
    ).format(colour, hint, *place, *place, radius)


def segment(start: Point, end: Point, kind: str) -> Markup:
    """A straight line."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, *start, *end)


def bar(left: float, top: float, width: float, height: float, kind: str, hint: str) -> Markup:
    """A rectangle with a tip."""
    return Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
    ).format(kind, left, top, max(0.0, width), max(0.0, height), hint)


def text(words: str, x: float, y: float, kind: str) -> Markup:
    """A word or a number; nothing where there is none."""
    if not words:
        return EMPTY
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, words)


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """At most ``most`` points: means of neighbours."""
    if len(points) <= most:
        return list(points)
    edges = [round(i * len(points) / most) for i in range(most + 1)]
    parts = [points[a:b] for a, b in pairwise(edges)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def smooth(points: Sequence[Point], reach: int) -> list[Point]:
    """Each value as the mean of its neighbours, ``reach`` to either side as far as there are as many on both."""
    result = []
    for i, (x, _) in enumerate(points):
        near = min(reach, i, len(points) - 1 - i)
        part = [y for _, y in points[i - near : i + near + 1]]
        result.append((x, sum(part) / len(part)))
    return result
