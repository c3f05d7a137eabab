"""The report of a check: files, page and table, whatever the names in the data set are."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from centermask.data.check import CheckReport, check_data, format_report, write_report
from centermask.data.check.kinds import KINDS
from centermask.errors import UserError
from tests.data.faults import FAULTS, save_picture, sound

HOSTILE = "<script>alert(1)</script>[bold]&quot;'\"{{ 7 * 7 }}"


def report_of(fault: str, folder: Path) -> CheckReport:
    one = sound(folder / "set")
    if fault:
        FAULTS[fault][0](one)
    one.save()
    return check_data(str(one.folder))


class Page(HTMLParser):
    """What a browser would fetch, run and show; tags must be balanced."""

    EMPTY = ("meta", "img", "br", "path", "circle")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.images: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        assert not any(name.startswith("on") for name in values)
        assert (values.get("href") or "#").startswith("#")
        if "src" in values:
            self.images.append(values["src"] or "")
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(report: CheckReport, out: Path) -> Page:
    write_report(report, out)
    text = (out / "check.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import|<link|<iframe", text)
    return Page(text)


def printed(report: CheckReport) -> str:
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(format_report(report))
    return console.file.getvalue()  # type: ignore[attr-defined]


# --- files


def test_the_file_has_every_finding(tmp_path: Path) -> None:
    report = report_of("box as two corners", tmp_path)
    write_report(report, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "issues.json").read_text())
    assert content["harmful"] is True
    assert content["counts"] == {"error": 1, "warning": 0, "note": 0}
    assert content["kinds"] == {"box-xyxy": {"severity": "error", "count": 1}}
    (finding,) = content["findings"]
    assert finding["kind"] == "box-xyxy"
    assert (finding["split"], finding["picture"], finding["annotation"]) == ("train", "0.png", "id 2")
    assert finding["file"].endswith("things_train.json")
    assert finding["message"].endswith("; write left, top, width, height")
    assert content["statistics"][0]["objects"] == 8


def test_a_sound_set_writes_an_empty_list(tmp_path: Path) -> None:
    report = report_of("", tmp_path)
    page = page_of(report, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "issues.json").read_text())["findings"] == []
    assert "Fit for training" in page.text
    assert "None at all" in page.text
    assert "fit for training: 0 errors, 0 warnings, 0 notes" in printed(report)


def test_reports_can_be_written_over(tmp_path: Path) -> None:
    write_report(report_of("box as two corners", tmp_path / "a"), tmp_path / "out")
    write_report(report_of("", tmp_path / "b"), tmp_path / "out")
    assert "Fit for training" in (tmp_path / "out" / "check.html").read_text()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["check.html", "issues.json"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_report(report_of("", tmp_path), tmp_path / "file" / "out")


def test_nothing_is_written_into_the_data_set(tmp_path: Path) -> None:
    report = report_of("", tmp_path)
    with pytest.raises(UserError, match="lies in the data set"):
        write_report(report, tmp_path / "set" / "check")
    assert not (tmp_path / "set" / "check").exists()


# --- the page


@pytest.mark.parametrize(
    ("fault", "pictures"),
    [
        ("box as two corners", 1),
        ("polygon crosses itself", 1),
        ("EXIF turns it", 1),
        ("NaN in a polygon", 1),
        ("polygon far away", 1),
        ("size differs", 1),
        ("gap in the ids", 0),
        ("look-alike in val", 2),
        ("picture cut off", 0),
        ("object of no picture", 0),
    ],
)
def test_faults_are_told_and_drawn(tmp_path: Path, fault: str, pictures: int) -> None:
    report = report_of(fault, tmp_path)
    page = page_of(report, tmp_path / "out")
    kind = KINDS[FAULTS[fault][1]]
    for text in (page.text, " ".join(printed(report).split())):
        assert f"1 × {kind.title}" in text
        assert ("raining would be harmed" in text) == (kind.severity == "error")
    assert len(page.images) == pictures
    for address in page.images:
        assert address.startswith("data:image/jpeg;base64,")
        image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        assert max(image.size) <= 224


def test_a_picture_that_cannot_be_read_leaves_a_grey_place(tmp_path: Path) -> None:
    page = page_of(report_of("picture cut off", tmp_path), tmp_path / "out")
    assert "cannot be shown" in page.text
    assert "broken or cut off" in page.text


def test_both_boxes_are_drawn_in_their_colours(tmp_path: Path) -> None:
    page = page_of(report_of("box as two corners", tmp_path), tmp_path / "out")
    image = Image.open(io.BytesIO(base64.b64decode(page.images[0].partition(",")[2]))).convert("RGB")
    colours = [image.getpixel((x, y)) for x in range(image.width) for y in range(image.height)]
    assert sum(red > 180 and green < 120 and blue < 120 for red, green, blue in colours) > 100
    assert sum(green > 150 and red < 110 and blue < 140 for red, green, blue in colours) > 100


def test_at_most_twelve_of_a_kind_are_drawn_and_the_others_listed(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    entry = one.train["annotations"][0]
    one.train["annotations"] += [{**entry, "id": 100 + i, "category_id": 404} for i in range(30)]
    one.save()
    page = page_of(check_data(str(one.folder)), tmp_path / "out")
    assert len(page.images) == 12
    assert "30 × object of an unknown class" in page.text
    assert "18 more" in page.text


def test_classes_sizes_and_crowding_have_bars(tmp_path: Path) -> None:
    page = page_of(report_of("", tmp_path), tmp_path / "out")
    for text in ("Objects by class", "square", "block", "Objects by size", "to 32²", "Objects by overlap"):
        assert text in page.text


# --- hostile names


def hostile_report(folder: Path) -> CheckReport:
    """Class and file names that would be markup, a template or a command to a terminal."""
    one = sound(folder / "set")
    for split in (one.train, one.val):
        split["categories"][0]["name"] = HOSTILE
    name = "<img src=x onerror=alert(1)>[red].png"
    one.picture.rename(one.folder / "train" / name)
    one.train["images"][0]["file_name"] = name
    one.spoil(bbox=[30, 2, 20, 20])
    one.train["images"][1]["file_name"] = "\x1b]0;gone\x07\x1b[2J.png"
    save_picture(one.folder / "train" / "\x1b[31m<b>.png", 50)
    one.save()
    return check_data(str(one.folder))


def test_names_from_files_are_text_on_the_page(tmp_path: Path) -> None:
    page = page_of(hostile_report(tmp_path), tmp_path / "out")
    assert not {"script", "b]"} & set(page.tags)
    assert page.tags.count("img") == len(page.images)
    assert HOSTILE in page.text
    assert "<img src=x onerror=alert(1)>[red].png" in page.text


def test_names_from_files_command_no_terminal(tmp_path: Path) -> None:
    text = printed(hostile_report(tmp_path))
    assert "\x1b]" not in text
    assert "\x07" not in text
    assert "\x1b[2J" not in text
    assert "[bold]" in text.replace("\n", "")
    assert "[red].png" in text.replace("\n", "").replace(" ", "")


def test_names_that_are_no_text_are_written(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    one.save()
    odd = b"odd\xff.png".decode("utf-8", "surrogateescape")
    save_picture(tmp_path / "plain.png", 3)
    (tmp_path / "plain.png").rename(one.folder / "train" / odd)
    report = check_data(str(one.folder))
    page = page_of(report, tmp_path / "out")
    assert "picture that nobody annotated" in page.text
    assert "odd" in printed(report)
