"""Drawn gemstones: seeded pictures, exact disjoint masks, a knob for overlap, and a COCO set that reads back."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

from centermask.data.gem_cuts import KINDS, VERTICES, cut_stone
from centermask.data.gem_light import MATTER, noise
from centermask.data.gem_scene import LEAST_PIXELS, LEAST_SHARE, pick_stone, scatter
from centermask.data.gems import GEM_KINDS, GemRecipe, GemSet, draw_gems, gem_sets, write_gems
from centermask.data.sample import Sample
from centermask.errors import UserError
from centermask.ops.mask_warp import area, bounds, from_rle, to_rle
from centermask.size import Size

SMALL = GemRecipe(size=Size(96, 128), stones=(5, 9))


def plane_counts(sample: Sample) -> np.ndarray:
    """How many masks cover each pixel."""
    counts = np.zeros(sample.image.shape[:2], dtype=int)
    for mask in sample.masks:
        height, width = mask.pixels.shape
        counts[mask.top : mask.top + height, mask.left : mask.left + width] += mask.pixels
    return counts


def pair_iou(sample: Sample) -> float:
    """The mean over stones of the largest box IoU with another one."""
    boxes = torch.tensor(np.array([bounds(mask) for mask in sample.masks]).reshape(-1, 4))
    ious = box_iou(boxes, boxes).fill_diagonal_(0)
    return float(ious.max(dim=1).values.mean())


def same(one: Sample, other: Sample) -> bool:
    return (
        np.array_equal(one.image, other.image)
        and np.array_equal(one.labels, other.labels)
        and all(np.array_equal(a.pixels, b.pixels) for a, b in zip(one.masks, other.masks, strict=True))
    )


# --- cuts ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [0, 1])
def test_outline_is_convex_counterclockwise_and_at_most_one_long(kind: str, end: int) -> None:
    outline = cut_stone(kind, KINDS[kind].across[end]).outline
    step = np.roll(outline, -1, axis=0) - outline
    after = np.roll(step, -1, axis=0)
    turn = step[:, 0] * after[:, 1] - step[:, 1] * after[:, 0]
    assert outline.shape == (VERTICES, 2)
    assert turn.min() > -1e-9
    assert 0.8 < np.abs(outline).max() <= 1.1


@pytest.mark.parametrize("kind", KINDS)
def test_stone_holds_its_middle_and_its_rim(kind: str) -> None:
    cut = cut_stone(kind, KINDS[kind].across[0])
    rim = np.concatenate([cut.outline, np.zeros((VERTICES, 1))], axis=1)
    for facets in (cut.crown, cut.pavilion):
        assert (facets.offsets > 0).all()
        assert (rim @ facets.normals.T <= facets.offsets + 1e-6).all()
        np.testing.assert_allclose(np.linalg.norm(facets.normals, axis=1), 1, rtol=1e-5)


def test_shape_has_the_area_of_its_outline() -> None:
    stone = pick_stone(30.0, np.random.default_rng(0))
    x, y = (stone.cut.outline * 30).T
    expected = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    assert abs(stone.shape.sum() - expected) < 0.03 * expected


# --- pictures ---


def test_same_seed_draws_the_same_picture() -> None:
    assert same(draw_gems(SMALL, 7), draw_gems(SMALL, 7))


def test_other_seed_draws_another_picture() -> None:
    assert not np.array_equal(draw_gems(SMALL, 7).image, draw_gems(SMALL, 8).image)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
def test_masks_are_disjoint_tight_and_inside(overlap: float) -> None:
    sample = draw_gems(GemRecipe(size=Size(96, 128), stones=(12, 12), overlap=overlap), 3)
    assert sample.image.shape == (96, 128, 3)
    assert len(sample.labels) == len(sample.masks) > 5
    assert plane_counts(sample).max() == 1
    for mask in sample.masks:
        height, width = mask.pixels.shape
        assert bounds(mask).tolist() == [mask.left, mask.top, mask.left + width, mask.top + height]
        assert mask.left >= 0
        assert mask.top >= 0


@pytest.mark.parametrize("seed", range(4))
def test_every_stone_is_seen_well_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stones, owners = scatter(Size(160, 160), 25, (4.0, 18.0), 0.9, rng)
    for i, placed in enumerate(stones):
        visible = int((owners == i).sum())
        assert visible >= LEAST_PIXELS
        assert visible >= LEAST_SHARE * placed.stone.shape.sum()


def test_picture_smaller_than_a_stone_still_draws() -> None:
    sample = draw_gems(GemRecipe(size=Size(16, 200), stones=(20, 20), radius=(2.0, 160.0)), 0)
    assert plane_counts(sample).max() <= 1


@pytest.mark.parametrize("seed", range(6))
def test_without_overlap_no_stone_hides_any_part_of_another(seed: int) -> None:
    size = Size(160, 160)
    stones, owners = scatter(size, 15, (8.0, 16.0), 0.0, np.random.default_rng(seed))
    canvas = np.zeros((size.height + 80, size.width + 80), dtype=int)
    for placed in stones:
        height, width = placed.stone.shape.shape
        canvas[placed.top + 40 : placed.top + 40 + height, placed.left + 40 : placed.left + 40 + width] += (
            placed.stone.shape
        )
    inside = canvas[40:-40, 40:-40]
    assert inside.max() == 1
    assert np.array_equal(inside == 1, owners >= 0)


def test_more_overlap_means_boxes_overlap_more() -> None:
    def mean_iou(overlap: float) -> float:
        recipe = GemRecipe(size=Size(128, 128), stones=(8, 8), radius=(20.0, 30.0), overlap=overlap)
        return float(np.mean([pair_iou(draw_gems(recipe, seed)) for seed in range(12)]))

    apart, some, most = mean_iou(0.0), mean_iou(0.4), mean_iou(0.8)
    assert apart < some < most
    assert most > apart + 0.1


def test_mask_lies_where_the_picture_changes() -> None:
    """The tray is smooth: on the stones the picture is several times as uneven."""
    sample = draw_gems(GemRecipe(stones=(8, 8), overlap=0.0), 21)
    on = plane_counts(sample) > 0
    grey = sample.image.astype(float).mean(axis=2)
    assert grey[on].std() > 1.5 * grey[~on].std()


def test_no_stones_make_an_empty_tray() -> None:
    sample = draw_gems(GemRecipe(size=Size(64, 64), stones=(0, 0)), 0)
    assert sample.image.shape == (64, 64, 3)
    assert sample.labels.shape == (0,)
    assert sample.masks == ()


def test_every_kind_comes_up() -> None:
    labels = np.concatenate([draw_gems(SMALL, seed).labels for seed in range(12)])
    assert set(labels.tolist()) == set(range(len(GEM_KINDS)))


def test_radius_grows_with_the_picture() -> None:
    areas = [
        np.mean(
            [
                area(m)
                for s in range(4)
                for m in draw_gems(GemRecipe(size=Size(n, n), stones=(4, 4), overlap=0.0), s).masks
            ]
        )
        for n in (96, 192)
    ]
    assert 2.5 < areas[1] / areas[0] < 6


def test_noise_has_the_size_asked_for() -> None:
    assert noise(Size(30, 50), (7.0, 400.0), np.random.default_rng(0)).shape == (30, 50)


def test_every_matter_lets_some_light_through() -> None:
    for matter in MATTER.values():
        assert 0 < matter.transmission.min() <= matter.transmission.max() < 1
        assert matter.refraction > 1


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"overlap": -0.1}, "overlap"),
        ({"overlap": 1.5}, "overlap"),
        ({"overlap": float("nan")}, "overlap"),
        ({"stones": (5, 3)}, "stones"),
        ({"stones": (-1, 3)}, "stones"),
        ({"radius": (0.0, 3.0)}, "radius"),
        ({"size": Size(0, 320)}, "size"),
    ],
)
def test_recipe_refuses_numbers_out_of_range(broken: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        GemRecipe(**broken)


# --- sets ---


def test_set_draws_each_picture_from_seed_and_index() -> None:
    gems = GemSet(images=3, recipe=SMALL, seed=5)
    assert len(gems) == 3
    assert gems.class_names == GEM_KINDS
    assert same(gems[1], GemSet(images=2, recipe=SMALL, seed=5)[1])
    assert not np.array_equal(gems[0].image, gems[1].image)
    assert not np.array_equal(gems[0].image, GemSet(images=3, recipe=SMALL, seed=6)[0].image)


@pytest.mark.parametrize("index", [3, -1])
def test_set_ends(index: int) -> None:
    with pytest.raises(IndexError):
        GemSet(images=3, recipe=SMALL)[index]


def test_set_refuses_a_negative_seed() -> None:
    with pytest.raises(UserError, match="seed"):
        GemSet(images=3, recipe=SMALL, seed=-1)


def test_argument_becomes_a_train_and_a_val_set() -> None:
    train, val = gem_sets("gems:images=10,overlap=0.5,size=64x96,seed=3,stones=8-20,radius=9-12.5")
    assert (len(train), len(val)) == (8, 2)
    assert train.recipe == val.recipe
    assert train.recipe == GemRecipe(size=Size(64, 96), stones=(8, 20), radius=(9.0, 12.5), overlap=0.5)
    assert train.seed == 3 != val.seed


@pytest.mark.parametrize("text", ["gems:", "gems", "gems: "])
def test_bare_argument_takes_the_defaults(text: str) -> None:
    train, val = gem_sets(text)
    assert train.recipe == GemRecipe()
    assert (len(train), len(val)) == (400, 100)


def test_two_images_are_one_to_train_on_and_one_to_validate_with() -> None:
    assert [len(part) for part in gem_sets("gems:images=2")] == [1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gems:overlpa=0.5", "did you mean overlap"),
        ("gems:xyzzy=1", "did you mean images, size"),
        ("gems:images=many", "images=500"),
        ("gems:stones=a-b", "stones=6-20"),
        ("gems:size=", "size=320"),
        ("gems:images", "images=500"),
        ("gems:images=1", "at least 2"),
        ("gems:overlap=3", "from 0 to 1"),
        ("gems:seed=-4", "seed"),
        ("gems:seed=1,seed=2", "twice"),
        ("gemstones:", "gems:"),
    ],
)
def test_argument_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        gem_sets(text)


# --- files ---


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    out, seen = tmp_path_factory.mktemp("gems") / "new" / "set", []
    write_gems(out, images=5, recipe=SMALL, seed=2, on_progress=seen.append)
    return out, seen


def test_written_set_reads_back_as_drawn(written: tuple[Path, list[int]]) -> None:
    out, _ = written
    content = json.loads((out / "annotations" / "gems_train.json").read_text())
    drawn = GemSet(images=4, recipe=SMALL, seed=2)
    assert [category["name"] for category in content["categories"]] == list(GEM_KINDS)
    assert [category["id"] for category in content["categories"]] == list(range(1, len(GEM_KINDS) + 1))
    for index, picture in enumerate(content["images"]):
        sample = drawn[index]
        entries = [entry for entry in content["annotations"] if entry["image_id"] == picture["id"]]
        assert [entry["category_id"] - 1 for entry in entries] == sample.labels.tolist()
        for entry, mask in zip(entries, sample.masks, strict=True):
            read = from_rle(entry["segmentation"])
            assert (read.left, read.top) == (mask.left, mask.top)
            assert np.array_equal(read.pixels, mask.pixels)
            height, width = mask.pixels.shape
            assert entry["bbox"] == [mask.left, mask.top, width, height]
            assert entry["area"] == mask.pixels.sum()
            assert entry["iscrowd"] == 0
        with Image.open(out / "train" / picture["file_name"]) as image:
            assert (picture["height"], picture["width"]) == image.size[::-1] == (96, 128)
            assert np.abs(np.asarray(image).astype(int) - sample.image).mean() < 6


def test_written_set_has_both_parts_and_nothing_else(written: tuple[Path, list[int]]) -> None:
    out, seen = written
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert files == [
        "annotations/gems_train.json",
        "annotations/gems_val.json",
        *[f"train/00000{i}.jpg" for i in (1, 2, 3, 4)],
        "val/000001.jpg",
    ]
    assert seen == [1, 2, 3, 4, 5]


def test_annotation_ids_are_unique_and_from_one(written: tuple[Path, list[int]]) -> None:
    content = json.loads((written[0] / "annotations" / "gems_train.json").read_text())
    assert [entry["id"] for entry in content["annotations"]] == list(range(1, len(content["annotations"]) + 1))


def test_code_of_a_mask_at_the_border_reads_back() -> None:
    sample = draw_gems(GemRecipe(size=Size(48, 48), stones=(9, 9), radius=(50.0, 70.0), overlap=0.5), 4)
    for mask in sample.masks:
        assert np.array_equal(from_rle(to_rle(mask, Size(48, 48))).pixels, mask.pixels)


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    write_gems(tmp_path, images=1, recipe=GemRecipe(size=Size(32, 32), stones=(0, 0)), val_share=0.0)
    assert (tmp_path / "train" / "000001.jpg").exists()
    assert json.loads((tmp_path / "annotations" / "gems_val.json").read_text())["images"] == []


def test_folder_in_use_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match=str(tmp_path)):
        write_gems(tmp_path, images=1, recipe=SMALL)
    with pytest.raises(UserError, match=r"mine\.txt"):
        write_gems(tmp_path / "mine.txt", images=1, recipe=SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("wrong", [{"images": 0}, {"images": 4, "val_share": 2.0}, {"images": 4, "seed": -1}])
def test_refused_numbers_leave_no_folder(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(UserError):
        write_gems(tmp_path / "out", recipe=SMALL, **wrong)
    assert not (tmp_path / "out").exists()


def test_pictures_of_a_set_differ_from_each_other() -> None:
    gems = GemSet(images=4, recipe=SMALL)
    assert not any(np.array_equal(gems[i].image, gems[j].image) for i, j in combinations(range(4), 2))
