"""A predictor with a small real module whose answer is known beforehand."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from centermask.errors import UserError
from centermask.instances import Instances
from centermask.predict import Predictor, load_picture, overlay_paths, predict_files
from centermask.structures import ImageBatch, RoIInstances


@dataclasses.dataclass(frozen=True)
class Config:
    class_names: tuple[str, ...] = ("dark", "bright")
    category_ids: tuple[int, ...] = (3, 9)
    test_short_side: int = 64
    test_long_side: int = 128
    score_threshold: float = 0.3
    max_detections: int = 50
    masks_fill_boxes: bool = False


class Quadrants(nn.Module):
    """Finds the four quarters of a picture; with scores 0.2, 0.4, 0.6, 0.8 and label 1 where it is bright."""

    def __init__(self, count: int = 4) -> None:
        super().__init__()
        self.config = Config()
        self.count = count
        self.bright = nn.Parameter(torch.tensor(127.0))

    def forward(self, batch: ImageBatch) -> list[RoIInstances]:
        assert not self.training
        assert not torch.is_grad_enabled()
        assert batch.pixels.shape[2] % 32 == 0
        assert batch.pixels.shape[3] % 32 == 0
        return [self.find(pixels, size) for pixels, size in zip(batch.pixels, batch.sizes.tolist(), strict=True)]

    def keep_detections(self, count: int) -> None:
        self.asked = count

    def find(self, pixels: Tensor, size: list[int]) -> RoIInstances:
        height, width = size
        corners = [(0, 0), (0, width / 2), (height / 2, 0), (height / 2, width / 2)][: self.count]
        boxes = [[x, y, x + width / 2, y + height / 2] for y, x in corners]
        means = [
            pixels[:, int(y) : int(y + height / 2), int(x) : int(x + width / 2)].float().mean() for y, x in corners
        ]
        scores = torch.tensor([0.2, 0.4, 0.6, 0.8][: self.count])
        labels = torch.tensor([int(mean > self.bright) for mean in means], dtype=torch.int64)
        return RoIInstances(
            torch.tensor(boxes).reshape(-1, 4), scores, scores + 0.1, labels, torch.ones(self.count, 28, 28)
        )


def picture(height: int, width: int) -> np.ndarray:
    """Dark, but for its right lower quarter."""
    pixels = np.full((height, width, 3), 20, dtype=np.uint8)
    pixels[height // 2 :, width // 2 :] = 230
    return pixels


def same(a: Instances, b: Instances) -> bool:
    return {**a.to_coco(), "file_name": ""} == {**b.to_coco(), "file_name": ""}


def test_answers_are_in_pixels_of_the_original_best_first() -> None:
    found = Predictor(Quadrants())(picture(200, 100))
    assert found.size == (200, 100)
    np.testing.assert_allclose(found.boxes, [[50, 100, 100, 200], [0, 100, 50, 200], [50, 0, 100, 100]])
    np.testing.assert_allclose(found.scores, [0.8, 0.6, 0.4])
    np.testing.assert_allclose(found.box_scores, [0.9, 0.7, 0.5])
    assert found.class_names == ("bright", "dark", "dark")
    assert found.category_ids == (3, 9)
    # Masks end softly, so that the corners of a full one are cut: no pixel outside its box, nearly all inside.
    assert found.masks[0, 105:195, 55:95].all()
    assert found.masks[0, 100:, 50:].sum() == found.masks[0].sum() > 100 * 50 - 20


def test_threshold_and_count_cut_after_sorting() -> None:
    image = picture(64, 64)
    assert len(Predictor(Quadrants(), score_threshold=0.0)(image)) == 4
    assert len(Predictor(Quadrants(), score_threshold=0.5)(image)) == 2
    np.testing.assert_allclose(Predictor(Quadrants(), max_detections=1)(image).scores, [0.8])
    asked = Quadrants()
    Predictor(asked, max_detections=300)
    assert asked.asked == 300  # more than a network keeps by itself must be asked of it
    assert len(Predictor(Quadrants(), score_threshold=1.0)(image)) == 0


def test_nothing_found_is_ordinary() -> None:
    found = Predictor(Quadrants(count=0))(picture(40, 50))
    assert len(found) == 0
    assert found.masks.shape == (0, 40, 50)


def test_every_kind_of_picture_gives_the_same_answer(tmp_path: Path) -> None:
    pixels = picture(48, 80)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    predict = Predictor(Quadrants())
    expected = predict(pixels)
    kinds = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        Image.fromarray(pixels),
        pixels[:, :, 0],
        pixels[:, ::-1][:, ::-1],
        torch.from_numpy(pixels).permute(2, 0, 1),
    ]
    for kind in kinds:
        assert same(predict(kind), expected)
    assert predict(tmp_path / "a.png").file_name == "a.png"
    assert predict(pixels).file_name == ""


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 3), dtype=np.float32),
        np.zeros((4, 4, 4), dtype=np.uint8),
        np.zeros((0, 4, 3), dtype=np.uint8),
        torch.zeros(4, 4, 3, dtype=torch.uint8),
        torch.zeros(3, 4, 4),
    ],
)
def test_other_things_are_refused_in_words(wrong: object) -> None:
    with pytest.raises(UserError, match="convert it"):
        load_picture(wrong)


def test_a_pillow_image_of_a_truncated_file_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    with Image.open(tmp_path / "a.png") as image, pytest.raises(UserError, match="convert it"):
        load_picture(image)


def test_batch_of_two_equals_two_batches() -> None:
    predict = Predictor(Quadrants())
    images = [picture(100, 60), picture(64, 150)]
    together = predict.batch(images)
    assert all(same(a, predict(image)) for a, image in zip(together, images, strict=True))
    assert predict.batch([]) == []


def test_three_steps_are_one_call() -> None:
    predict, image = Predictor(Quadrants()), picture(200, 100)
    prepared = predict.prepare(image)
    assert (prepared.fitted, prepared.original) == ((128, 64), (200, 100))
    (found,) = predict.find([prepared], 0.0)
    assert same(predict.finish(found, prepared), predict(image))
    strict = predict.finish(found, prepared, score_threshold=0.5, max_detections=1, file_name="a.png")
    np.testing.assert_allclose(strict.scores, [0.8])
    assert strict.file_name == "a.png"


class Watcher(Quadrants):
    """Keeps the sizes that it was shown."""

    def forward(self, batch: ImageBatch) -> list[RoIInstances]:
        self.seen = batch.sizes.tolist()
        self.pixels = batch.pixels
        return super().forward(batch)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({}, [64, 128]),
        ({"short_side": 96}, [96, 192]),
        ({"short_side": 96, "long_side": 100}, [50, 100]),
        ({"long_side": 64}, [32, 64]),
        ({"resize": False}, [50, 100]),
    ],
)
def test_sides_decide_what_the_network_sees(options: dict[str, object], seen: list[int]) -> None:
    model = Watcher()
    found = Predictor(model, **options)(picture(50, 100))
    assert model.seen == [seen]
    assert found.size == (50, 100)


def test_without_resizing_the_pixels_stay_as_they_are() -> None:
    model, image = Watcher(), np.random.default_rng(0).integers(0, 256, (33, 65, 3), dtype=np.uint8)
    Predictor(model, resize=False)(image)
    assert model.pixels.shape == (1, 3, 64, 96)
    np.testing.assert_array_equal(model.pixels[0, :, :33, :65].permute(1, 2, 0).numpy(), image)


@pytest.mark.parametrize(
    "options",
    [{"short_side": 0}, {"long_side": -1}, {"max_detections": 0}, {"score_threshold": 1.5}, {"device": "warp"}],
)
def test_arguments_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        Predictor(Quadrants(), **options)


def test_too_little_memory_is_said_in_words() -> None:
    class Greedy(Quadrants):
        def forward(self, batch: ImageBatch) -> list[RoIInstances]:
            raise torch.OutOfMemoryError("too much")

    with pytest.raises(UserError, match="short_side"):
        Predictor(Greedy())(picture(64, 64))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in (("a.png", (40, 60)), ("b.jpg", (64, 64)), ("c.bmp", (100, 30))):
        Image.fromarray(picture(*size)).save(tmp_path / name)
    (tmp_path / "bad.jpg").write_bytes(b"broken")
    return tmp_path


def test_good_files_are_done_and_bad_ones_listed(folder: Path) -> None:
    paths = [folder / name for name in ("a.png", "bad.jpg", "b.jpg", "missing.png", "c.bmp")]
    done: list[tuple[Path, int]] = []
    out, answers = folder / "new" / "out", folder / "deep" / "er" / "answers.json"
    predictor = Predictor(Quadrants())
    failures = predict_files(
        predictor, paths, out=out, json_file=answers, on_done=lambda path, found: done.append((path, len(found)))
    )
    assert [path.name for path, _ in failures] == ["bad.jpg", "missing.png"]
    assert "no picture" in failures[0][1]
    assert done == [(folder / "a.png", 3), (folder / "b.jpg", 3), (folder / "c.bmp", 3)]
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png", "c.png"]
    assert load_picture(out / "c.png").shape == (100, 30, 3)
    records = json.loads(answers.read_text())
    assert [record["file_name"] for record in records] == ["a.png", "b.jpg", "c.bmp"]
    assert records[0] == predictor(folder / "a.png").to_coco()
    assert [path.name for path in answers.parent.iterdir()] == ["answers.json"]


def test_no_picture_at_all_gives_an_empty_list(folder: Path) -> None:
    assert predict_files(Predictor(Quadrants()), [], json_file=folder / "x.json") == []
    assert json.loads((folder / "x.json").read_text()) == []


def test_without_out_and_json_nothing_is_written(folder: Path) -> None:
    before = sorted(folder.iterdir())
    assert predict_files(Predictor(Quadrants()), [folder / "a.png"]) == []
    assert sorted(folder.iterdir()) == before


def test_an_overlay_never_replaces_its_picture(folder: Path) -> None:
    before = (folder / "a.png").read_bytes()
    out = folder / "out"
    out.mkdir()
    (out / "a.png").symlink_to(folder / "a.png")
    predict_files(Predictor(Quadrants()), [folder / "a.png"], out=out)
    assert (folder / "a.png").read_bytes() == before
    assert (out / "a_2.png").exists()


def test_overlays_do_not_go_where_pictures_lie(folder: Path) -> None:
    (folder / "b.png").write_text("of somebody else")  # beside b.jpg
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match="the pictures lie there; choose another"):
        predict_files(Predictor(Quadrants()), [folder / "b.jpg"], out=folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_overlays_of_like_named_pictures_are_kept_apart() -> None:
    paths = [Path("x/a.jpg"), Path("y/a.png"), Path("z/A.tif"), Path("z/a_2.jpg")]
    names = [path.name for path in overlay_paths(paths, Path("out"))]
    assert names == ["a.png", "a_2.png", "A_3.png", "a_2_2.png"]


def test_many_pictures_of_one_name_take_no_longer_than_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def count(path: Path) -> str:
        nonlocal asked
        asked += 1
        return str(path)

    monkeypatch.setattr(os.path, "realpath", count)
    chosen = overlay_paths([Path(f"{i}/a.jpg") for i in range(300)], Path("out"))
    assert [path.name for path in chosen[::299]] == ["a.png", "a_300.png"]
    assert asked <= 3 * 300


def test_records_of_like_named_pictures_carry_their_paths(folder: Path) -> None:
    (folder / "sub").mkdir()
    Image.fromarray(picture(8, 8)).save(folder / "sub" / "a.png")
    paths = [folder / "a.png", folder / "sub" / "a.png", folder / "b.jpg"]
    predict_files(Predictor(Quadrants()), paths, json_file=folder / "x.json")
    names = [record["file_name"] for record in json.loads((folder / "x.json").read_text())]
    assert names == [paths[0].as_posix(), paths[1].as_posix(), "b.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="names are always Unicode there")
def test_a_file_name_that_is_no_unicode_comes_back_from_json(folder: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    Image.fromarray(picture(8, 8)).save(odd)
    assert predict_files(Predictor(Quadrants()), [odd], json_file=folder / "x.json", out=folder / "out") == []
    assert json.loads((folder / "x.json").read_text())[0]["file_name"] == odd.name


def test_an_interrupted_run_leaves_the_old_file(folder: Path) -> None:
    answers = folder / "x.json"
    answers.write_text("old")

    def interrupt(path: Path, found: Instances) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files(Predictor(Quadrants()), [folder / "a.png"], json_file=answers, on_done=interrupt)
    assert answers.read_text() == "old"
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_what_cannot_be_written_is_refused_before_the_work(folder: Path) -> None:
    seen: list[Path] = []
    for wrong in ({"json_file": folder}, {"json_file": folder / "a.png" / "x.json"}, {"out": folder / "a.png"}):
        with pytest.raises(UserError, match="choose another"):
            predict_files(
                Predictor(Quadrants()), [folder / "b.jpg"], **wrong, on_done=lambda path, found: seen.append(path)
            )
    assert seen == []
