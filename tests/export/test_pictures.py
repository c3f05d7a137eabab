"""What files are checked with, and calibrated on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centermask.config import ModelConfig
from centermask.data.gems import GemRecipe, write_gems
from centermask.errors import UserError
from centermask.export.pictures import CHECKED, TINY, Source, drawn_pictures, make_cases, make_feeds, open_pictures
from centermask.size import Size

CONFIG = ModelConfig(test_short_side=64, test_long_side=100)


def plain(count: int) -> Source:
    return Source(
        "plain", [str(i) for i in range(count)], lambda index: np.full((90, 60, 3), index + 1, dtype=np.uint8)
    )


def test_drawn_pictures_are_always_the_same_and_of_three_shapes() -> None:
    first, second = drawn_pictures(), drawn_pictures()
    assert len(first.names) == CHECKED
    assert all(np.array_equal(first.load(i), second.load(i)) for i in range(3))
    assert len({first.load(i).shape for i in range(3)}) == 3
    assert not np.array_equal(first.load(0), first.load(3))


def test_some_of_many_are_evenly_spread() -> None:
    spread = plain(101).spread(5)
    assert list(spread.names) == ["0", "25", "50", "75", "100"]
    assert [int(spread.load(i)[0, 0, 0]) for i in range(5)] == [1, 26, 51, 76, 101]
    assert len(plain(3).spread(5).names) == 3
    assert plain(5).spread(1).names == ["0"]


@pytest.mark.parametrize("count", [1, 2, 4, 50])
def test_pictures_of_three_sizes_two_in_one_run_and_a_tiny_one(count: int) -> None:
    cases = list(make_cases(plain(count), CONFIG, None))
    single = [case for case in cases if len(case.given.sizes) == 1]
    assert len({tuple(case.given.sizes[0]) for case in single}) == 4
    assert cases[0].given.sizes.tolist() == [[96, 64]]
    [both] = [case for case in cases if len(case.given.sizes) == 2]
    assert both.given.sizes[0].tolist() != both.given.sizes[1].tolist()
    assert cases[-1].given.sizes.tolist() == [list(TINY)]
    assert len(cases) == min(max(count, 3), CHECKED) + 2


def test_the_file_gets_narrow_planes_and_pytorch_the_same_padded() -> None:
    for case in make_cases(plain(3), CONFIG, None):
        assert case.given.pixels.shape[2:] == tuple(case.given.sizes.max(axis=0))
        assert not any(side % 32 for side in case.padded.pixels.shape[2:])
        height, width = case.given.pixels.shape[2:]
        assert np.array_equal(case.given.pixels, case.padded.pixels[:, :, :height, :width])
        assert np.array_equal(case.given.sizes, case.padded.sizes)


def test_for_fixed_shapes_pytorch_gets_the_plane_and_pictures_fit_into_it() -> None:
    plane = Size(64, 128)
    cases = list(make_cases(plain(3), CONFIG, plane))
    assert len(cases) == 4
    assert cases[-1].given.sizes.tolist() == [list(TINY)]
    for case in cases:
        assert case.padded.pixels.shape == (1, 3, *plane)
        assert (case.given.sizes[0] <= plane).all()
    assert cases[0].given.sizes.tolist() == [[64, 43]]


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_feeds_are_single_pictures_at_the_size_of_the_test(kind: str) -> None:
    feeds = list(make_feeds(plain(9), CONFIG, None, kind, 4))  # type: ignore[arg-type]
    assert len(feeds) == 4
    assert feeds[0].sizes.tolist() == [[96, 64]]
    assert feeds[0].pixels.dtype == kind
    assert float(feeds[0].score_threshold) == 0
    [feed] = make_feeds(plain(1), CONFIG, Size(64, 128), "uint8", 4)
    assert feed.pixels.shape == (1, 3, 64, 128)
    assert (feed.pixels[:, :, :, 43:] == 0).all()


def test_pictures_are_found_in_a_folder_or_in_data(tmp_path: Path) -> None:
    write_gems(tmp_path / "gems", images=4, recipe=GemRecipe(size=Size(32, 48), stones=(1, 1)), val_share=0.25)
    folder, data, drawn = (
        open_pictures(place) for place in (tmp_path / "gems" / "val", str(tmp_path / "gems"), "gems:images=10,size=32")
    )
    assert [len(source.names) for source in (folder, data, drawn)] == [1, 3, 8]
    assert folder.load(0).shape == data.load(2).shape == (32, 48, 3)


def test_data_with_a_validation_split_alone_will_do(tmp_path: Path) -> None:
    write_gems(tmp_path / "gems", images=2, recipe=GemRecipe(size=Size(32, 32), stones=(1, 1)), val_share=1.0)
    for name in ("train", "annotations/gems_train.json"):
        path = tmp_path / "gems" / name
        path.rmdir() if path.is_dir() else path.unlink()
    assert len(open_pictures(tmp_path / "gems").names) == 2


def test_a_place_without_pictures_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=f"{place.name}: neither pictures"):
            open_pictures(place)


def test_a_single_file_will_do(tmp_path: Path) -> None:
    Image.new("RGB", (5, 7)).save(tmp_path / "a.png")
    source = open_pictures(tmp_path / "a.png")
    assert (source.names, source.load(0).shape) == (["a.png"], (7, 5, 3))
