"""Data arguments: what each stands for."""

import json
from pathlib import Path

import pytest

from centermask.data.gems import GEM_KINDS, GemRecipe, write_gems
from centermask.data.sources import Evaluable, describe, open_data, read_raw, skipped, union_of_classes
from centermask.errors import UserError
from centermask.size import Size
from tests.pictures import PictureSet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "stones"
    write_gems(out, images=5, recipe=GemRecipe(size=Size(48, 64), stones=(1, 3)), seed=1)
    return out


def test_gems_are_drawn_on_the_fly() -> None:
    split = open_data("gems:images=5,size=48,stones=1-2")
    assert split.name == "gems"
    assert split.train is not None
    assert split.val is not None
    assert (len(split.train), len(split.val)) == (4, 1)
    assert split.train.size(0) == (48, 48)
    assert skipped(split) == []


def test_a_folder_gives_both_splits_under_its_name(folder: Path) -> None:
    split = open_data(str(folder))
    assert split.name == "stones"
    assert split.train is not None
    assert split.val is not None
    assert (len(split.train), len(split.val)) == (4, 1)
    assert split.train.class_names == GEM_KINDS
    assert split.train[0].image.shape == (48, 64, 3)
    assert open_data(f"{folder}:gems").name == "gems"


def test_all_sets_can_be_evaluated_against(folder: Path) -> None:
    for data in ("gems:images=2,size=48", str(folder)):
        split = open_data(data)
        for one in (split.train, split.val):
            assert isinstance(one, Evaluable)
            assert {image["id"] for image in one.truth()["images"]} == {record.id for record in one.records}


def test_a_lone_split_is_fine(folder: Path) -> None:
    split = open_data(str(folder), val_annotations=folder / "annotations" / "gems_train.json", images=folder / "train")
    assert split.train is None
    assert split.val is not None
    assert len(split.val) == 4


def test_bad_entries_stop_or_are_skipped_and_told(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "annotations" / "gems_train.json").read_text())
    content["annotations"][0]["segmentation"]["counts"] = "broken"
    content["annotations"][1]["category_id"] = 99
    bad = tmp_path / "bad_train.json"
    bad.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"bad_train\.json"):
        open_data(str(folder), train_annotations=bad)
    split = open_data(str(folder), train_annotations=bad, on_error="skip")
    assert len(skipped(split)) == 2
    assert all("bad_train.json" in line for line in skipped(split))


def test_the_format_is_told(folder: Path) -> None:
    split = open_data(str(folder))
    assert split.format == "coco"
    assert describe(split) == "stones: COCO, train 4 pictures, val 1 picture, 8 classes"


def test_the_training_split_stays_closed_for_evaluation(folder: Path) -> None:
    split = open_data(str(folder), evaluation_only=True)
    assert split.train is None
    assert split.val is not None


def test_a_folder_has_its_name_wherever_one_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert [open_data(data).name for data in (".", "coco:.", "coco:.:gems")] == ["stones", "stones", "gems"]


def test_raw_splits_hold_the_json_as_it_is(folder: Path) -> None:
    train, val = read_raw(str(folder))
    assert (train.name, val.name, train.format) == ("train", "val", "coco")
    assert train.content == json.loads((folder / "annotations" / "gems_train.json").read_text())
    assert (train.source, train.images) == (folder / "annotations" / "gems_train.json", folder / "train")
    assert [raw.name for raw in read_raw(f"{folder}:gems")] == ["train", "val"]


@pytest.mark.parametrize("data", ["gems", "nowhere", "gems:stone=3", "nowhere:name"])
def test_what_stands_for_nothing_is_refused_in_words(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"give|did you mean"):
        open_data(data)


def test_classes_are_joined_in_the_order_in_which_they_come() -> None:
    sets = [PictureSet([], names) for names in (("cat", "dog"), (), ("dog", "cow", "cat"))]
    assert union_of_classes(sets) == {"cat": 1, "dog": 2, "cow": 3}


def test_category_ids_are_kept_where_the_sets_agree_on_them() -> None:
    gems = open_data("gems:images=2").train
    assert gems is not None
    assert union_of_classes([gems]) == dict(zip(gems.class_names, gems.category_ids, strict=True))
    assert union_of_classes([gems, PictureSet([], ("pear", "cat"))])["cat"] == len(gems.class_names) + 1


def test_sets_without_a_class_are_refused() -> None:
    sets = [PictureSet([], names) for names in (("cat",), ())]
    with pytest.raises(UserError, match="no class"):
        union_of_classes(sets[1:2])
    with pytest.raises(UserError, match="no class"):
        union_of_classes([])
