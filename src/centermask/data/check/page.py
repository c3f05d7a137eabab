"""A report as a page that needs no network: every picture and every style is in the one file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from centermask.data.check.findings import Group, plain
from centermask.data.check.kinds import KINDS, SEVERITIES
from centermask.data.check.report import CheckReport
from centermask.data.check.statistics import Statistics
from centermask.data.check.thumbnails import GIVEN, MARK, MASK, RIGHT, thumbnails
from centermask.data.formats.labels import TITLES
from centermask.errors import UserError
from centermask.files import whole_file

MOST_LINES = 200
"""Findings of a kind that the page lists; the file has all."""

MOST_CLASSES = 40
"""Classes that have a bar."""


def write_report(report: CheckReport, out: Path) -> None:
    """Write ``issues.json`` and ``check.html`` into a folder, each whole or not at all.

    Raises:
        UserError: the folder cannot be made or written to, or lies in the data set, which stays as it is.
    """
    if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(report.folder)):
        raise UserError(f"{out}: lies in the data set, where nothing is to change; choose another folder")
    with whole_file(out / "issues.json") as file:
        for piece in report.to_json():
            file.write(piece.encode("ascii"))
    with whole_file(out / "check.html") as file:
        for piece in render(report):
            file.write(piece.encode("utf-8", "replace"))


def render(report: CheckReport) -> Iterator[str]:
    """The page, in pieces."""
    surroundings = Environment(
        loader=PackageLoader("centermask.data.check", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    groups = [_group(group) for group in report.groups]
    yield from surroundings.get_template("page.html.j2").generate(
        name=plain(report.data),
        format=TITLES[report.format],
        harmful=report.harmful,
        summary=_summary(report),
        tiles=_tiles(report.statistics),
        hints=[plain(hint[:1].upper() + hint[1:]) + "." for hint in report.hints],
        groups=groups,
        drawn=any(card["images"] for group in groups for card in group["cards"]),
        colours={"mask": MASK, "given": GIVEN, "right": RIGHT, "mark": MARK},
        splits=[one.split for one in report.statistics],
        charts=_charts(report.statistics) if any(one.pictures for one in report.statistics) else [],
    )


def _summary(report: CheckReport) -> str:
    counts = [(report.count(severity), severity) for severity in SEVERITIES]
    said = [f"{number:,} {word}{'' if number == 1 else 's'}" for number, word in counts if number]
    return ", ".join(said) if said else "nothing was found"


def _tiles(counted: tuple[Statistics, ...]) -> list[tuple[str, str]]:
    tiles = [(f"{one.pictures:,}", f"pictures in {one.split}") for one in counted]
    tiles += [(f"{one.objects:,}", f"objects in {one.split}") for one in counted]
    names = {name for one in counted for name in one.classes}
    most = max((one.most_objects for one in counted), default=0)
    return [*tiles, (f"{len(names):,}", "class" if len(names) == 1 else "classes"), (f"{most:,}", "most in a picture")]


def _group(group: Group) -> dict[str, Any]:
    kind = KINDS[group.kind]
    cards, lines = [], []
    for place, finding in enumerate(group.findings[:MOST_LINES]):
        evidence = group.evidence[place] if place < len(group.evidence) else None
        said = {"where": finding.where, "what": finding.what}
        if evidence is None:
            lines.append(said)
        else:
            cards.append({**said, "images": thumbnails(evidence)})
    return {
        "kind": group.kind,
        "severity": kind.severity,
        "title": kind.title,
        "mend": kind.mend[:1].upper() + kind.mend[1:],
        "count": group.count,
        "half": len(cards) <= 2 and len(lines) <= 4 and all(len(card["images"]) < 2 for card in cards),
        "cards": cards,
        "lines": lines,
        "hidden": max(0, group.count - MOST_LINES),
    }


def _charts(counted: tuple[Statistics, ...]) -> list[dict[str, Any]]:
    overlap = " and ".join(f"{one.overlapped:.1%} in {one.split}" for one in counted)
    empty = " and ".join(f"{one.empty_pictures:.1%} in {one.split}" for one in counted)
    median = " and ".join(f"{one.median_side:.0f} × {one.median_side:.0f} in {one.split}" for one in counted)
    names = _frequent(counted)
    more = (
        f"The {len(names)} most frequent. "
        if len({name for one in counted for name in one.classes}) > len(names)
        else ""
    )
    return [
        _chart("Objects by class", f"{more}Crowds are left out.", names, counted,
               lambda one, key: one.classes.get(key, 0)),
        _chart("Objects by size", f"By the area of the mask; half of the objects are smaller than {median} pixels.",
               ["small", "medium", "large"], counted, lambda one, key: one.sizes[key],
               lambda key: {"small": "to 32²", "medium": "to 96²", "large": "larger"}[key]),
        _chart("Pictures by number of objects", f"Without any: {empty}. Most in one picture: "
               f"{max((one.most_objects for one in counted), default=0)}.",
               list(dict.fromkeys(key for one in counted for key in one.crowding)), counted,
               lambda one, key: one.crowding.get(key, 0)),
        _chart("Objects by overlap", f"Box IoU above 0.3 with another object of the class: {overlap}.",
               ["free", "overlapped"], counted,
               lambda one, key: round(one.objects * (one.overlapped if key == "overlapped" else 1 - one.overlapped))),
    ]  # fmt: skip


def _frequent(counted: tuple[Statistics, ...]) -> list[str]:
    totals: dict[str, int] = {}
    for one in counted:
        for name, number in one.classes.items():
            totals[name] = totals.get(name, 0) + number
    return sorted(totals, key=lambda name: -totals[name])[:MOST_CLASSES]


def _chart(
    title: str,
    text: str,
    keys: list[str],
    counted: tuple[Statistics, ...],
    value: Callable[[Statistics, str], int],
    label: Callable[[str], str] = str,
) -> dict[str, Any]:
    """Bars of each key, one a split, each as a share of its split's largest: splits differ in size."""
    largest = {one.split: max((value(one, key) for key in keys), default=0) or 1 for one in counted}
    rows = [
        {
            "label": plain(label(key)),
            "bars": [
                {"split": one.split, "width": round(100 * value(one, key) / largest[one.split], 2),
                 "text": f"{value(one, key):,}"} for one in counted
            ],
        }
        for key in keys
    ]  # fmt: skip
    return {"title": title, "text": text, "rows": rows}
