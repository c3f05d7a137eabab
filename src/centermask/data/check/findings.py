"""What the check finds: findings, gathered by kind, all counted and the first of each kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from centermask.data.check.kinds import KINDS, SEVERITIES, Severity
from centermask.ops.mask_warp import Mask

KEPT = 10_000
"""Findings of a kind that are kept word for word; the others are counted."""

SHOWN = 12
"""Findings of a kind that are drawn."""

_LONGEST = 300
"""Letters of a name or a message from a file; nobody reads more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What to draw of a finding; all places are xyxy or x, y in pixels of the upright picture."""

    pictures: tuple[Path, ...] = ()
    """One, or several to stand side by side."""
    mask: Mask | None = None
    given: tuple[float, float, float, float] | None = None
    """A box as the file gives it."""
    right: tuple[float, float, float, float] | None = None
    """The box that it should be."""
    marks: tuple[tuple[float, float], ...] = ()


class Fault(NamedTuple):
    """What is wrong with one object, before anyone knows where it stood."""

    kind: str
    what: str
    evidence: Evidence = Evidence()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was found, and where."""

    kind: str
    what: str
    """A clause: what is wrong."""
    split: str = ""
    file: str = ""
    """The annotation file, or the label file where there is one for each picture."""
    picture: str = ""
    annotation: str = ""
    """The object: its id, or where it stands in another format."""

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return KINDS[self.kind].severity

    @property
    def where(self) -> str:
        """Split, picture and object, as far as they are known."""
        return " · ".join(part for part in (self.split, self.picture or self.file, self.annotation) if part)

    @property
    def message(self) -> str:
        """What is wrong, and the mend, which the readers of label files say themselves where they know a better one."""
        if self.kind == "label-file" and "; " in self.what:
            return self.what
        return f"{self.what}; {KINDS[self.kind].mend}"


@dataclass(kw_only=True)
class Group:
    """All findings of a kind."""

    kind: str
    count: int = 0
    findings: list[Finding] = field(default_factory=list)
    """The first ``KEPT``."""
    evidence: list[Evidence | None] = field(default_factory=list)
    """Of the first ``SHOWN``."""

    @property
    def severity(self) -> Severity:
        """How bad each of them is."""
        return KINDS[self.kind].severity


class Findings:
    """Gathers findings; its memory is bounded whatever a set holds."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def add(
        self,
        kind: str,
        what: str,
        *,
        split: str = "",
        file: str = "",
        picture: str = "",
        annotation: str = "",
        evidence: Callable[[], Evidence] | None = None,
    ) -> None:
        """Count a finding, keep it if it is among the first; ``evidence`` is asked for only if it will be drawn."""
        group = self._groups.setdefault(kind, Group(kind=kind))
        group.count += 1
        if len(group.findings) < KEPT:
            named = (plain(text) for text in (what, split, file, picture, annotation))
            said = dict(zip(("what", "split", "file", "picture", "annotation"), named, strict=True))
            group.findings.append(Finding(kind=kind, **said))
        if len(group.evidence) < SHOWN:
            group.evidence.append(evidence() if evidence else None)

    def groups(self) -> tuple[Group, ...]:
        """The worst first, within a severity in the order of the table."""
        order = {kind: (SEVERITIES.index(value.severity), place) for place, (kind, value) in enumerate(KINDS.items())}
        return tuple(sorted(self._groups.values(), key=lambda group: order[group.kind]))

    def __iter__(self) -> Iterator[Finding]:
        for group in self.groups():
            yield from group.findings


def plain(text: str) -> str:
    r"""A text from a file as one printable line, cut short: control characters could command a terminal.

    >>> plain("a\x1b[31m\nb")
    'a�[31m b'
    """
    line = " ".join(text[: 4 * _LONGEST].split())
    shown = line if line.isprintable() else "".join(_printable(letter) for letter in line)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"


def corners(box: Float[np.ndarray, "4"] | list[float]) -> tuple[float, float, float, float]:
    """A box as ``Evidence`` takes it."""
    left, top, right, bottom = (float(side) for side in box)
    return left, top, right, bottom
