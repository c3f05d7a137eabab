"""The annotations of a split, one by one: what the loader would refuse, and what it takes and is wrong all the same."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from centermask.data.check.boxes import area_fault, box_fault
from centermask.data.check.entries import sayer, title
from centermask.data.check.findings import Evidence, Fault, Findings
from centermask.data.check.masks import (
    MAX_POINTS,
    count_points,
    covers_no_pixel,
    polygon_faults,
    refusal_kind,
    what_can_be_drawn,
)
from centermask.data.check.split import Split
from centermask.data.coco_entries import CocoImage, CocoObject, parse_object
from centermask.data.coco_file import ORIGIN
from centermask.data.coco_masks import visible_mask
from centermask.ops.mask_warp import Mask, Polygons, area, bounds


def check_objects(entries: list[object], split: Split, unusable: set[int], findings: Findings) -> None:
    """Fill in the split's objects; those of ``unusable`` pictures, which have their own findings, are passed over."""
    if not split.classes:  # that is the one thing to say
        return
    split.annotations = entries
    labels = {identity: label for label, identity in enumerate(split.classes)}
    pictures = {identity: place for place, identity in enumerate(split.records)}
    seen: set[int] = set()
    for place, entry in enumerate(entries):
        if _image_id(entry) in unusable:
            continue
        item = _parse(place, entry, split, labels, findings)
        if item is None:
            continue
        if item.id in seen:
            fault = Fault("annotation-id-twice", f"id {item.id} has been used before")
            _say(split, findings, place, entry, fault, None)
        seen.add(item.id)
        split.crowds += item.is_crowd
        if not item.is_crowd:
            _take(place, entry, item, split, pictures[item.image_id], findings)
    if split.records:
        _check_any(entries, split, findings)


def _image_id(entry: object) -> int | None:
    value = entry.get("image_id") if isinstance(entry, dict) else None
    return value if type(value) is int else None


def _parse(place: int, entry: object, split: Split, labels: Mapping[int, int], findings: Findings) -> CocoObject | None:
    points = count_points(entry)
    if points > MAX_POINTS:
        fault = Fault("polygon-vertices", f"its polygons have {points} points, more than {MAX_POINTS}")
        _say(split, findings, place, entry, fault, None)
        return None
    try:
        return parse_object(entry, split.records, labels)
    except ValueError as error:
        _say(split, findings, place, entry, Fault(refusal_kind(str(error), entry), str(error)), None)
        return None


def _take(place: int, entry: object, item: CocoObject, split: Split, picture: int, findings: Findings) -> None:
    """Look closely at a sound object, and remember it."""
    record = split.records[item.image_id]
    mask = visible_mask(item.segmentation, record.size)
    extent = area(mask)
    for fault in _faults(entry, item, record, mask, extent):
        _say(split, findings, place, entry, fault, mask)
    split.objects.add(picture=picture, label=item.label, place=place, area=extent, box=bounds(mask))


def _faults(entry: object, item: CocoObject, record: CocoImage, mask: Mask, extent: float) -> list[Fault]:
    table = entry if isinstance(entry, dict) else {}
    polygons = item.segmentation if isinstance(item.segmentation, Polygons) else None
    whole = mask if polygons is None else polygons
    found: list[Fault | None] = []
    if ORIGIN not in table:  # other formats than COCO's have no boxes and areas of their own
        found += [box_fault(table.get("bbox"), bounds(mask), bounds(whole)), area_fault(table.get("area"), extent)]
    if polygons is not None:
        found += polygon_faults(polygons, record.size)
    if covers_no_pixel(item.segmentation, record.size, extent):
        found.append(Fault("object-tiny", f"its mask of {extent:.2g} square pixels covers the centre of no pixel"))
    return [fault for fault in found if fault is not None]


def _check_any(entries: list[object], split: Split, findings: Findings) -> None:
    """A split without objects teaches nothing, and measures nothing."""
    say = sayer(findings, split)
    if not len(split.objects) and split.crowds:
        say("all-crowd", f"all {split.crowds} usable annotations are crowds")
    elif not len(split.objects):
        say("no-object", f"of {len(entries)} annotations none can be used" if entries else "it has no annotation")


def _say(split: Split, findings: Findings, place: int, entry: object, fault: Fault, mask: Mask | None) -> None:
    identity = _image_id(entry)
    record = None if identity is None else split.records.get(identity)
    say = sayer(findings, split, annotation=title(entry, f"annotations[{place}]"),
                picture=record.file_name if record else "")  # fmt: skip
    if record is None:
        say(fault.kind, fault.what)
    else:
        say(fault.kind, fault.what, partial(_evidence, fault, record, entry, mask))


def _evidence(fault: Fault, record: CocoImage, entry: object, mask: Mask | None) -> Evidence:
    shown = fault.evidence.mask or mask or what_can_be_drawn(entry, record.size)
    drawn = replace(fault.evidence, pictures=(record.path,), mask=shown)
    if fault.kind != "polygon-outside":
        return drawn
    return replace(drawn, right=(0.0, 0.0, float(record.size.width), float(record.size.height)))
