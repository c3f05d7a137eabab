"""Tiles against the untiled answer, with a network that sees exactly what is there (``beads.py``)."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from centermask import Predictor, TiledPredictor
from centermask.data.gems import GemRecipe, draw_gems
from centermask.errors import UserError
from centermask.instances import Instances
from centermask.size import Size
from centermask.stitch import Piece, Tile, agree, cut_sides, stitch
from centermask.tiles import lay_tiles
from tests.beads import Beads

RED, GREEN = 0, 1


def canvas(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), dtype=np.uint8)


def bead(picture: np.ndarray, box: tuple[int, int, int, int], label: int = RED, light: int = 200) -> np.ndarray:
    left, top, right, bottom = box
    picture[top:bottom, left:right, label] = light
    return picture


def untiled(picture: np.ndarray) -> Instances:
    return Predictor(Beads(), resize=False)(picture)


def tiled(picture: np.ndarray, tile: int = 128, overlap: float = 0.25) -> Instances:
    return TiledPredictor(Predictor(Beads(), resize=False), tile=tile, overlap=overlap)(picture)


def ious(a: Instances, b: Instances) -> np.ndarray:
    """Of masks of one class; others share nothing."""
    planes, others = (one.masks.reshape(len(one), -1).astype(np.float64) for one in (a, b))
    shared = planes @ others.T
    together = planes.sum(axis=1)[:, None] + others.sum(axis=1)[None, :] - shared
    return shared / together * (a.labels[:, None] == b.labels[None, :])


def agrees(found: Instances, expected: Instances, least: float = 0.9) -> bool:
    """Whether each object is found, once, with nearly its mask, box and score."""
    if len(found) != len(expected):
        return False
    if not len(found):
        return True
    table = ious(found, expected)
    best = table.argmax(axis=1)
    return (
        sorted(best.tolist()) == list(range(len(expected)))
        and bool((table.max(axis=1) > least).all())
        and bool(np.abs(found.boxes - expected.boxes[best]).max() <= 2)
        and bool(np.abs(found.scores - expected.scores[best]).max() < 1e-6)
    )


# --- tiles ---


def test_tiles_by_hand() -> None:
    tiles = lay_tiles(Size(100, 180), tile=100, overlap=0.2)
    assert tiles == [Tile(left=0, top=0, right=100, bottom=100), Tile(left=80, top=0, right=180, bottom=100)]
    assert len(lay_tiles(Size(101, 180), tile=100, overlap=0.2)) == 4
    assert lay_tiles(Size(30, 100), tile=100, overlap=0.5) == [Tile(left=0, top=0, right=100, bottom=30)]


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(32, 900), st.floats(0.01, 0.5))
@settings(deadline=None)
def test_tiles_cover_the_picture_and_overlap_as_asked(height: int, width: int, tile: int, overlap: float) -> None:
    tiles = lay_tiles(Size(height, width), tile, overlap)
    for low, high, length in (("left", "right", width), ("top", "bottom", height)):
        ranges = sorted({(getattr(one, low), getattr(one, high)) for one in tiles})
        assert ranges[0][0] == 0
        assert ranges[-1][1] == length
        assert {end - start for start, end in ranges} == {min(tile, length)}
        assert all(end - start >= int(tile * overlap) for (_, end), (start, _) in pairwise(ranges))
        assert all(first < second for (first, _), (second, _) in pairwise(ranges))


# --- against the untiled answer ---


@pytest.mark.parametrize("seed", range(4))
def test_each_gem_of_a_scene_larger_than_a_tile_is_found_once(seed: int) -> None:
    """Stones of up to 50 pixels, 51 of overlap: each is whole in some tile, and many are cut by a border."""
    recipe = GemRecipe(size=Size(400, 560), stones=(60, 70), radius=(8.0, 20.0), overlap=0.3)
    drawn = draw_gems(recipe, seed)
    picture = canvas(400, 560)
    for i, (label, mask) in enumerate(zip(drawn.labels, drawn.masks, strict=True)):
        rows = slice(mask.top, mask.top + mask.pixels.shape[0])
        columns = slice(mask.left, mask.left + mask.pixels.shape[1])
        picture[rows, columns, label % 3][mask.pixels] = 130 + i
    expected = untiled(picture)
    assert len(expected) >= 60
    assert agrees(tiled(picture, tile=205), expected)


def test_what_fits_into_a_tile_is_the_untiled_answer() -> None:
    picture = bead(bead(canvas(120, 128), (3, 5, 40, 60)), (30, 20, 128, 120), GREEN, 250)
    plain = Predictor(Beads(exact=False))
    assert TiledPredictor(plain, tile=128)(picture).to_coco() == plain(picture).to_coco()
    assert agrees(tiled(picture), untiled(picture), least=0.999)


def test_nothing_found_is_ordinary() -> None:
    found = tiled(canvas(300, 400))
    assert len(found) == 0
    assert found.size == (300, 400)
    assert found.category_ids == (7, 3, 12)


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((60, 10, 250, 40), id="across-two-tiles"),
        pytest.param((10, 30, 390, 60), id="across-four-tiles"),
        pytest.param((60, 60, 200, 200), id="over-a-corner-of-four"),
        pytest.param((5, 5, 395, 295), id="over-all-twelve"),
        pytest.param((100, 100, 120, 120), id="in-a-strip"),
        pytest.param((0, 90, 3, 300), id="a-line-along-the-border"),
    ],
)
def test_an_object_cut_by_borders_is_one_object(box: tuple[int, int, int, int]) -> None:
    picture = bead(canvas(300, 400), box)
    assert agrees(tiled(picture), untiled(picture), least=0.95)


def test_legs_that_a_tile_sees_apart_belong_to_one_body() -> None:
    """The lower tile sees only two feet; the upper one sees how they hang together."""
    picture = canvas(224, 128)
    for box in ((30, 40, 90, 80), (30, 80, 45, 200), (75, 80, 90, 200)):
        bead(picture, box)
    assert len(lay_tiles(Size(224, 128), 128, 0.25)) == 2
    assert agrees(tiled(picture), untiled(picture), least=0.95)


def test_neighbours_of_one_class_stay_apart() -> None:
    """Two tall objects side by side, each cut by the same border."""
    picture = bead(bead(canvas(224, 128), (10, 20, 60, 210), light=200), (60, 20, 110, 210), light=180)
    found = tiled(picture)
    assert len(found) == 2
    assert agrees(found, untiled(picture), least=0.95)


def test_classes_are_not_joined() -> None:
    picture = bead(bead(canvas(100, 220), (10, 10, 100, 60), RED), (100, 10, 210, 60), GREEN)
    assert agrees(tiled(picture), untiled(picture), least=0.95)


def test_scores_of_an_object_are_those_of_its_best_piece() -> None:
    size = Size(100, 180)
    pieces = [piece(size, 0, 100, (60, 100), score=0.5), piece(size, 80, 180, (80, 130), score=0.75)]
    (one,) = stitch(pieces, [], size)
    assert (one.score, one.box_score, one.box.tolist()) == (0.75, 0.75, [60, 10, 130, 20])


def piece(size: Size, left: int, right: int, columns: tuple[int, int], score: float = 0.5, label: int = 0) -> Piece:
    """A bar from row 10 to row 20 over some columns, as a tile that is as high as the picture shows it."""
    tile = Tile(left=left, top=0, right=right, bottom=size.height)
    start = np.arange(*columns) * size.height + 10
    box = np.array([columns[0], 10, columns[1], 20], dtype=np.float32)
    return Piece(tile=tile, label=label, score=score, box_score=score, box=box,
                 spans=np.stack([start, start + 10], axis=1), cut=cut_sides(box, tile, size))  # fmt: skip


def test_the_tile_that_sees_an_object_whole_has_the_say() -> None:
    size = Size(100, 180)
    whole, sliver = piece(size, 0, 100, (30, 92), score=0.4), piece(size, 80, 180, (80, 92), score=0.9)
    assert whole.is_whole
    assert not sliver.is_whole
    (one,) = stitch([sliver, whole], [], size)
    assert one is whole


def test_pieces_agree_in_the_strip_and_are_not_asked_beyond_it() -> None:
    size = Size(100, 180)
    long, short = piece(size, 0, 100, (5, 100)), piece(size, 80, 180, (80, 104))
    assert agree(long, short, size)  # of all their pixels they share 20 of 99 columns, of the strip's 20 all
    assert agree(short, long, size)
    beside = piece(size, 80, 180, (96, 120))
    assert not agree(piece(size, 0, 100, (30, 98)), beside, size)  # two columns of 18: neighbours
    assert not agree(piece(size, 0, 90, (5, 50)), beside, size)


def test_a_piece_that_reaches_far_beyond_a_seemingly_whole_one_is_joined_with_it() -> None:
    """A mask that ends before the border that cuts it: the other tile knows better."""
    size = Size(100, 180)
    long, short = piece(size, 0, 100, (5, 100)), piece(size, 80, 180, (86, 130))
    assert short.is_whole
    (one,) = stitch([long, short], [], size)
    assert one.box.tolist() == [5, 10, 130, 20]


def test_an_object_at_the_picture_s_border_is_whole() -> None:
    size = Size(100, 180)
    tile = Tile(left=80, top=0, right=180, bottom=100)
    assert cut_sides(np.float32([150, 0, 180, 100]), tile, size) == (False, False, False, False)
    assert cut_sides(np.float32([81, 0, 180, 100]), tile, size) == (True, False, False, False)


# --- laws ---


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_beads_smaller_than_the_overlap_are_found_as_without_tiles(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(50, 300)), data.draw(st.integers(50, 300))
    picture = canvas(height, width)
    for light in range(data.draw(st.integers(0, 12))):
        left, top = data.draw(st.integers(0, width - 12)), data.draw(st.integers(0, height - 12))
        bead(picture, (left, top, left + data.draw(st.integers(8, 32)), top + data.draw(st.integers(8, 32))),
             light=140 + light)  # fmt: skip
    expected = untiled(picture)
    assert agrees(tiled(picture), expected, least=0.85) or has_crumbs(expected)


def has_crumbs(found: Instances) -> bool:
    """Whether a bead is left of which next to nothing shows: two such may lie in one strip and look alike."""
    return bool((found.masks.sum(axis=(1, 2)) < 40).any())


@pytest.mark.parametrize("shift", [1, 7, 31, 60, 97])
def test_where_the_borders_fall_does_not_matter(shift: int) -> None:
    """The same scene further right and down: the same objects, moved."""
    scene = bead(bead(bead(canvas(200, 260), (20, 20, 150, 60)), (170, 30, 200, 190), GREEN), (30, 90, 60, 120))
    moved = np.pad(scene, ((shift, 0), (shift, 0), (0, 0)))
    here, there = tiled(scene), tiled(moved)
    assert agrees(here, untiled(scene), least=0.95)
    order = [np.argsort(one.boxes[:, 0]) for one in (here, there)]
    assert np.abs(here.boxes[order[0]] + shift - there.boxes[order[1]]).max() <= 2


# --- large objects, and the predictor within ---


def test_an_object_larger_than_a_tile_is_seen_in_the_whole_picture() -> None:
    """Its inside looks like nothing, so that no tile finds it: a frame too thin to survive but as a whole."""
    picture = bead(canvas(512, 512), (40, 40, 470, 470))
    model = Beads(exact=False)
    predictor = Predictor(model)
    found = TiledPredictor(predictor, tile=128)(picture)
    assert agrees(found, predictor(picture), least=0.95)
    assert agrees(TiledPredictor(predictor, tile=128, overview=False)(picture), predictor(picture), least=0.95)
    assert model.runs[0][0] == 4  # tiles go through the network four at a time


def test_the_overview_has_no_say_in_what_a_tile_sees_whole() -> None:
    """Three beads that flow together when the picture is scaled down."""
    picture = canvas(512, 512)
    for left in (200, 232, 264):
        bead(picture, (left, 200, left + 30, 230))
    predictor = Predictor(Beads(exact=False), short_side=32)
    assert len(predictor(picture)) == 1
    assert len(TiledPredictor(Predictor(Beads(exact=False)), tile=128)(picture)) == 3
    assert len(TiledPredictor(predictor, tile=32, overlap=0.5)(picture)) >= 3


def test_the_mask_of_its_pieces_is_finer_than_what_the_overview_saw() -> None:
    size = Size(100, 180)
    pieces = [piece(size, 0, 100, (60, 100)), piece(size, 80, 180, (80, 130))]
    rough = piece(size, 0, 180, (58, 128), score=0.6)
    (one,) = stitch(pieces, [rough], size)
    assert (one.box.tolist(), one.score) == ([60, 10, 130, 20], 0.6)
    (one,) = stitch(pieces[:1], [rough], size)
    assert one is rough


def test_the_best_of_the_whole_picture_are_kept() -> None:
    picture = canvas(100, 400)
    for i in range(6):
        bead(picture, (10 + 60 * i, 20, 40 + 60 * i, 50), light=150 + 10 * i)
    predictor = Predictor(Beads(), resize=False, max_detections=3, score_threshold=0.65)
    found = TiledPredictor(predictor, tile=128)(picture)
    np.testing.assert_allclose(found.scores, np.array([200, 190, 180]) / 255, rtol=1e-6)
    assert found.to_coco()["instances"][0]["category_id"] == 7


def test_a_batch_is_one_picture_after_the_other(tmp_path: Path) -> None:
    pictures = [bead(canvas(100, 300), (90, 20, 150, 80)), canvas(20, 20)]
    Image.fromarray(pictures[0]).save(tmp_path / "wide.png")
    predict = TiledPredictor(Predictor(Beads(), resize=False), tile=128)
    first, second = predict.batch([tmp_path / "wide.png", pictures[1]])
    assert first.file_name == "wide.png"
    assert {**first.to_coco(), "file_name": ""} == predict(pictures[0]).to_coco()
    assert len(second) == 0


def test_it_says_what_the_predictor_within_says() -> None:
    inner = Predictor(Beads(), short_side=99, max_detections=7)
    outer = TiledPredictor(inner)
    for name in ("model", "device", "class_names", "category_ids", "short_side", "long_side", "resize",
                 "score_threshold", "max_detections"):  # fmt: skip
        assert getattr(outer, name) == getattr(inner, name)


@pytest.mark.parametrize("wrong", [{"tile": 0}, {"tile": 31}, {"overlap": 0.0}, {"overlap": 0.6}, {"overlap": -1.0}])
def test_tiles_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        TiledPredictor(Predictor(Beads()), **wrong)
