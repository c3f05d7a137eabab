"""Batches: every picture once an epoch, whatever the number of processes, workers and interruptions."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from centermask.data.augment import Augmentation, Example, augment
from centermask.data.batches import Batch, BatchPlan, Draw, EpochSampler, TrainingSet, collate, load_epoch
from centermask.size import Size
from tests.pictures import PictureSet, lit, rectangle, squares

PLAN = Augmentation(short_sides=(32, 64), long_side=128, flip=0.5, color_jitter=0.2)


def striped(count: int) -> TrainingSet:
    """Pictures of many shapes; there is nothing on them."""
    samples = [lit(Size(4 + i % 7, 4 + i % 5), []) for i in range(count)]
    return TrainingSet([PictureSet(samples, ("a",))], ("a",), PLAN, seed=0)


def draws(training_set: TrainingSet, plan: BatchPlan, epoch: int, first_batch: int = 0) -> list[list[Draw]]:
    return list(EpochSampler(training_set, plan, epoch, first_batch))


def pictures(batches: list[list[Draw]]) -> Counter[int]:
    return Counter(draw.picture for batch in batches for draw in batch)


counts, batch_sizes, seeds = st.integers(1, 60), st.integers(1, 9), st.integers(0, 1000)


@given(counts, batch_sizes, seeds)
def test_every_picture_comes_once_and_only_the_last_batch_is_filled_up(count: int, batch: int, seed: int) -> None:
    plan = BatchPlan(pictures=count, batch=batch, seed=seed)
    found = draws(striped(count), plan, epoch=3)
    assert len(found) == plan.batches == len(EpochSampler(striped(count), plan, 3)) == -(-count // batch)
    assert {len(one) for one in found} == {batch}
    times = pictures(found)
    assert set(times) == set(range(count))
    assert sum(times.values()) - count == plan.batches * batch - count < batch
    if batch <= count:
        assert max(times.values()) <= 2
    assert {draw.epoch for one in found for draw in one} == {3}


@given(counts, st.integers(1, 4), st.integers(1, 3), seeds)
def test_processes_share_the_batches_of_a_single_one(count: int, each: int, processes: int, seed: int) -> None:
    training_set, batch = striped(count), each * processes
    alone = draws(training_set, BatchPlan(pictures=count, batch=batch, seed=seed), epoch=1)
    shares = [
        draws(training_set, BatchPlan(pictures=count, batch=batch, seed=seed, processes=processes, process=i), epoch=1)
        for i in range(processes)
    ]
    assert [[*itertools.chain(*parts)] for parts in zip(*shares, strict=True)] == alone
    if count >= batch * -(-count // batch):  # nothing is filled up: no picture comes to two processes
        assert sum((pictures(share) for share in shares), Counter()) == Counter(range(count))


@given(counts, batch_sizes, st.integers(0, 60))
def test_an_epoch_is_taken_up_at_any_batch(count: int, batch: int, first: int) -> None:
    training_set, plan = striped(count), BatchPlan(pictures=count, batch=batch, seed=7)
    first = min(first, plan.batches)
    rest = EpochSampler(training_set, plan, 2, first_batch=first)
    assert list(rest) == draws(training_set, plan, 2)[first:]
    assert len(rest) == plan.batches - first


def test_epochs_and_seeds_differ_and_the_same_ones_agree() -> None:
    training_set = striped(40)
    orders = [
        draws(training_set, BatchPlan(pictures=40, batch=4, seed=seed), epoch) for seed in (0, 1) for epoch in (0, 1, 2)
    ]
    again = draws(training_set, BatchPlan(pictures=40, batch=4, seed=0), 1)
    assert again == orders[1]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_a_batch_has_one_short_side_and_all_sides_are_drawn() -> None:
    found = draws(striped(3000), BatchPlan(pictures=3000, batch=2, seed=0), 0)
    sides = [{draw.short_side for draw in batch} for batch in found]
    assert all(len(side) == 1 for side in sides)
    assert set.union(*sides) == set(range(32, 65))


def test_pictures_of_like_shape_come_together() -> None:
    samples = [lit(Size(4, 4 + 4 * (i % 2)), []) for i in range(64)]
    training_set = TrainingSet([PictureSet(samples, ("a",))], ("a",), PLAN, seed=0)
    found = draws(training_set, BatchPlan(pictures=64, batch=4, seed=0), 0)
    assert all(len({draw.picture % 2 for draw in batch}) == 1 for batch in found)
    wide = [batch[0].picture % 2 for batch in found]
    assert wide not in (sorted(wide), sorted(wide, reverse=True)), "but the order of the batches is shuffled"


# --- several sets ---

CATS = PictureSet([lit(Size(8, 8), [rectangle(0, 0, 4, 4)], [0]) for _ in range(3)], ("cat",))
ZOO = PictureSet([lit(Size(8, 8), [rectangle(0, 0, 4, 4), rectangle(4, 4, 4, 4)], [1, 0])], ("dog", "cat"))


def test_labels_are_matched_by_name_and_only_annotated_classes_are_marked() -> None:
    training_set = TrainingSet([CATS, ZOO], ("cat", "dog", "cow"), PLAN, seed=0)
    assert len(training_set) == 4
    truths = [training_set[Draw(i, 0, 8)].truth for i in range(4)]
    assert [truth.labels.tolist() for truth in truths] == [[0], [0], [0], [0, 1]]
    assert [truth.annotated.tolist() for truth in truths] == [[True, False, False]] * 3 + [[True, True, False]]


def test_an_empty_set_among_others_is_ordinary() -> None:
    training_set = TrainingSet(
        [PictureSet([], ("cow",)), CATS, PictureSet([], ()), ZOO], ("cow", "cat", "dog"), PLAN, 0
    )
    assert len(training_set) == 4
    assert [training_set[Draw(i, 0, 8)].truth.labels.tolist() for i in range(4)] == [[1], [1], [1], [1, 2]]


# --- copy-paste and mosaic ---


def varied(sets: list[PictureSet], plain_from: int | None = None, **plan: float) -> TrainingSet:
    """Some pictures of two classes, augmented also by ``plan``."""
    full = Augmentation(
        short_sides=(32, 64), long_side=128, flip=0.5, color_jitter=0.2, scale_jitter=(0.8, 1.5), **plan
    )
    return TrainingSet(sets, ("a", "b"), full, seed=3, plain_from=plain_from)


def alike(a: Example, b: Example) -> bool:
    return same(collate([a]), collate([b]))


PICTURES = squares(6, side=48, classes=("a", "b"))
EVERYTHING = {"copy_paste": 1.0, "mosaic": 1.0}


def test_with_both_off_nothing_more_is_drawn() -> None:
    training_set = varied([PICTURES])
    for i in range(len(PICTURES)):
        sample, rng = PICTURES[i], np.random.default_rng((3, 5, i))
        alone = augment(sample, torch.from_numpy(sample.labels), torch.tensor([True, True]), training_set.plan, 40, rng)
        assert alike(training_set[Draw(i, 5, 40)], alone)


@pytest.mark.parametrize("plan", [{"copy_paste": 1.0}, {"mosaic": 1.0}, EVERYTHING])
def test_a_picture_is_a_function_of_seed_epoch_and_draw(plan: dict[str, float]) -> None:
    first, again = varied([PICTURES], **plan), varied([PICTURES], **plan)
    later = [again[Draw(i, 1, 40)] for i in reversed(range(6))][::-1]
    assert all(alike(first[Draw(i, 1, 40)], later[i]) for i in range(6))
    assert not alike(first[Draw(0, 1, 40)], first[Draw(0, 2, 40)])
    assert not any(alike(later[i], varied([PICTURES])[Draw(i, 1, 40)]) for i in range(6))


def test_copy_paste_and_mosaic_add_objects() -> None:
    count = {
        name: sum(len(varied([PICTURES], **plan)[Draw(i, 0, 64)].truth.boxes) for i in range(6))
        for name, plan in {"plain": {}, "paste": {"copy_paste": 1.0}, "mosaic": {"mosaic": 1.0}}.items()
    }
    assert count["paste"] > count["plain"]
    assert count["mosaic"] > count["plain"]


@pytest.mark.parametrize("name", ["copy_paste", "mosaic"])
def test_a_probability_of_one_half_is_one_half(name: str) -> None:
    # Six grey pictures, each full of one object in a grey of its own: a single grey is a picture left alone.
    grey = [
        lit(Size(8, 8), [rectangle(0, 0, 8, 8)])._replace(image=np.full((8, 8, 3), 40 * i, np.uint8)) for i in range(6)
    ]
    plan = Augmentation(short_sides=(1, 1), long_side=64, **{name: 0.5})
    training_set = TrainingSet([PictureSet(grey, ("a",))], ("a",), plan, seed=0)
    left_alone = [set(training_set[Draw(i % 6, i, 8)].pixels.unique().tolist()) == {40 * (i % 6)} for i in range(200)]
    assert 70 < sum(left_alone) < 130


@pytest.mark.parametrize("plan", [{"copy_paste": 1.0}, {"mosaic": 1.0}, EVERYTHING])
def test_from_an_epoch_on_pictures_are_plain_again(plan: dict[str, float]) -> None:
    ending, always, never = varied([PICTURES], plain_from=4, **plan), varied([PICTURES], **plan), varied([PICTURES])
    for epoch in range(8):
        wanted = never if epoch >= 4 else always
        assert alike(ending[Draw(2, epoch, 40)], wanted[Draw(2, epoch, 40)])


def test_the_other_pictures_are_of_the_same_set() -> None:
    dark = PictureSet([lit(Size(32, 32), [], [])] * 3, ("b",))
    bright = PictureSet([lit(Size(32, 32), [rectangle(0, 0, 32, 32)])] * 3, ("a",))
    plan = Augmentation(short_sides=(1, 1), long_side=64, copy_paste=1.0, mosaic=1.0)
    training_set = TrainingSet([dark, bright], ("a", "b"), plan, seed=0)
    for i in range(6):
        example = training_set[Draw(i, 0, 32)]
        assert example.pixels.unique().tolist() == [0 if i < 3 else 255]
        assert example.truth.annotated.tolist() == [i >= 3, i < 3]
        assert set(example.truth.labels.tolist()) <= {0}


def test_a_set_of_a_single_picture_is_ordinary() -> None:
    alone = varied([PictureSet(PICTURES.samples[:1], ("a", "b"))], **EVERYTHING)
    examples = [alone[Draw(0, epoch, 48)] for epoch in range(4)]
    assert all(len(example.truth.boxes) >= 1 for example in examples)


def test_workers_change_nothing_in_pasted_and_mosaic_pictures() -> None:
    training_set = varied([PICTURES], copy_paste=0.5, mosaic=0.5)
    plan = BatchPlan(pictures=6, batch=2, seed=3)
    alone = list(load_epoch(training_set, plan, epoch=1))
    rest = list(load_epoch(training_set, plan, epoch=1, first_batch=1, workers=2))
    assert all(same(a, b) for a, b in zip(rest, alone[1:], strict=True))


# --- loading ---


def same(a: Batch, b: Batch) -> bool:
    return (
        torch.equal(a[0].pixels, b[0].pixels)
        and torch.equal(a[0].sizes, b[0].sizes)
        and all(
            torch.equal(x.boxes, y.boxes) and torch.equal(x.labels, y.labels) for x, y in zip(a[1], b[1], strict=True)
        )
    )


@pytest.fixture(scope="module")
def training_set() -> TrainingSet:
    return TrainingSet([squares(7, side=48, classes=("a", "b"))], ("a", "b"), PLAN, seed=3)


@pytest.fixture(scope="module")
def alone(training_set: TrainingSet) -> list[Batch]:
    return list(load_epoch(training_set, BatchPlan(pictures=7, batch=2, seed=3), epoch=1))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(training_set: TrainingSet, alone: list[Batch], workers: int) -> None:
    plan = BatchPlan(pictures=7, batch=2, seed=3)
    found = list(load_epoch(training_set, plan, epoch=1, workers=workers))
    assert all(same(a, b) for a, b in zip(found, alone, strict=True))


def test_an_epoch_taken_up_later_gives_the_same_pixels(training_set: TrainingSet, alone: list[Batch]) -> None:
    rest = list(load_epoch(training_set, BatchPlan(pictures=7, batch=2, seed=3), epoch=1, first_batch=2))
    assert all(same(a, b) for a, b in zip(rest, alone[2:], strict=True))


def test_the_same_picture_looks_different_in_another_epoch_and_seed(training_set: TrainingSet) -> None:
    other = TrainingSet(training_set.sets, ("a", "b"), PLAN, seed=4)
    first = training_set[Draw(0, 0, 48)].pixels
    assert torch.equal(first, training_set[Draw(0, 0, 48)].pixels)
    assert not torch.equal(first, training_set[Draw(0, 1, 48)].pixels)
    assert not torch.equal(first, other[Draw(0, 0, 48)].pixels)


def test_pictures_stand_in_the_corner_of_planes_of_one_size() -> None:
    samples = [lit(Size(30, 40), [rectangle(2, 3, 10, 10)]), lit(Size(33, 20), [])]
    training_set = TrainingSet(
        [PictureSet(samples, ("a",))], ("a",), Augmentation(short_sides=(1, 1), long_side=100, flip=0.0), seed=0
    )
    examples = [training_set[Draw(0, 0, 30)], training_set[Draw(1, 0, 20)]]
    images, truths = collate(examples)
    assert images.pixels.shape == (2, 3, 64, 64)
    assert images.sizes.tolist() == [[30, 40], [33, 20]]
    np.testing.assert_array_equal(images.pixels[0, :, :30, :40].permute(1, 2, 0), samples[0].image)
    assert images.pixels[0, :, 30:].sum() == images.pixels[0, :, :, 40:].sum() == images.pixels[1].sum() == 0
    assert [truth.boxes.tolist() for truth in truths] == [[[2, 3, 12, 13]], []]
