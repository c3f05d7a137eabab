"""The classes of both splits beside each other, and beside the objects."""

from itertools import islice, pairwise

import numpy as np

from centermask.data.check.entries import sayer
from centermask.data.check.findings import Findings
from centermask.data.check.split import Split

NAMED = 5
"""Missing ids that are named."""


def compare_classes(splits: list[Split], findings: Findings) -> None:
    """Classes that the splits name apart, and classes that nothing can be learned of."""
    train, val = (next((one for one in splits if one.name == name), None) for name in ("train", "val"))
    if train and val and train.classes and val.classes:
        _compare_names(train, val, findings)
        _find_untrained(train, val, findings)
    _find_empty(splits, findings)
    for ids, split in {tuple(split.classes): split for split in reversed(splits)}.items():
        _find_gaps(ids, split, findings)


def _compare_names(train: Split, val: Split, findings: Findings) -> None:
    differing = {one for one in train.classes.keys() & val.classes.keys() if train.classes[one] != val.classes[one]}
    for identity in sorted(differing):
        sayer(findings, val, annotation=f"id {identity}")(
            "category-differs", f"class {identity} is {val.classes[identity]!r}, in train {train.classes[identity]!r}"
        )
    for one, other in ((train, val), (val, train)):
        known = set(other.classes.values())
        for identity, name in one.classes.items():
            if name not in known and identity not in differing:
                sayer(findings, one, annotation=f"id {identity}")(
                    "category-one-split", f"{one.name} has the class {name!r}, {other.name} has not"
                )


def counts_by_name(split: Split) -> dict[str, int]:
    """Objects of each class, also of those without; classes of one name are counted together."""
    counts: dict[str, int] = {}
    numbers = np.bincount(split.objects.labels, minlength=len(split.classes)).tolist()
    for name, number in zip(split.classes.values(), numbers, strict=True):
        counts[name] = counts.get(name, 0) + number
    return counts


def _find_untrained(train: Split, val: Split, findings: Findings) -> None:
    if not len(train.objects):
        return
    learned = counts_by_name(train)
    for name, count in counts_by_name(val).items():
        if count and name in learned and not learned[name]:
            sayer(findings, val, annotation=name)(
                "class-untrained", f"val has {count} objects of the class {name!r}, train has none"
            )


def _find_empty(splits: list[Split], findings: Findings) -> None:
    filled = [counts_by_name(split) for split in splits if len(split.objects)]
    if not filled:
        return
    for name in filled[0]:
        if all(counts.get(name) == 0 for counts in filled):
            findings.add("class-empty", f"the class {name!r} has no object in any split", annotation=name)


def _find_gaps(ids: tuple[int, ...], split: Split, findings: Findings) -> None:
    """Missing ids between the least and the greatest; there may be very many."""
    gaps = list(islice((one for low, high in pairwise(ids) for one in range(low + 1, high)), NAMED + 1))
    if gaps:
        named = ", ".join(map(str, gaps[:NAMED])) + (" …" if len(gaps) > NAMED else "")
        what = f"{len(ids)} classes have ids from {ids[0]} to {ids[-1]}, without {named}"
        sayer(findings, split)("category-gap", what)
