"""The page in a real browser, before a real service with nano."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.mask import decode

from centermask.data.gems import GEM_KINDS
from centermask.images import read_image
from centermask.ops import mask_warp, rle
from centermask.ops.mask_warp import Bitmap
from centermask.size import Size
from centermask.visualize import instance_colours

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; install it, or name it with CHROMIUM"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # pycocotools
]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream"]  # fmt: skip
SAMPLES = Path(__file__).parents[2] / "src" / "centermask" / "serve" / "page" / "samples"
PORTRAITS = SAMPLES / "portraits.jpg"
NAMES = json.loads((SAMPLES / "samples.json").read_text())


def start_server(**environment: str) -> tuple[subprocess.Popen[str], str]:
    """A service on a free port, and its address, once it answers."""
    command = [
        sys.executable,
        "-m",
        "centermask",
        "serve",
        "nano",
        "--port",
        "0",
        "--device",
        "cpu",
        "--max-body-mb",
        "6",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env={**os.environ, "OMP_NUM_THREADS": "1", **environment})  # fmt: skip
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, line + process.stdout.read()
    threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop the service
    return process, found[0]


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(30)
    process.stdout.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    process, address = start_server()
    yield address
    stop(process)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """A window with the page open. Whatever the browser complains about, and whatever it asks for, is written down."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1100, "height": 760}, **options})
        self.context.set_default_timeout(20_000)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[Any] = []
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.context.on("request", lambda request: self.requests.append(request))
        self.page.goto(address)
        self.page.wait_for_selector("#model b, dialog[open]", state="attached")

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not text.startswith(
            "Failed to load resource"
        ):  # of answers that are errors
            self.complaints.append(text)

    def give(self, content: bytes, name: str = "photo.jpg", kind: str = "image/jpeg") -> None:
        self.page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": content})

    def show(self, content: bytes, name: str = "photo.jpg", kind: str = "image/jpeg") -> dict[str, Any]:
        """Gives a picture, waits until its objects are shown, and returns the server's answer."""
        with self.page.expect_response(lambda response: "/predict" in response.url) as answer:
            self.give(content, name, kind)
        self.page.locator("body[data-phase=done] #about").filter(has_text=name).wait_for()
        return answer.value.json()

    def slide(self, name: str, value: float) -> None:
        self.page.fill(f"#{name}", str(value))

    @property
    def rows(self) -> list[str]:
        """What the list says of each object."""
        return self.page.eval_on_selector_all("#list li", "rows => rows.map((row) => row.getAttribute('aria-label'))")

    @property
    def said(self) -> str:
        return self.page.inner_text("#notice p")

    def download(self, button: str) -> bytes:
        with self.page.expect_download() as saved:
            self.page.click(button)
        return Path(saved.value.path()).read_bytes()

    def shown_png(self) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.download("#save-png"))).convert("RGB"))

    def move_to(self, x: int, y: int) -> None:
        """Puts the mouse on a pixel of the picture."""
        place = self.page.evaluate("""async ([x, y]) => {
            const { fitted, onStage } = await import("/page/view.js");
            const [, width, height] = document.querySelector("#about").textContent.match(/(\\d+) × (\\d+)/).map(Number);
            const { left, top, width: across, height: down } = document.querySelector("#stage").getBoundingClientRect();
            const view = fitted({ width, height }, { width: across, height: down });
            const pixel = onStage(view, { left: x + 0.5, top: y + 0.5, right: 0, bottom: 0 });
            return [left + pixel.left, top + pixel.top];
        }""", [x, y])  # fmt: skip
        self.page.mouse.move(*place)

    def introduce(self, **facts: Any) -> None:
        """Opens the page anew, before a model that says this of itself."""
        self.page.route("**/model", lambda route: route.fulfill(json={**route.fetch().json(), **facts}))
        self.page.reload()
        self.page.wait_for_selector("#model b", state="attached")

    def common_area(self, one: str, other: str) -> float:
        """How much of two elements lies over each other, in CSS pixels; both are seen."""
        first, second = (self.page.locator(selector).bounding_box() for selector in (one, other))
        sides = [min(first[at] + first[size], second[at] + second[size]) - max(first[at], second[at])
                 for at, size in (("x", "width"), ("y", "height"))]  # fmt: skip
        return max(0, sides[0]) * max(0, sides[1])


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    visit = Visit(browser, address)
    yield visit
    complaints, hosts = visit.complaints, {request.url.split("/")[2] for request in visit.requests
                                           if request.url.startswith("http")}  # fmt: skip
    visit.context.close()
    assert complaints == []
    assert hosts == {address.split("/")[2]}


def coded(picture: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **options)
    return file.getvalue()


GREY = np.full((40, 60, 3), 128, dtype=np.uint8)


# The masks.


def random_masks() -> list[tuple[Size, np.ndarray]]:
    """Noise of any density, with corners that touch, holes, whole and empty planes, single pixels and columns."""
    rng = np.random.default_rng(0)
    sizes = [Size(*rng.integers(1, 24, size=2).tolist()) for _ in range(120)]
    planes = [rng.random(size) < rng.choice([0, 0.05, 0.5, 0.9, 1]) for size in sizes]
    y, x = np.mgrid[:180, :260]
    disk = (x - 130) ** 2 + (y - 90) ** 2 < 80**2
    ring = disk & ((x - 140) ** 2 + (y - 90) ** 2 > 40**2)
    return [*zip(sizes, planes, strict=True), (Size(180, 260), disk), (Size(180, 260), ring)]


def test_runs_are_read_as_python_reads_them(visit: Visit) -> None:
    masks = random_masks()
    codes = [mask_warp.to_rle(Bitmap(plane, 0, 0), size) for size, plane in masks]
    read = visit.page.evaluate("""async (codes) => {
        const { Mask, decodeRuns } = await import("/page/rle.js");
        return codes.map((code) => {
            const mask = new Mask(code), pixels = [];
            for (let y = 0; y < mask.height; y++) for (let x = 0; x < mask.width; x++) pixels.push(mask.contains(x, y));
            return { runs: decodeRuns(code.counts), area: mask.area, bounds: mask.bounds, pixels };
        });
    }""", codes)  # fmt: skip
    for (size, plane), code, one in zip(masks, codes, read, strict=True):
        assert one["runs"] == rle.decompress(code["counts"]).tolist()
        assert one["area"] == plane.sum()
        assert np.array_equal(np.array(one["pixels"]).reshape(size), plane)
        left, top, right, bottom = mask_warp.bounds(Bitmap(plane, 0, 0)).tolist()
        assert one["bounds"] == ({"left": left, "top": top, "right": right, "bottom": bottom} if plane.any() else None)


def test_broken_runs_are_refused(visit: Visit) -> None:
    outcomes = visit.page.evaluate("""async (all) => {
        const { Mask } = await import("/page/rle.js");
        return all.map((counts) => {
            try { return String(new Mask({ size: [4, 5], counts }).area); } catch (error) { return error.message; }
        });
    }""", ["35<", "35", "", "3 5", "35d", "é", "~~~"])  # fmt: skip
    assert outcomes[0] == "5"
    assert all(outcome.startswith("a mask is") for outcome in outcomes[1:]), outcomes


def test_outlines_enclose_the_pixels_and_nothing_else(visit: Visit) -> None:
    masks = random_masks()
    codes = [mask_warp.to_rle(Bitmap(plane, 0, 0), size) for size, plane in masks]
    inside = visit.page.evaluate("""async (codes) => {
        const { Mask } = await import("/page/rle.js"), { traceLoops, makePath } = await import("/page/outline.js");
        const context = document.createElement("canvas").getContext("2d");
        return codes.map((code) => {
            const mask = new Mask(code), loops = traceLoops(mask), path = makePath(loops, { exact: true }), pixels = [];
            for (let y = 0; y < mask.height; y++) for (let x = 0; x < mask.width; x++)
                pixels.push(context.isPointInPath(path, x + 0.5, y + 0.5, "evenodd"));
            const signed = loops.map((loop) => loop.reduce((sum, value, i) => i % 2 ? sum : sum
                + value * loop[(i + 3) % loop.length] - loop[(i + 2) % loop.length] * loop[i + 1], 0) / 2);
            return { pixels, area: signed.reduce((sum, each) => sum + each, 0) };
        });
    }""", codes)  # fmt: skip
    for (size, plane), one in zip(masks, inside, strict=True):
        assert np.array_equal(np.array(one["pixels"]).reshape(size), plane)
        assert one["area"] == plane.sum()  # the object lies at the right hand of every line, around holes too


def test_outlines_that_are_evened_out_stay_within_half_a_pixel(visit: Visit) -> None:
    """A staircase becomes its slope; a square keeps its sides; a line one pixel wide stays one."""
    stairs = np.arange(8)[:, None] >= np.arange(24)[None, :] // 3  # one down, three to the right
    line = np.zeros((5, 9), dtype=bool)
    line[2, 1:8] = True
    shapes = {"stairs": stairs, "square": np.pad(np.ones((6, 6), dtype=bool), 1), "line": line}
    codes = [mask_warp.to_rle(Bitmap(plane, 0, 0), Size(*plane.shape)) for plane in shapes.values()]
    stair, square, thin = visit.page.evaluate("""async (codes) => {
        const { Mask } = await import("/page/rle.js"), { traceLoops, evenOut } = await import("/page/outline.js");
        return codes.map((code) => evenOut(traceLoops(new Mask(code))[0]));
    }""", codes)  # fmt: skip
    points = np.array(stair).reshape(-1, 2)
    on_slope = np.isclose(points[:, 0] - 3 * points[:, 1], 1.5)
    assert on_slope.sum() >= 12, points
    assert {(1, 1.5), (1, 6.5), (1.5, 1), (6.5, 1)} <= {tuple(point) for point in np.array(square).reshape(-1, 2)}
    assert np.ptp(np.array(thin).reshape(-1, 2)[:, 1]) == 1


def test_colours_are_those_of_overlays(visit: Visit) -> None:
    colours = visit.page.evaluate("""async () => {
        const { instanceColour } = await import("/page/colours.js");
        return Array.from({ length: 60 }, (_, i) => instanceColour(i));
    }""")
    assert np.abs(np.array(colours) - instance_colours(60)).max() <= 1


WRITTEN = """async ([boxes, pointed]) => {
    const { paintCaptions } = await import("/page/paint.js");
    const context = document.createElement("canvas").getContext("2d"), plates = [], written = [];
    context.roundRect = (left, top, width, height) => plates.push([left, top, left + width, top + height]);
    context.fillText = (caption) => written.push([Number(caption.split(" ")[1]), context.globalAlpha]);
    const found = boxes.map(([left, top, right, bottom], i) => ({
        caption: `gem ${i}`, colour: [90, 90, 90],
        mask: { width: 1000, height: 700, bounds: { left, top, right, bottom } },
    }));
    const area = { left: 0, top: 0, right: 1000, bottom: 700 }, place = (bounds) => bounds;
    paintCaptions(context, found, { text: 12, place, area, pointed: found[pointed] ?? null });
    return written.map(([index, alpha], i) => [index, alpha, plates[i]]);
}"""
"""Which captions of objects in such boxes, best first, are written: [[index, alpha, plate]]."""


def random_boxes(count: int) -> list[list[int]]:
    rng = np.random.default_rng(2)
    corners, sizes = rng.integers(0, (900, 600), (count, 2)), rng.integers(10, 100, (count, 2))
    return np.hstack([corners, corners + sizes]).tolist()


def test_captions_of_a_crowd_are_the_best_ones_and_few(visit: Visit) -> None:
    """No more than 6% of the picture, each at its object, none over another."""
    boxes = random_boxes(98)
    written = visit.page.evaluate(WRITTEN, [boxes, None])
    plates = np.array([plate for _, _, plate in written])
    area = np.prod(plates[:, 2:] - plates[:, :2], axis=1)
    assert [index for index, _, _ in written][:1] == [0]
    assert 8 < len(written) < 40
    assert area.sum() <= 0.06 * 1000 * 700
    assert all(alpha == 1 for _, alpha, _ in written)
    common = np.minimum(plates[:, None, 2:], plates[None, :, 2:]) - np.maximum(plates[:, None, :2], plates[None, :, :2])
    assert np.array_equal((common > 0).all(axis=2), np.eye(len(plates), dtype=bool))
    own = np.array(boxes)[[index for index, _, _ in written]]
    assert (plates[:, :2] <= own[:, 2:]).all()
    assert (plates[:, 2:] >= own[:, :2]).all()


def test_the_pointed_object_keeps_its_caption_and_the_others_dim(visit: Visit) -> None:
    """Nor does any other caption move when an object is pointed at that had none."""
    boxes = random_boxes(98)
    before = visit.page.evaluate(WRITTEN, [boxes, None])
    missing = next(i for i in range(98) if i not in [index for index, _, _ in before])
    *others, last = visit.page.evaluate(WRITTEN, [boxes, missing])
    assert last[:2] == [missing, 1]
    assert [(index, plate) for index, _, plate in others] == [(index, plate) for index, _, plate in before]
    assert all(alpha < 0.5 for _, alpha, _ in others)
    *_, last = visit.page.evaluate(WRITTEN, [boxes, 0])
    assert last == before[0]


def test_a_few_objects_all_have_captions(visit: Visit) -> None:
    assert [index for index, _, _ in visit.page.evaluate(WRITTEN, [[[300, 300, 340, 340]] * 4, None])] == [0, 1, 2, 3]
    assert visit.page.evaluate(WRITTEN, [[], None]) == []


# A picture goes in, and what is shown comes out.


def test_from_upload_to_downloads(visit: Visit, tmp_path: Path, address: str) -> None:
    answer = visit.show(PORTRAITS.read_bytes())
    page, found = visit.page, answer["instances"]
    assert [float(row.split("score ")[1][:4]) for row in visit.rows] == [
        round(one["score"], 2) for one in found if one["score"] >= 0.32
    ]
    asked = len([request for request in visit.requests if "/predict" in request.url])

    visit.slide("threshold", 0.2)
    over = [one for one in found if one["score"] >= 0.2]
    assert len(visit.rows) == len(over) > 2
    assert page.inner_text("#summary") == f"{len(over)} objects"
    plain, full = visit.shown_png(), read_image(PORTRAITS)
    assert plain.shape == full.shape
    page.click(".chip:has-text('person')")
    cats = [one for one in over if one["category_name"] == "cat"]
    assert [row.split(",")[0] for row in visit.rows] == ["cat"] * len(cats)

    written = json.loads(visit.download("#save-json"))
    assert [one["segmentation"] for one in written["annotations"]] == [one["segmentation"] for one in cats]
    (tmp_path / "coco.json").write_text(json.dumps(written))
    coco = COCO(tmp_path / "coco.json")
    for one, origin in zip(coco.anns.values(), cats, strict=True):
        assert np.array_equal(coco.annToMask(one), decode(origin["segmentation"]))
        assert one["area"] == decode(origin["segmentation"]).sum()
    assert [one["name"] for one in coco.cats.values()] == ["cat", "person"]
    assert asked == len([request for request in visit.requests if "/predict" in request.url]) == 1


def test_json_is_what_the_server_writes_as_coco(visit: Visit, address: str) -> None:
    visit.show(PORTRAITS.read_bytes())
    visit.slide("threshold", 0.15)
    written = json.loads(visit.download("#save-json"))
    form = {"file": {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": PORTRAITS.read_bytes()}}
    served = visit.context.request.post(f"{address}/predict?format=coco&threshold=0.15", multipart=form).json()
    assert len(written["annotations"]) > 3
    assert written == served


def test_png_shows_the_masks_and_nothing_else(visit: Visit) -> None:
    answer = visit.show(PORTRAITS.read_bytes())
    visit.page.uncheck("#captions")
    visit.slide("threshold", 1)
    bare = visit.shown_png().astype(int)
    assert np.abs(bare - read_image(PORTRAITS)).mean() < 2  # two JPEG decoders

    visit.slide("threshold", 0.5)
    visit.slide("opacity", 1)
    mask = decode(answer["instances"][0]["segmentation"]).astype(bool)
    filled = visit.shown_png().astype(int)
    changed = np.abs(filled - bare).sum(axis=2) > 0
    margin = 6  # half the outline
    grown = np.zeros_like(mask)
    for y, x in np.ndindex(2 * margin + 1, 2 * margin + 1):
        grown |= np.roll(mask, (y - margin, x - margin), (0, 1))
    eroded = ~np.zeros_like(mask)
    for y, x in np.ndindex(2 * margin + 1, 2 * margin + 1):
        eroded &= np.roll(mask, (y - margin, x - margin), (0, 1))
    assert answer["instances"][1]["score"] < 0.5 < answer["instances"][0]["score"]
    assert not changed[~grown].any()
    assert (filled[eroded] == instance_colours(1)[0]).all()

    visit.slide("opacity", 0)
    assert (visit.shown_png()[eroded] == bare[eroded]).all()


def test_hovering_shows_the_object_under_the_pixel(visit: Visit) -> None:
    answer = visit.show(PORTRAITS.read_bytes())
    visit.slide("threshold", 0.15)
    shown = [one for one in answer["instances"] if one["score"] >= 0.15]
    masks = [decode(one["segmentation"]) for one in shown]
    areas = [int(mask.sum()) for mask in masks]
    rng = np.random.default_rng(1)
    seen = set()
    for y, x in zip(rng.integers(0, 340, 12).tolist(), rng.integers(0, 1036, 12).tolist(), strict=True):
        visit.move_to(x, y)
        under = [i for i, mask in enumerate(masks) if mask[y, x]]
        if not under:
            assert visit.page.locator(".tip").is_hidden()
            continue
        best = min(under, key=lambda i: areas[i])
        seen.add(best)
        tip = visit.page.inner_text(".tip")
        for part in (shown[best]["category_name"], f"{shown[best]['score']:.2f}", f"{shown[best]['box_score']:.2f}",
                     f"{areas[best]:,} px"):  # fmt: skip
            assert part in tip
        assert visit.page.get_attribute("#list li.pointed", "id") == f"object-{best}"
    assert len(seen) > 2


def test_the_list_and_the_picture_point_at_each_other(visit: Visit) -> None:
    answer = visit.show(PORTRAITS.read_bytes())
    page = visit.page
    page.hover("#object-1")
    assert f"{answer['instances'][1]['score']:.2f}" in page.inner_text(".tip")
    visit.slide("threshold", 0.05)
    last = len(answer["instances"]) - 1
    page.keyboard.press("Escape")
    page.focus("#list")
    page.keyboard.press("End")
    assert page.locator(f"#object-{last}").is_visible()
    page.keyboard.press("Escape")
    y, x = np.argwhere(decode(answer["instances"][0]["segmentation"]))[7].tolist()
    visit.slide("threshold", 0.5)
    visit.move_to(x, y)
    page.mouse.down()
    page.mouse.up()
    assert page.get_attribute("#object-0", "aria-selected") == "true"
    page.click("#object-0")
    assert page.get_attribute("#object-0", "aria-selected") == "false"


def test_leaving_the_list_does_not_scroll_back_to_the_selected_object(visit: Visit) -> None:
    visit.show(PORTRAITS.read_bytes())
    visit.slide("threshold", 0.05)
    visit.page.click("#object-0")
    visit.page.hover("#object-60")
    place = visit.page.evaluate("document.querySelector('#list').scrollTop")
    assert place > 0
    visit.page.hover("#summary")
    assert visit.page.locator("#list .pointed").get_attribute("id") == "object-0"
    assert visit.page.evaluate("document.querySelector('#list').scrollTop") == place


def test_zooming_keeps_the_pixel_under_the_mouse(visit: Visit) -> None:
    """Where the picture covers the stage; to one CSS pixel, to which views are rounded."""
    errors = visit.page.evaluate("""async () => {
        const { fitted, zoomed } = await import("/page/view.js");
        const picture = { width: 1000, height: 700 }, room = { width: 800, height: 600 };
        const start = zoomed(fitted(picture, room), 2, { x: 300, y: 200 }, picture, room), errors = [];
        for (const factor of [1, 1.3, 4]) for (const x of [0, 333, 800]) for (const y of [0, 150, 600]) {
            const next = zoomed(start, factor, { x, y }, picture, room);
            const before = [(x - start.left) / start.scale, (y - start.top) / start.scale];
            const after = [next.left + before[0] * next.scale, next.top + before[1] * next.scale];
            errors.push(Math.abs(after[0] - x), Math.abs(after[1] - y));
        }
        return errors;
    }""")
    assert max(errors) <= 1


def test_the_wheel_zooms_and_the_whole_picture_comes_back(visit: Visit) -> None:
    answer = visit.show(PORTRAITS.read_bytes())
    mask = decode(answer["instances"][0]["segmentation"])
    y, x = np.argwhere(mask).mean(axis=0).round().astype(int).tolist()
    visit.slide("threshold", 0.5)
    visit.move_to(x, y)
    visit.page.mouse.wheel(0, -900)
    visit.page.wait_for_selector("#stage.zoomed")
    for _ in range(4):
        visit.page.mouse.wheel(0, 900)
    visit.page.wait_for_selector("#stage:not(.zoomed)")
    visit.move_to(x, y)
    assert visit.page.locator("#object-0.pointed").count() == 1


def test_the_threshold_that_is_shown_is_the_one_that_is_applied(visit: Visit) -> None:
    """Also one between the steps of the slider, whose keys lead back to them."""
    visit.introduce(score_threshold=0.325)
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.show(coded(GREY), "grey.png", "image/png")
    page = visit.page
    page.click("#copy-curl")
    page.wait_for_selector("#toast:not([hidden])")
    assert "threshold=0.325'" in page.evaluate("navigator.clipboard.readText()")
    assert page.inner_text("#threshold-value") == page.input_value("#threshold") == "0.325"
    page.focus("#threshold")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#threshold-value") == page.input_value("#threshold") == "0.33"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#threshold-value") == page.input_value("#threshold") == "0.34"
    visit.introduce(score_threshold=0.033)  # below the least that the page asks for
    visit.show(coded(GREY), "grey.png", "image/png")
    assert page.inner_text("#threshold-value") == page.input_value("#threshold") == "0.033"
    visit.slide("threshold", 0.06)
    assert page.inner_text("#threshold-value") == page.input_value("#threshold") == "0.06"


def test_nothing_found_is_said_in_words(visit: Visit) -> None:
    visit.show(coded(GREY), "grey.png", "image/png")
    visit.slide("threshold", 1)
    assert visit.page.inner_text("#summary") == "No objects"
    assert "cat and person" in visit.page.inner_text("#nothing")
    assert json.loads(visit.download("#save-json"))["annotations"] == []


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_turned_as_the_server_turns_them(visit: Visit, kind: str, tmp_path: Path) -> None:
    """Whatever orientation the file's notes ask for, and whether or not the browser heeds them."""
    rng = np.random.default_rng(0)
    picture = np.asarray(Image.fromarray(rng.integers(0, 255, (3, 5, 3), dtype=np.uint8)).resize((60, 36)))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"turned{orientation}"
        path.write_bytes(coded(picture, kind, exif=exif))
        width, height, values = visit.page.evaluate("""async ([bytes, type]) => {
            const { readPicture } = await import("/page/picture.js");
            const bitmap = await readPicture(new File([new Uint8Array(bytes)], "turned", { type }));
            const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
            context.drawImage(bitmap, 0, 0);
            return [bitmap.width, bitmap.height, [...context.getImageData(0, 0, bitmap.width, bitmap.height).data]];
        }""", [list(path.read_bytes()), f"image/{kind.lower()}"])  # fmt: skip
        upright = read_image(path)
        assert upright.shape == (height, width, 3)
        seen = np.array(values).reshape(height, width, 4)[:, :, :3]
        assert np.abs(seen - upright).mean() < 6, orientation  # two decoders


def test_notes_that_make_no_sense_leave_a_picture_as_it_is(visit: Visit) -> None:
    whole = coded(GREY, "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0")  # the list of entries is cut off
    visit.show(whole, "grey.webp", "image/webp")
    assert "60 × 40" in visit.page.inner_text("#about")


def test_a_turned_picture_lies_under_its_masks(visit: Visit) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = np.rot90(np.asarray(Image.open(PORTRAITS)))
    answer = visit.show(coded(lying, "JPEG", exif=exif), "turned.jpg")
    assert (answer["height"], answer["width"]) == (340, 1036)
    assert visit.page.locator("#notice p").count() == 0
    visit.slide("threshold", 1)
    assert np.abs(visit.shown_png().astype(int) - read_image(PORTRAITS)).mean() < 6


def test_copied_command_asks_for_what_is_shown(visit: Visit, tmp_path: Path) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    name = 'it\'s a "photo"; really.jpg'
    answer = visit.show(PORTRAITS.read_bytes(), name)
    visit.slide("threshold", 0.2)
    visit.page.click("#copy-curl")
    visit.page.wait_for_selector("#toast:not([hidden])")
    command = visit.page.evaluate("navigator.clipboard.readText()")
    assert shlex.split(command)[:1] == ["curl"]
    if not shutil.which("curl"):
        pytest.skip("no curl to run the command with")
    (tmp_path / name).write_bytes(PORTRAITS.read_bytes())
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["instances"] == [one for one in answer["instances"] if one["score"] >= 0.2]


def test_without_a_clipboard_the_command_is_copied_by_a_selection(visit: Visit) -> None:
    visit.show(coded(GREY), "grey.png", "image/png")
    visit.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()) }")
    visit.page.evaluate("() => addEventListener('copy', () => { window.copied = getSelection().toString() || "
                        "document.activeElement.value })")  # fmt: skip
    visit.page.click("#copy-curl")
    visit.page.wait_for_selector("#toast:not([hidden])")
    assert visit.page.evaluate("window.copied").startswith("curl 'http://127.0.0.1")


# Ways in.


def put(visit: Visit, event: str, files: list[tuple[str, str, list[int]]]) -> None:
    """Drops or pastes files."""
    visit.page.evaluate("""([name, files]) => {
        const transfer = new DataTransfer();
        for (const [file, type, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], file, { type }));
        const options = { bubbles: true, cancelable: true };
        document.body.dispatchEvent(name === "paste"
            ? new ClipboardEvent(name, { ...options, clipboardData: transfer })
            : new DragEvent(name, { ...options, dataTransfer: transfer }));
    }""", [event, files])  # fmt: skip


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(visit: Visit, event: str) -> None:
    put(visit, "dragover", [])
    assert visit.page.locator("#veil").is_visible()
    put(visit, "drop", [])
    assert visit.page.locator("#veil").is_hidden()
    put(visit, event, [("grey.png", "image/png", list(coded(GREY)))])
    visit.page.wait_for_selector('body[data-phase=done] #about:has-text("grey.png · 60 × 40")')


def test_pictures_without_a_type_are_known_by_their_bytes(visit: Visit) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, kind, content, size in (
        ("IMG_0001", "", coded(GREY, "JPEG"), "60 × 40"),
        ("photo.jfif", "application/octet-stream", coded(GREY, "JPEG"), "60 × 40"),
        ("turned", "", coded(GREY, "WEBP", exif=exif), "40 × 60"),
    ):
        put(visit, "drop", [(name, kind, list(content))])
        visit.page.wait_for_selector(f'body[data-phase=done] #about:has-text("{name} · {size}")')
    put(visit, "drop", [("notes", "", list(b"hello"))])
    visit.page.wait_for_selector('#notice p:has-text("notes is broken, or no picture")')


def test_what_is_no_file_is_turned_away_in_words(visit: Visit) -> None:
    put(visit, "drop", [])
    assert "Save the picture first" in visit.said
    put(visit, "paste", [])
    assert "no picture in the clipboard" in visit.said


def test_samples_are_asked_about(visit: Visit) -> None:
    visit.page.click(".sample >> nth=0")
    visit.page.wait_for_selector("#list li")
    visit.page.click("#home")
    assert visit.page.locator("#welcome").is_visible()


@pytest.mark.parametrize("classes", [["cat", "person"], ["cat"], list(GEM_KINDS), ["nucleus"]])
def test_samples_show_what_the_model_knows(visit: Visit, classes: list[str]) -> None:
    known = [one["title"] for one in NAMES if {*classes} & {*one["shows"]}]
    with visit.page.expect_response("**/samples.json"):
        visit.introduce(class_names=classes)
    for place in range(len(known)):
        visit.page.locator(".sample").nth(place).wait_for()
    assert visit.page.locator(".sample").all_inner_texts() == known
    assert visit.page.locator("#samples-title").is_visible() == bool(known)


def test_samples_are_small_licensed_and_of_known_classes() -> None:
    for one in NAMES:
        assert (SAMPLES / one["file"]).stat().st_size <= 80_000
        assert one["alt"]
        assert one["licence"]
        assert set(one["shows"]) <= {"cat", "person", *GEM_KINDS}
    assert {path.name for path in SAMPLES.glob("*.jpg")} == {one["file"] for one in NAMES}


def test_the_camera_takes_a_picture(visit: Visit) -> None:
    visit.context.grant_permissions(["camera"])
    visit.page.click("#shoot")
    visit.page.locator("video").evaluate("video => new Promise((go) => video.videoWidth ? go() : video.onresize = go)")
    visit.page.click("text=Take the picture")
    visit.page.wait_for_selector('body[data-phase=done] #about:has-text("camera.jpg")')
    assert visit.page.evaluate("document.querySelector('video').srcObject") is None


def test_without_a_camera_a_file_is_offered(visit: Visit) -> None:
    visit.page.click("#shoot")
    visit.page.wait_for_selector("dialog[open].blind")
    assert "choose a picture instead" in visit.page.inner_text("#camera").lower()
    with visit.page.expect_file_chooser():
        visit.page.click("#camera .blind-only")


# What goes wrong.


def test_files_that_cannot_be_taken_leave_the_result_alone(visit: Visit) -> None:
    visit.show(coded(GREY), "grey.png", "image/png")
    before = visit.page.inner_text("#about")
    for content, name, kind, words in (
        (b"hello", "notes.txt", "text/plain", "no picture that can be shown"),
        (b"", "empty.jpg", "image/jpeg", "is empty"),
        (b"hello", "broken.jpg", "image/jpeg", "is broken"),
        (b"\xff" * 6_000_001, "huge.jpg", "image/jpeg", "takes 6 MB at most"),
    ):
        visit.give(content, name, kind)
        visit.page.wait_for_selector(f'#notice p:has-text("{words}")')
        assert visit.said.startswith(name)
    assert visit.page.inner_text("#about") == before
    visit.page.keyboard.press("Escape")
    assert visit.page.locator("#notice").is_hidden()


def test_the_page_works_where_storage_is_blocked(visit: Visit) -> None:
    visit.context.add_init_script("""for (const name of ["localStorage", "sessionStorage"])
        Object.defineProperty(window, name, { get() { throw new DOMException("blocked", "SecurityError"); } });""")
    visit.page.reload()
    visit.page.wait_for_selector("#model b")
    visit.page.click("#theme")
    assert visit.page.evaluate("document.documentElement.dataset.theme") == "dark"
    visit.show(coded(GREY), "grey.png", "image/png")


def test_what_the_server_refuses_is_said_with_its_words(visit: Visit) -> None:
    """An icon that calls itself a PNG: the browser shows it all the same."""
    visit.give(coded(GREY, "ICO"), "icon.png", "image/png")
    visit.page.wait_for_selector("body[data-phase=failed]")
    assert "convert it to JPEG or PNG" in visit.said
    assert visit.page.inner_text("#summary") == "No answer yet"
    assert visit.page.is_disabled("#save-png")


def test_a_server_that_is_away_can_be_asked_again(visit: Visit) -> None:
    visit.page.route("**/predict*", lambda route: route.abort())
    visit.give(coded(GREY), "grey.png", "image/png")
    visit.page.wait_for_selector("#notice p")
    assert "cannot be reached" in visit.said
    visit.page.unroute("**/predict*")
    visit.page.click("text=Try again")
    visit.page.wait_for_selector("body[data-phase=done]")
    assert visit.page.locator("#notice").is_hidden()


def test_a_crowded_server_is_asked_again_when_it_says(visit: Visit) -> None:
    full = {"status": 429, "headers": {"Retry-After": "1"}, "json": {"error": "too many pictures"}}
    visit.page.route("**/predict*", lambda route: route.fulfill(**full), times=1)
    visit.give(coded(GREY), "grey.png", "image/png")
    visit.page.wait_for_selector('#notice p:has-text("Asking again in 1 s")')
    visit.page.wait_for_selector("body[data-phase=done]")


def test_an_answer_that_is_none_is_said(visit: Visit) -> None:
    visit.page.route("**/predict*", lambda route: route.fulfill(status=200, body="<html>"))
    visit.give(coded(GREY), "grey.png", "image/png")
    visit.page.wait_for_selector('#notice p:has-text("cannot be read")')


def test_a_later_picture_aborts_the_earlier_one(visit: Visit) -> None:
    failed: list[Any] = []
    visit.page.on("requestfailed", lambda request: failed.append(request))
    visit.page.route("**/predict*", lambda route: None, times=1)  # never answered
    with visit.page.expect_request("**/predict*"):
        visit.give(PORTRAITS.read_bytes(), "first.jpg")
    visit.show(coded(GREY), "second.png", "image/png")
    assert ["/predict" in request.url for request in failed] == [True]
    assert visit.page.locator("#notice").is_hidden()


def test_a_token_is_asked_for_and_kept(browser: Any) -> None:
    process, address = start_server(CENTERMASK_TOKEN="open sesame")
    try:
        visit = Visit(browser, address)
        visit.page.fill("#token", "guess")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_selector('#ask-token [data-reason]:has-text("wrong")')
        visit.page.fill("#token", "open sesame")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_selector("#model b")
        visit.show(coded(GREY), "grey.png", "image/png")
        visit.page.reload()
        visit.page.wait_for_selector("#model b")
        assert visit.page.locator("#ask-token").is_hidden()
        visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
        visit.show(coded(GREY), "grey.png", "image/png")
        visit.page.click("#copy-curl")
        visit.page.wait_for_selector("#toast:not([hidden])")
        command = visit.page.evaluate("navigator.clipboard.readText()")
        assert "$CENTERMASK_TOKEN" in command
        assert "sesame" not in command
        assert visit.complaints == []
        visit.context.close()
    finally:
        stop(process)


# For everyone.


def test_everything_is_reached_by_keyboard(visit: Visit) -> None:
    page, press = visit.page, visit.page.keyboard.press

    def tab_to(selector: str) -> None:
        for _ in range(30):
            press("Tab")
            if page.locator(selector).first.evaluate("each => each === document.activeElement"):
                return
        raise AssertionError(f"Tab does not lead to {selector}")

    tab_to(".sample")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press("Enter")
    page.wait_for_selector("#list li")
    tab_to(".skip")
    tab_to("#stage")
    press("ArrowRight")
    press("ArrowRight")
    assert page.get_attribute("#list", "aria-activedescendant") == "object-1"
    page.wait_for_selector('#live:has-text("person, score 0.")')
    press("ArrowLeft")
    press("Enter")
    assert page.get_attribute("#object-0", "aria-selected") == "true"
    press("+")
    assert "zoomed" in page.get_attribute("#stage", "class")
    press("0")
    press("Escape")
    assert page.locator("#list [aria-selected=true]").count() == 0
    tab_to("#threshold")
    press("ArrowRight")
    assert page.inner_text("#threshold-value") == "0.33"
    tab_to("#captions")
    press("Space")
    assert not page.is_checked("#captions")
    tab_to(".chip")
    press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    press("Space")
    tab_to("#list")
    press("End")
    assert page.get_attribute("#list", "aria-activedescendant") == page.locator("#list li").last.get_attribute("id")
    tab_to("#save-json")
    with page.expect_download():
        press("Enter")


def test_results_are_told_to_screen_readers(visit: Visit) -> None:
    visit.page.click(".sample >> nth=0")
    visit.page.wait_for_selector('#live:has-text("objects: person")')
    visit.slide("threshold", 1)
    visit.page.wait_for_selector('#live:has-text("Nothing is that certain")')


CONTRAST = """() => {
    const linear = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const luminance = (colour) =>
        [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => sum + weight * linear(colour[i] / 255), 0);
    const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const over = (ground, colour) => {
        for (const style of [`rgb(${ground.join(" ")})`, colour]) {
            context.fillStyle = style;
            context.fillRect(0, 0, 1, 1);
        }
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const groundOf = (element) => element
        ? over(groundOf(element.parentElement), getComputedStyle(element).backgroundColor) : [255, 255, 255];
    const poor = [];
    for (const element of document.body.querySelectorAll("*")) {
        const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        const shown = element.checkVisibility({ visibilityProperty: true }) && !element.closest(":disabled");
        if (!text || !shown) continue;
        const ground = groundOf(element), ink = over(ground, getComputedStyle(element).color);
        const [low, high] = [luminance(ground), luminance(ink)].sort((a, b) => a - b);
        const ratio = (high + 0.05) / (low + 0.05);
        if (ratio < 4.5) poor.push([element.outerHTML.slice(0, 90), ratio]);
    }
    return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_easy_to_read(browser: Any, address: str, scheme: str) -> None:
    """WCAG AA, at the start, with a result, and with an error."""
    visit = Visit(browser, address, color_scheme=scheme)
    assert visit.page.evaluate(CONTRAST) == []
    visit.show(PORTRAITS.read_bytes())
    visit.page.click("#object-0")
    visit.page.click(".chip >> nth=0")
    visit.give(b"hello", "notes.txt", "text/plain")
    visit.page.wait_for_selector("#notice p")
    assert visit.page.evaluate(CONTRAST) == []
    ground = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    visit.page.click("#theme")
    assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    visit.page.reload()
    assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    visit.context.close()


@pytest.mark.parametrize("size", [(1280, 800), (844, 390), (390, 844), (320, 640)])
def test_nothing_lies_over_the_picture_or_the_results(visit: Visit, size: tuple[int, int]) -> None:
    visit.page.set_viewport_size({"width": size[0], "height": size[1]})
    visit.show(PORTRAITS.read_bytes())
    assert visit.page.evaluate("document.documentElement.scrollWidth") == size[0]
    visit.page.click("#object-0")  # on a phone, this scrolls
    visit.give(b"hello", "notes.txt", "text/plain")
    visit.page.wait_for_selector("#notice p")
    visit.page.evaluate("() => new Promise(requestAnimationFrame)")
    assert visit.common_area("#stage", ".zoom") == 0
    for selector in ("header", "#viewer", ".tip"):
        assert visit.common_area("#notice", selector) == 0, selector
    visit.page.evaluate("scrollTo(0, 0)")
    for selector in ("header", "#viewer", ".tip", "#results"):
        assert visit.common_area("#notice", selector) == 0, selector
    for button in visit.page.locator(".actions .button").all():
        assert button.evaluate("each => each.scrollWidth <= each.clientWidth")
        assert 0 <= button.bounding_box()["x"] <= size[0] - button.bounding_box()["width"]


def test_a_phone_on_its_side_shows_picture_and_results_side_by_side(browser: Any, address: str) -> None:
    visit = Visit(browser, address, viewport={"width": 844, "height": 390}, has_touch=True, is_mobile=True)
    visit.show(PORTRAITS.read_bytes())
    stage, results = (visit.page.locator(selector).bounding_box() for selector in ("#stage", "#results"))
    assert stage["width"] > 450
    assert stage["height"] > 280
    assert results["x"] >= stage["x"] + stage["width"]
    assert results["height"] > 320
    for selector in ("#threshold", "#opacity", "#save-json"):
        visit.page.locator(selector).scroll_into_view_if_needed()
        assert visit.common_area(selector, "#results") > 0
    assert visit.common_area(".actions", "#list") == 0  # which scrolls with all the rest
    assert visit.page.locator("header").bounding_box()["y"] == 0
    assert visit.complaints == []
    visit.context.close()


def test_it_fits_a_phone_and_a_tap_selects(browser: Any, address: str) -> None:
    visit = Visit(browser, address, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    width = "document.documentElement.scrollWidth"
    assert visit.page.evaluate(width) == 360
    answer = visit.show(PORTRAITS.read_bytes())
    assert visit.page.evaluate(width) == 360
    box = visit.page.locator("#stage").bounding_box()
    left, top, across, down = answer["instances"][0]["bbox"]
    scale = min(box["width"] / answer["width"], box["height"] / answer["height"])
    x = box["x"] + box["width"] / 2 + (left + across / 2 - answer["width"] / 2) * scale
    y = box["y"] + box["height"] / 2 + (top + down / 2 - answer["height"] / 2) * scale
    visit.page.touchscreen.tap(x, y)
    assert visit.page.get_attribute("#object-0", "aria-selected") == "true"
    assert visit.page.locator(".tip").is_visible()
    assert visit.complaints == []
    visit.context.close()


def test_still_where_motion_is_unwanted(browser: Any, address: str) -> None:
    visit = Visit(browser, address, reduced_motion="reduce")
    visit.page.route("**/predict*", lambda route: None)  # never answered
    visit.give(coded(GREY), "grey.png", "image/png")
    visit.page.wait_for_selector("body[data-phase=busy]")
    names = visit.page.evaluate("document.getAnimations().map((each) => each.animationName)")
    assert names == ["fade"]
    visit.context.close()


def test_the_way_to_the_api_is_shown(visit: Visit) -> None:
    visit.page.click("#welcome a")
    visit.page.wait_for_selector('code:has-text("POST /predict")')


@pytest.mark.slow
def test_a_large_picture_is_shown_and_saved_whole(visit: Visit) -> None:
    """Twenty megapixels."""
    picture = Image.open(PORTRAITS).resize((5472, 3648))
    answer = visit.show(coded(np.asarray(picture), "JPEG", quality=60), "large.jpg")
    visit.slide("threshold", 0.05)
    assert len(visit.rows) == len(answer["instances"]) > 20
    assert visit.shown_png().shape == (3648, 5472, 3)
