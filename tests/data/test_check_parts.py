"""The check's parts by hand, by law, and against slow oracles."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from centermask.data.check import check_data
from centermask.data.check.boxes import area_fault, box_fault
from centermask.data.check.classes import compare_classes
from centermask.data.check.copies import likeness, near
from centermask.data.check.entries import check_classes, check_pictures
from centermask.data.check.findings import SHOWN, Evidence, Findings, plain
from centermask.data.check.kinds import KINDS
from centermask.data.check.objects import check_objects
from centermask.data.check.outlines import crossing
from centermask.data.check.overlaps import compare_objects
from centermask.data.check.probe import look, perceptual_hash
from centermask.data.check.split import Split
from centermask.data.check.workers import look_at
from centermask.data.coco_entries import parse_image
from tests.data.faults import BLOCK, SQUARE, DataSet, bomb, describe, pixels, save_picture, sound

# --- outlines


def outline(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=np.float64)


def test_two_loops_meet_where_the_outline_crosses() -> None:
    assert crossing(outline((0, 0), (10, 10), (10, 0), (0, 10))) == (5.0, 5.0)


def test_a_star_of_five_points_crosses_itself() -> None:
    angles = np.arange(5) * 4 * np.pi / 5
    assert crossing(100 * np.stack([np.cos(angles), np.sin(angles)], axis=1)) is not None


def test_a_hole_on_a_bridge_of_no_width_crosses_nothing() -> None:
    ring = [(0, 0), (20, 0), (20, 20), (0, 20)]
    hole = [(5, 5), (5, 15), (15, 15), (15, 5)]
    assert crossing(outline(*ring, (0, 0), *hole, (5, 5))) is None


def test_a_loop_of_a_shaking_hand_is_let_pass() -> None:
    assert crossing(outline((0, 0), (100, 0), (100, 100), (50, 100), (50.5, 99.5), (50.5, 100.5), (0, 100))) is None


def brute_force_crosses(points: np.ndarray) -> bool:
    """Whether any two edges have their ends on both sides of each other."""

    def side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    edges = list(zip(points, np.roll(points, -1, axis=0), strict=True))
    return any(
        side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
        for i, (a, b) in enumerate(edges)
        for c, d in edges[i + 1 :]
    )


@given(st.lists(st.tuples(*[st.integers(0, 40)] * 2), min_size=3, max_size=9, unique=True))
def test_crossings_are_those_of_all_pairs(corners: list[tuple[int, int]]) -> None:
    points = np.array(corners, dtype=np.float64)
    found = crossing(points)
    if found is not None:  # small loops are let pass, so only one way
        assert brute_force_crosses(points)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(3, 60))
def test_a_star_shaped_outline_never_crosses_itself(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    angles, radii = (np.arange(count) + rng.uniform(0, 0.4, count)) * 2 * np.pi / count, rng.uniform(1, 100, count)
    assert crossing(np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)) is None


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_where_two_corners_change_places_far_apart_is_found(seed: int) -> None:
    angles = np.sort(np.random.default_rng(seed).uniform(0, 0.2, 12) + np.arange(12)) * 2 * np.pi / 12
    circle = 100 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    circle[[2, 8]] = circle[[8, 2]]
    assert brute_force_crosses(circle)
    assert crossing(circle) is not None


def test_an_outline_of_very_many_points_takes_no_time_of_all_pairs() -> None:
    angles = np.linspace(0, 2 * np.pi, 50_000, endpoint=False)
    assert crossing(1e4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)) is None


# --- boxes and areas

BOX = np.array([100.0, 50.0, 140.0, 130.0])


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ([100, 50, 40, 80], None),
        ([98, 49, 43, 82], None),  # a tool that pads
        ([100, 50, 140, 130], "box-xyxy"),
        ([120, 90, 40, 80], "box-centre"),
        ([0.1, 0.05, 0.04, 0.08], "box-normalised"),
        ([10, 50, 40, 80], "box-misfit"),
        ([100, 50, 0, 0], "box-form"),
        (["100", 50, 40, 80], "box-form"),
        ([True, 50, 40, 80], "box-form"),
        ([1e300, 50, 40, 80], "box-form"),
        ({}, "box-form"),
        (None, "box-missing"),
    ],
)
def test_a_box_is_read_in_every_order(given: object, kind: str | None) -> None:
    fault = box_fault(given, BOX, BOX)
    assert (fault and fault.kind) == kind


def test_a_box_around_the_whole_of_a_cut_polygon_fits() -> None:
    assert box_fault([90, 50, 50, 80], BOX, np.array([90.0, 50.0, 140.0, 130.0])) is None


@pytest.mark.parametrize(
    ("given", "faulty"), [(100, False), (55, False), (190, False), (40, True), (210, True), (0, True)]
)
def test_areas_may_differ_by_a_factor_of_two(given: float, faulty: bool) -> None:
    assert (area_fault(given, 100.0) is not None) == faulty


# --- look-alikes


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(0, 7))
def test_hashes_within_seven_bits_are_found_without_looking_at_all_pairs(seed: int, flips: int) -> None:
    rng = np.random.default_rng(seed)
    known = rng.integers(0, 2**64, 40, dtype=np.uint64)
    turned = np.uint64(sum(1 << int(bit) for bit in rng.choice(64, flips, replace=False)))
    found = {place: places.tolist() for place, places in near(known, known[7:8] ^ turned)}
    assert 7 in found[0]
    assert all(bin(int(known[i]) ^ int(known[7] ^ turned)).count("1") <= 7 for i in found[0])


def test_no_hash_is_near_to_none() -> None:
    none = np.zeros(0, dtype=np.uint64)
    assert list(near(none, none)) == []
    assert list(near(none, np.array([3], dtype=np.uint64))) == []


def test_a_changed_picture_stays_alike_and_another_is_not(tmp_path: Path) -> None:
    original = Image.fromarray(pixels(1, 256))
    original.save(tmp_path / "original.png")
    changed = {
        "small": original.resize((120, 120)),
        "bright": ImageEnhance.Brightness(original).enhance(1.15),
        "cut": original.crop((3, 3, 253, 253)),
    }
    for name, picture in changed.items():
        picture.save(tmp_path / f"{name}.jpg", quality=60)
        bits = perceptual_hash(np.asarray(original)) ^ perceptual_hash(np.asarray(picture))
        assert bits.bit_count() <= 7
        assert likeness(tmp_path / "original.png", tmp_path / f"{name}.jpg") > 0.9
    Image.fromarray(pixels(2, 256)).save(tmp_path / "other.png")
    assert likeness(tmp_path / "original.png", tmp_path / "other.png") < 0.5


def test_dark_pictures_are_not_alike_for_their_darkness(tmp_path: Path) -> None:
    for seed in (1, 2):
        Image.fromarray(pixels(seed, 256) // 20).save(tmp_path / f"{seed}.png")
    assert likeness(tmp_path / "1.png", tmp_path / "2.png") < 0.5


@pytest.mark.parametrize("level", [0, 128, 255])
def test_pictures_of_one_colour_are_like_no_other(tmp_path: Path, level: int) -> None:
    flat = np.full((64, 64, 3), level, dtype=np.uint8)
    assert perceptual_hash(flat) == 0
    assert perceptual_hash(pixels(1)) != 0


# --- workers


def test_processes_see_what_this_one_sees(tmp_path: Path) -> None:
    for i in range(5):
        save_picture(tmp_path / f"{i}.png", i)
    bomb(tmp_path / "3.png")
    (tmp_path / "4.png").write_bytes(b"GIF89a")
    paths = [tmp_path / f"{i}.png" for i in range(5)] + [tmp_path / "none.png", tmp_path / "a\nb.png"]
    assert dict(look_at(paths, workers=2)) == dict(look_at(paths, workers=0))


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """Who opens this for reading waits for ever."""
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    return path


def test_a_decoder_that_hangs_is_ended(tmp_path: Path, pipe: Path) -> None:
    save_picture(tmp_path / "quick.png", 1)
    seen = dict(look_at([pipe, tmp_path / "quick.png"], workers=1, seconds=3.0))
    assert seen[0].kind == "picture-broken"
    assert "longer than 3 seconds" in seen[0].fault
    assert seen[1] == look(tmp_path / "quick.png")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are found in /proc")
def test_a_decoder_that_dies_takes_nothing_with_it(tmp_path: Path, pipe: Path) -> None:
    save_picture(tmp_path / "quick.png", 1)

    def kill_reader() -> None:
        with pipe.open("wb"):  # opens once the decoder has opened the other end
            os.kill(decoder_process(), signal.SIGKILL)

    killer = threading.Thread(target=kill_reader)
    killer.start()
    seen = dict(look_at([pipe, tmp_path / "quick.png"], workers=1))
    killer.join()
    assert "crashes the decoder" in seen[0].fault
    assert seen[1] == look(tmp_path / "quick.png")


def decoder_process() -> int:
    """The child of this process that decodes pictures."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and "check.probe" in (place / "cmdline").read_text():
                return int(place.name)
        except OSError:  # gone meanwhile
            continue
    raise AssertionError("no process decodes")


def test_nobody_needs_to_take_all_answers(tmp_path: Path) -> None:
    for i in range(4):
        save_picture(tmp_path / f"{i}.png", i)
    before = threading.active_count()
    answers = look_at([tmp_path / f"{i}.png" for i in range(4)], workers=2)
    assert next(answers)[1].width == 64
    answers.close()
    assert threading.active_count() == before


# --- any JSON

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([1, 2, SQUARE, BLOCK]),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.sampled_from(["size", "counts", "id"]), inner),
    max_leaves=12,
)
KEYS = (
    "id",
    "image_id",
    "category_id",
    "segmentation",
    "bbox",
    "area",
    "iscrowd",
    "name",
    "file_name",
    "width",
    "height",
)


def entries() -> st.SearchStrategy[list[object]]:
    """Sound entries of which some values are anything."""
    sound_entries = describe(2)
    known = [*sound_entries["annotations"], *sound_entries["images"], *sound_entries["categories"]]
    changes = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2)
    spoilt = st.builds(lambda entry, change: entry | change, st.sampled_from(known), changes)
    return st.lists(spoilt | VALUES, max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries(), entries(), entries())
def test_no_json_makes_the_check_stumble(classes: list[object], pictures: list[object], objects: list[object]) -> None:
    findings = Findings()
    split = Split(name="train", format="coco", source=Path("a.json"), images=Path("/none"))
    split.classes = {1: "square", 2: "block"}
    split.records = {i: parse_image(entry, split.images) for i, entry in enumerate(describe(2)["images"])}
    check_objects(objects, split, set(), findings)
    compare_objects(split, findings)
    assert len(split.objects) <= len(objects)
    bare = Split(name="val", format="coco", source=Path("b.json"), images=Path("/none"))
    check_classes(classes, bare, findings)
    check_pictures(pictures, bare, ["/none"], findings)
    compare_classes([split, bare], findings)
    assert all(finding.message.isprintable() for finding in findings)


# --- findings


def test_findings_are_counted_but_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centermask.data.check.findings.KEPT", 50)
    findings = Findings()
    asked = []

    def evidence() -> Evidence:
        asked.append(1)
        return Evidence()

    for _ in range(55):
        findings.add("box-misfit", "it is off", evidence=evidence)
    group = findings.groups()[0]
    assert (group.count, len(group.findings), len(asked)) == (55, 50, SHOWN)


def test_the_worst_come_first() -> None:
    findings = Findings()
    for kind in ("category-gap", "box-misfit", "box-xyxy", "label-file"):
        findings.add(kind, "it is so")
    assert [group.kind for group in findings.groups()] == ["label-file", "box-xyxy", "box-misfit", "category-gap"]


def test_a_message_says_what_and_the_mend() -> None:
    findings = Findings()
    findings.add("box-xyxy", "bbox [1, 2, 3, 4] fits its mask as left, top, right, bottom", picture="a.png")
    (finding,) = findings
    assert finding.message.endswith("; write left, top, width, height")


@given(st.text())
def test_names_become_one_short_printable_line(text: str) -> None:
    assert plain(text).isprintable()
    assert len(plain(text)) <= 300


def test_every_kind_has_a_mend_without_a_full_stop() -> None:
    assert all(kind.mend and kind.title and not kind.mend.endswith(".") for kind in KINDS.values())


# --- statistics


def test_counts_are_those_of_a_set_counted_by_hand(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    one.train["annotations"] = one.train["annotations"][:3]  # square and block on picture 0, square on picture 1
    one.save()
    train, val = check_data(str(one.folder)).statistics
    assert (train.split, train.pictures, train.objects, train.crowds) == ("train", 4, 3, 0)
    assert train.classes == {"square": 2, "block": 1}
    assert train.sizes == {"small": 3, "medium": 0, "large": 0}
    assert (train.median_objects, train.most_objects, train.empty_pictures) == (0.5, 2, 0.5)
    assert train.crowding == {"0": 2, "1": 1, "2–3": 1}
    assert train.median_side == 20.0  # of 400, 480, 400 square pixels
    assert train.median_fitted_side == 120.0  # 64 pixels become 384
    assert train.picture_sizes == {"width": (64, 64), "height": (64, 64)}
    assert val.objects == 6


def test_overlap_is_counted_within_a_class(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    shifted = [8.0, 14.0, 28.0, 14.0, 28.0, 34.0, 8.0, 34.0]  # IoU 14 / 26 with the square
    extra = {"id": 90, "image_id": 0, "category_id": 1, "segmentation": [shifted], "bbox": [8, 14, 20, 20],
             "area": 400, "iscrowd": 0}  # fmt: skip
    one.train["annotations"] += [extra, {**extra, "id": 91, "image_id": 1, "category_id": 2}]
    one.save()
    train = check_data(str(one.folder)).statistics[0]
    assert train.overlapped == 2 / 10


def crowd_of(count: int, folder: Path) -> DataSet:
    """A set with many little squares in one picture."""
    one = sound(folder)
    for n in range(count):
        x, y = 2.0 * (n % 31), 2.0 * (n // 31)
        one.train["annotations"].append(
            {"id": 100 + n, "image_id": 0, "category_id": 1, "iscrowd": 0, "area": 4, "bbox": [x, y, 2, 2],
             "segmentation": [[x, y, x + 2, y, x + 2, y + 2, x, y + 2]]}
        )  # fmt: skip
    one.save()
    return one


def test_dense_pictures_hint_at_max_detections(tmp_path: Path) -> None:
    hints = " ".join(check_data(str(crowd_of(120, tmp_path / "set").folder)).hints)
    assert "122 objects" in hints
    assert "--max-detections 150" in hints
    assert "--short-side" in hints  # 2 pixels become 12


def test_a_plain_set_has_no_hint_but_its_few_objects(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    one.save()
    (hint,) = check_data(str(one.folder)).hints
    assert "fewer than 10 objects" in hint
