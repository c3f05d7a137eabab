"""Where a data set's pictures and annotations lie."""

from pathlib import Path

import pytest

from centermask.data.folder import CocoSource, find_splits, has_coco, split_name
from centermask.errors import UserError


@pytest.fixture
def make(tmp_path):
    """Make folders and empty annotation files in a folder."""

    def make_folder(*annotations: str, folders: tuple[str, ...] = ("train", "val")) -> Path:
        for folder in ("annotations", *folders):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in annotations:
            (tmp_path / "annotations" / f"{name}.json").write_text("{}")
        return tmp_path

    return make_folder


def test_a_name_with_both_splits(make):
    folder = make("cats_train", "cats_val")
    splits = find_splits(folder)
    assert splits.train == CocoSource(annotations=folder / "annotations/cats_train.json", images=folder / "train")
    assert splits.val == CocoSource(annotations=folder / "annotations/cats_val.json", images=folder / "val")


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_lone_split_is_enough(make, split):
    splits = find_splits(str(make(f"cats_{split}")))
    assert [splits.train is not None, splits.val is not None] == [split == "train", split == "val"]


def test_a_further_val_file_does_not_make_a_folder_ambiguous(make):
    folder = make("cats_train", "cats_val", "cats_occluded_val", "night_val")
    assert find_splits(folder).val.annotations.name == "cats_val.json"


def test_a_further_val_file_can_be_chosen(make):
    splits = find_splits(f"{make('cats_train', 'cats_val', 'cats_occluded_val')}:cats_occluded")
    assert splits.train is None
    assert splits.val.annotations.name == "cats_occluded_val.json"


@pytest.mark.parametrize(
    "names",
    [
        ["person_train", "person_val", "cars_train", "cars_val"],
        ["person_train", "person_val", "cars_train"],
        ["person_train", "cars_val"],
        ["person_val", "cars_val"],
    ],
)
def test_several_names_are_listed_with_the_mend(make, names):
    folder = make(*names)
    with pytest.raises(UserError, match="cars, person") as caught:
        find_splits(folder)
    assert f"{folder}:" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_name_behind_the_colon_chooses(make):
    folder = make("person_train", "person_val", "cars_train", "cars_val")
    splits = find_splits(f"{folder}:cars")
    assert splits.train.annotations.name == "cars_train.json"
    assert splits.val.images == folder / "val"


def test_an_unknown_name_is_refused_with_those_there_are(make):
    with pytest.raises(UserError, match=r"'cat'.*choose one of cats"):
        find_splits(f"{make('cats_train')}:cat")


def test_a_folder_may_have_a_colon_in_its_name(tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    assert split_name(folder) == (folder, None)
    assert split_name(f"{folder}:person") == (folder, "person")


@pytest.mark.parametrize("data", ["none", "none:person", "none/a:b/c", "C:\\data", ":person", "none:"])
def test_a_missing_folder_is_refused(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no such folder; give a folder"):
        find_splits(data)


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "set.json").write_text("{}")
    with pytest.raises(UserError, match="is a file, not a folder"):
        find_splits(tmp_path / "set.json")


@pytest.mark.parametrize("name", ["readme", "_val", "cats_test", "cats_trainval"])
def test_without_annotations_the_mend_is_told(make, name):
    with pytest.raises(UserError, match=r"no annotations/NAME_train.json .* put the COCO files there"):
        find_splits(make(name))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="no annotations"):
        find_splits(tmp_path)


def test_files_may_be_called_by_their_split_alone(make):
    folder = make("train", "valid", folders=("train", "valid"))
    splits = find_splits(folder)
    assert splits.train.images == folder / "train"
    assert splits.val == CocoSource(annotations=folder / "annotations/valid.json", images=folder / "valid")


def test_a_lone_file_without_a_split_is_for_training(make):
    folder = make(folders=("images",))
    (folder / "annotations" / "export.json").write_text('{"images": [], "annotations": [], "categories" : []}')
    splits = find_splits(folder)
    assert splits.train == CocoSource(annotations=folder / "annotations/export.json", images=folder / "images")
    assert splits.val is None
    (folder / "annotations" / "second.json").write_text("{}")
    assert not has_coco(folder)


def test_roboflow_folders_hold_their_own_files(make):
    folder = make(folders=("train", "valid", "test"))
    for split in ("train", "valid", "test"):
        (folder / split / "_annotations.coco.json").write_text("{}")
    splits = find_splits(folder)
    assert splits.train == CocoSource(annotations=folder / "train/_annotations.coco.json", images=folder / "train")
    assert splits.val == CocoSource(annotations=folder / "valid/_annotations.coco.json", images=folder / "valid")


def test_years_belong_to_the_split(make):
    folder = make("instances_train2017", "instances_val2017", "captions_val2017", folders=("train2017", "val2017"))
    splits = find_splits(f"{folder}:instances2017")
    assert splits == find_splits(folder)
    assert splits.train.images == folder / "train2017"
    assert splits.val.images == folder / "val2017"


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("train", "images/train"), "train"),
        (("images/train",), "images/train"),
        (("images",), "images"),
        ((), "."),
    ],
)
def test_pictures_lie_in_the_nearest_folder(make, folders, expected):
    folder = make("cats_train", folders=folders)
    assert find_splits(folder).train.images == folder / expected


def test_given_pictures_win(make, tmp_path):
    folder = make("cats_train", "cats_val", folders=("train", "val", "elsewhere"))
    splits = find_splits(folder, images=tmp_path / "elsewhere")
    assert splits.train.images == splits.val.images == tmp_path / "elsewhere"


def test_missing_given_pictures_are_refused(make, tmp_path):
    with pytest.raises(UserError, match="no such folder; name the folder in which the pictures lie"):
        find_splits(make("cats_train"), images=tmp_path / "none")


def test_given_annotations_are_taken_alone(make, tmp_path):
    folder = make("person_train", "person_val", "cars_train", "cars_val")
    (tmp_path / "mine.json").write_text("{}")
    splits = find_splits(folder, val_annotations=tmp_path / "mine.json")
    assert splits.train is None
    assert splits.val == CocoSource(annotations=tmp_path / "mine.json", images=folder / "val")


def test_missing_given_annotations_are_refused(make, tmp_path):
    with pytest.raises(UserError, match=r"none\.json: there is no such file; name the annotations of the split train"):
        find_splits(make("cats_train"), train_annotations=tmp_path / "none.json")
