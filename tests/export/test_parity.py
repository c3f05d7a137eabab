"""The verdict, on answers by hand."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from rich.console import Console

from centermask.config import ModelConfig
from centermask.export.compare import Room
from centermask.export.parity import LIMITS, Parity, measure_parity
from centermask.export.pictures import Case
from centermask.export.table import format_parity
from centermask.images import Fitted, SoftInstances
from centermask.ops.mask_warp import paste
from centermask.runtimes.exported import Pasted
from centermask.size import Size


@dataclass
class Dots:
    """A network by hand: boxes stand in a row, and everything can be moved a little."""

    count: int = 30
    boxes: float = 0.0
    scores: float = 0.0
    masks: float = 0.0
    lost: int = 0
    """Of the first objects."""
    obeys: bool = True
    """Leaves out what is below the threshold."""
    plane: Size | None = None
    device: str = "cpu"
    config: ModelConfig = field(default_factory=ModelConfig)
    precision: str = "fp32"
    wrong_side: int = 0
    """Of the first object's full mask: so many of its pixels, from the left upper corner on."""

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        left = np.arange(self.count, dtype=np.float32) * 200
        zeros = np.zeros_like(left)
        scores = np.linspace(0.9, 0.1, self.count, dtype=np.float32)
        found = SoftInstances(
            np.stack([left, zeros, left + 100, zeros + 100], axis=1) + np.float32(self.boxes),
            scores - np.float32(self.scores),
            scores,
            np.zeros(self.count, dtype=np.int64),
            np.full((self.count, 28, 28), 0.5 + self.masks, dtype=np.float32),
        )
        kept = np.arange(self.count) >= self.lost
        if self.obeys:
            kept &= found.scores >= score_threshold
        return [SoftInstances(*(values[kept] for values in found)) for _ in fitted.sizes]

    def with_full_masks(self, fitted: Fitted, score_threshold: float) -> list[Pasted]:
        size = Size(*fitted.pixels.shape[2:])
        return [Pasted(found, self._pasted(found, size)) for found in self(fitted, score_threshold)]

    def _pasted(self, found: SoftInstances, size: Size) -> np.ndarray:
        planes = np.zeros((len(found.scores), *size), dtype=np.uint8)
        for plane, mask, box in zip(planes, found.masks, found.boxes.astype(float), strict=True):
            pixels, left, top = paste(mask, box, size)
            plane[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        planes[:1].reshape(-1)[: self.wrong_side] ^= 1
        return planes

    def keep_detections(self, count: int) -> None:
        self.count = min(self.count, count)


def case(images: int = 1) -> Case:
    fitted = Fitted(np.zeros((images, 3, 32, 32), dtype=np.uint8), np.full((images, 2), 32))
    return Case(f"{images} pictures", fitted, fitted)


def measure(
    runtime: Dots,
    precision: str = "fp32",
    reference: Dots | None = None,
    cases: Sequence[Case] | None = None,
    threshold: float = 0.5,
    full_masks: bool = False,
) -> Parity:
    return measure_parity(
        runtime, reference or Dots(count=runtime.count), cases or [case(), case(2)], file="a.onnx", format="onnx",
        precision=precision, source="drawn", threshold=threshold, room=Room(200, 200), full_masks=full_masks,
    )  # fmt: skip


@pytest.mark.parametrize("precision", LIMITS)
def test_the_same_passes(precision: str) -> None:
    parity = measure(Dots(), precision)
    assert parity.passed
    assert parity.tested
    assert not parity.warning
    assert [row.pictures for row in parity.rows] == ["1 pictures", "2 pictures"] * 2
    assert [row.threshold for row in parity.totals] == [0.0, 0.5] if precision == "fp32" else [0.5, 0.05]


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("what", ["boxes", "scores", "masks"])
def test_what_is_beyond_the_limit_fails_and_is_named(precision: str, what: str) -> None:
    limit = getattr(LIMITS[precision], what)
    faults = measure(Dots(**{what: 1.1 * limit}), precision).faults
    assert faults
    assert all(fault.startswith(what) for fault in faults)
    assert measure(Dots(**{what: 0.9 * limit}), precision).passed


SEEN = 0.3
"""Added to 0.5: a probability that makes a mask in which every pixel is on a clear side."""


@pytest.mark.parametrize("precision", LIMITS)
def test_full_masks_that_are_the_masks_pasted_pass(precision: str) -> None:
    parity = measure(Dots(masks=SEEN), precision, Dots(masks=SEEN), full_masks=True)
    assert parity.passed
    assert parity.full_masks
    assert parity.totals[0].full_masks.largest == 0
    assert "full masks" in printed(parity)


def test_a_pixel_on_the_wrong_side_fails_however_right_all_else_is() -> None:
    wrong = Dots(masks=SEEN, wrong_side=200)
    parity = measure(wrong, reference=Dots(masks=SEEN), full_masks=True)
    assert parity.faults == ("full masks differ by 0.3 where 0.001 are allowed",) * 2
    assert parity.to_json()["totals"][0]["full_masks"]["largest"] == pytest.approx(SEEN)
    unasked = measure(wrong, reference=Dots(masks=SEEN))
    assert unasked.passed
    assert "full masks" not in printed(unasked)


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_with_fewer_bits_full_masks_fail_if_most_are_wrong(precision: str) -> None:
    lone = [case()] * 12
    lone = [one._replace(name=str(i)) for i, one in enumerate(lone)]
    for wrong, passes in ((0, True), (700, False)):
        dots = Dots(count=1, masks=0.4, wrong_side=wrong)
        assert measure(dots, precision, Dots(count=1, masks=0.4), lone, full_masks=True).passed is passes


def test_the_limits_of_full_masks_are_told() -> None:
    text = printed(measure(Dots(masks=SEEN), reference=Dots(masks=SEEN), full_masks=True))
    assert "full masks 0.001" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_in_float32_one_object_in_fifty_may_stand_alone_if_there_are_enough() -> None:
    for count, lost, passes in ((30, 1, True), (30, 2, False), (100, 2, True), (100, 3, False), (10, 1, False)):
        parity = measure(Dots(count=count, lost=lost), cases=[case()], threshold=0.0)
        assert parity.passed is passes, (count, lost)


def test_with_fewer_bits_a_fifth_may_stand_alone() -> None:
    assert measure(Dots(lost=3), "int8").passed
    assert measure(Dots(lost=12), "int8").faults == ("36 of 45 objects stand alone",)


def test_a_file_that_ignores_the_threshold_fails() -> None:
    assert measure(Dots(obeys=False)).faults == ("45 of 90 objects stand alone",)


def test_numbers_that_are_none_fail() -> None:
    parity = measure(Dots(masks=np.nan))
    assert not parity.passed
    assert parity.totals[0].masks.largest is None
    json.dumps(parity.to_json(), allow_nan=False)


def test_where_nothing_is_found_it_is_said_that_nothing_was_tested() -> None:
    parity = measure(Dots(count=0))
    assert (parity.objects, parity.tested, parity.passed) == (0, False, True)
    assert parity.warning.startswith("parity of objects was not tested: the network finds nothing")
    assert parity.to_json()["tested"] is False
    assert "not tested" in printed(parity)
    assert "not judged: there was no object to compare" in printed(parity)


def test_of_a_few_objects_nothing_is_said_with_fewer_bits() -> None:
    parity = measure(Dots(count=3), "int8")
    assert (parity.objects, parity.tested) == (9, False)
    assert "finds only 9 objects" in parity.warning


def test_where_too_few_objects_differ_it_is_not_said_that_they_are_the_same() -> None:
    parity = measure(Dots(count=3, boxes=0.2, lost=1), "int8", Dots(count=3))
    assert (parity.passed, parity.tested, parity.totals[1].missing) == (True, False, 3)
    text = " ".join(printed(parity).split())
    assert "the file is kept, but not judged: there were only 9 objects with scores from 0.05" in text
    assert "no difference" not in text


def test_where_the_own_threshold_leaves_too_few_a_low_one_decides() -> None:
    parity = measure(Dots(count=6, lost=5), "int8")  # 9 objects above 0.5, 18 in all
    assert (parity.objects, parity.threshold) == (18, 0.05)
    assert parity.faults == ("15 of 18 objects stand alone",)


def test_the_verdict_says_which_objects_it_rests_on() -> None:
    assert "on 45 objects with scores from 0.5" in printed(measure(Dots(), "int8"))  # not the 90 of the lower table
    assert "on 90 objects with scores from 0" in printed(measure(Dots()))


def test_an_object_that_only_the_file_finds_is_seen() -> None:
    parity = measure(Dots(count=1), reference=Dots(count=0))
    assert [(total.missing, total.extra) for total in parity.totals] == [(0, 3), (0, 3)]
    assert not parity.passed


def test_the_json_holds_plain_values_and_versions() -> None:
    plain = json.loads(json.dumps(measure(Dots(boxes=0.003)).to_json(), allow_nan=False))
    assert plain["passed"] is True
    assert plain["precision"] == "fp32"
    assert plain["limits"]["boxes"] == 0.01
    assert plain["totals"][0]["boxes"]["largest"] == pytest.approx(0.003, rel=0.1)
    assert {"torch", "onnxruntime", "openvino"} <= set(plain["versions"])


def test_the_table_shows_every_picture_the_limits_and_the_verdict() -> None:
    text = printed(measure(Dots(boxes=0.5)))
    assert text.count("2 pictures") == 2
    assert "boxes 0.01 px" in text
    assert "not the same: boxes differ by 0.5 px where 0.01 px are allowed" in text
    assert "the same within these limits, on 90 objects" in printed(measure(Dots()))
    assert max(map(len, text.splitlines())) <= 80


def printed(parity: Parity) -> str:
    page = io.StringIO()
    Console(file=page, width=80).print(format_parity(parity))
    return page.getvalue()
