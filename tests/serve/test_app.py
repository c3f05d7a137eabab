"""What is asked of the service, and what it answers."""

import asyncio
import gzip
import io
import json
import logging
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from centermask.errors import UserError
from centermask.images import decode_image
from centermask.instances import from_coco
from centermask.predict import Predictor
from centermask.serve import Settings, make_app
from centermask.serve import app as app_module
from centermask.size import Size
from tests.model.small import small_model
from tests.serve.made import CONFIG, Client, Quarters, ask, asking, encoded, opened

PICTURE = encoded()


def error(answer: httpx.Response, status: int) -> str:
    """The sentence of a refusal."""
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    return answer.json()["error"]


def test_raw_body_and_form_are_answered_like_the_library_answers() -> None:
    expected = Predictor(opened())(decode_image(PICTURE)).to_coco()
    raw = ask("POST", "/predict", content=PICTURE)
    form = ask("POST", "/predict", files={"note": b"x", "file": ("C:\\a/größe 1.png", PICTURE, "image/png")})
    assert raw.json() == expected
    assert form.json() == expected | {"file_name": "größe 1.png"}
    assert len(expected["instances"]) == 3
    assert expected["instances"][0]["bbox"] == [30, 20, 30, 20]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_every_format_that_the_library_reads_is_taken(kind: str) -> None:
    assert len(ask("POST", "/predict", content=encoded(kind=kind)).json()["instances"]) == 3


def test_threshold_and_count_are_those_of_the_request() -> None:
    def scores(query: str) -> list[float]:
        answer = ask("POST", f"/predict?{query}", content=PICTURE)
        return [one["score"] for one in answer.json()["instances"]]

    assert scores("threshold=0.1") == [0.8, 0.6, 0.4, 0.2]
    assert scores("threshold=0.5") == [0.8, 0.6]
    assert scores("max_detections=1") == [0.8]
    assert scores("threshold=1") == []


def test_a_coco_file_holds_what_was_found() -> None:
    found = ask("POST", "/predict?format=coco", content=PICTURE).json()
    assert found["images"] == [{"id": 1, "file_name": "", "height": 40, "width": 60}]
    assert found["categories"] == [{"id": 3, "name": "dark"}, {"id": 9, "name": "bright"}]
    first, second, third = found["annotations"]
    assert (first["id"], first["image_id"], first["category_id"], first["iscrowd"]) == (1, 1, 9, 0)
    assert first["bbox"] == [30, 20, 30, 20]
    assert 30 * 20 - 20 < first["area"] <= 30 * 20  # masks end softly: the corners are cut
    assert [second["category_id"], third["category_id"]] == [3, 9]


def test_a_png_is_the_overlay() -> None:
    answer = ask("POST", "/predict?format=png", content=PICTURE)
    assert answer.headers["content-type"] == "image/png"
    pixels = decode_image(PICTURE)
    np.testing.assert_array_equal(decode_image(answer.content), Predictor(opened())(pixels).overlay(pixels))


@pytest.mark.parametrize(
    "query",
    ["threshold=-0.1", "threshold=1.1", "threshold=nan", "threshold=x", "max_detections=0", "max_detections=5",
     "max_detections=1.5", "format=xml", "format="],
)  # fmt: skip
def test_values_out_of_range_are_refused_by_name(query: str) -> None:
    assert error(ask("POST", f"/predict?{query}", content=PICTURE), 422).startswith(query.partition("=")[0])


def test_a_misspelt_parameter_is_named_with_the_nearest() -> None:
    said = error(ask("POST", "/predict?treshold=0.9", content=PICTURE), 422)
    assert said == "unknown key 'treshold' in the address; did you mean 'threshold'?"


def bomb(height: int, width: int) -> bytes:
    """A PNG whose header promises more than the file holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def scanned(scans: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * scans + b"\xff\xd9"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "no picture came"),
        (b"hello", 415, "no picture that can be read"),
        (json.dumps({"image": "http://example.org/a.jpg"}).encode(), 415, "no picture"),
        (b"%PDF-1.7\n" * 20, 415, "no picture"),
        (encoded(200, 200, kind="JPEG")[:-40], 400, "cut off"),
        (bomb(50_000, 50_000), 413, "pixels"),
        (bomb(9_000, 9_000), 413, "50000000 pixels"),
        (scanned(1000), 400, "scans"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(body: bytes, status: int, reason: str) -> None:
    said = error(ask("POST", "/predict", content=body), status)
    assert reason in said
    assert ";" in said  # and the mend


def test_a_few_scans_are_ordinary() -> None:
    assert ask("POST", "/predict", content=scanned(50)).status_code == 200


def test_a_packed_body_is_refused() -> None:
    answer = ask("POST", "/predict", content=gzip.compress(PICTURE), headers={"Content-Encoding": "gzip"})
    assert "as it is" in error(answer, 415)


async def dripping(total: int) -> AsyncIterator[bytes]:
    for _ in range(total // 100):
        yield b"x" * 100


def test_too_many_bytes_are_refused_with_and_without_a_declared_length() -> None:
    limits = {"body_bytes": 1000}
    assert "1000 bytes" in error(ask("POST", "/predict", settings=limits, content=b"x" * 1001), 413)
    assert "1000 bytes" in error(ask("POST", "/predict", settings=limits, content=dripping(1100)), 413)
    error(ask("POST", "/predict", settings=limits, content=dripping(1000)), 415)  # they are looked at
    for length in ("9" * 5000, "-1", "x"):  # a server may let all this through
        error(ask("POST", "/predict", settings=limits, content=b"x", headers={"Content-Length": length}), 413)


def form(*parts: bytes, end: bytes = b"--\r\n") -> tuple[bytes, dict[str, str]]:
    body = b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + b"--B" + end
    return body, {"Content-Type": "multipart/form-data; boundary=B"}


FILE = b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (form(b'Content-Disposition: form-data; name="image"\r\n\r\nx'), 422, "0 fields 'file'"),
        (form(FILE + PICTURE, FILE + PICTURE), 422, "2 fields 'file'"),
        (form(), 422, "0 fields"),
        (form(FILE + PICTURE, end=b""), 400, "cut off"),
        (form(*[FILE + b"x"] * 17), 400, "more than 16 parts"),
        (form(b"no headers"), 400, "headers"),
        (form(b"A: " + b"x" * 2050 + b"\r\n\r\nx"), 400, "2048 bytes"),
        ((PICTURE, {"Content-Type": "image/png; " + "x" * 1020}), 400, "1024 characters"),
        ((PICTURE, {"Content-Type": "multipart/form-data"}), 400, "cut off"),
        (form(FILE), 415, "no picture"),
    ],
)
def test_broken_forms_are_refused_in_words(sent: tuple[bytes, dict[str, str]], status: int, reason: str) -> None:
    body, headers = sent
    assert reason in error(ask("POST", "/predict", content=body, headers=headers), status)


@pytest.mark.parametrize("disposition", [b"form-data; name=file", b"form-data; name*=utf-8''file; filename*=x''a"])
def test_names_of_fields_may_be_spelled_otherwise(disposition: bytes) -> None:
    body, headers = form(b"Content-Type: image/png\r\ncontent-disposition: " + disposition + b"\r\n\r\n" + PICTURE)
    assert ask("POST", "/predict", content=body, headers=headers).status_code == 200


def test_a_token_locks_predictions_model_and_metrics() -> None:
    settings = {"token": "open sesame"}
    locked = [("POST", "/predict"), ("GET", "/model"), ("GET", "/metrics")]
    for method, path in locked:
        for given in ({}, {"Authorization": "Bearer open"}, {"Authorization": "Basic open sesame"}):
            answer = ask(method, path, settings=settings, headers=given, content=PICTURE)
            assert "Bearer TOKEN" in error(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
        right = {"Authorization": "Bearer open sesame"}
        assert ask(method, path, settings=settings, headers=right, content=PICTURE).status_code == 200
    for path in ("/healthz", "/docs", "/openapi.json"):
        assert ask("GET", path, settings=settings).status_code == 200
    assert "sesame" not in repr(Settings(**settings))


def test_foreign_host_names_are_not_served() -> None:
    settings = {"hosts": ("localhost", "::1")}
    for good in ("localhost", "LOCALHOST:8000", "[::1]:8000", "[::1]"):
        assert ask("GET", "/healthz", settings=settings, headers={"Host": good}).status_code == 200
    for bad in ("rebound.example", "localhost.example:8000", "", "]"):
        assert "host name" in error(ask("GET", "/healthz", settings=settings, headers={"Host": bad}), 400)
    assert ask("GET", "/healthz", headers={"Host": "any.example"}).status_code == 200


def test_pages_of_other_sites_may_not_post() -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert "other sites" in error(ask("POST", "/predict", content=PICTURE, headers=foreign), 403)
    assert ask("GET", "/healthz", headers=foreign).status_code == 200  # following a link is not using it
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
    answer = ask("POST", "/predict", content=PICTURE, headers=own)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_every_answer_has_the_secure_headers() -> None:
    asked = [
        ("GET", "/healthz"),
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/nothing"),
        ("GET", "/page/nothing.js"),
        ("POST", "/predict"),
        ("PUT", "/model"),
    ]
    for method, path in asked:
        headers = ask(method, path, settings={"hosts": ("localhost",)}).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "cache-control" in headers


def test_unknown_addresses_and_methods_are_refused_in_the_same_form() -> None:
    assert "/docs" in error(ask("GET", "/nothing"), 404)
    assert "/docs" in error(ask("GET", "/model/"), 404)  # no redirect, which would go where the Host header says
    assert "/docs" in error(ask("GET", "/page/%00"), 404)
    assert "/docs" in error(ask("GET", "/page/../app.py"), 404)
    assert "/docs" in error(ask("GET", "/page/..%2fapp.py"), 404)
    answer = ask("DELETE", "/predict")
    error(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_an_exception_is_seen_in_the_log_only(caplog: pytest.LogCaptureFixture) -> None:
    network = opened(error=RuntimeError("secret of /srv/weights"))
    with caplog.at_level(logging.ERROR):
        answer = ask("POST", "/predict", network=network, content=encoded(red=255))
    assert error(answer, 500) == "internal error; see the server's log"
    assert "content-security-policy" in answer.headers
    assert "secret of /srv/weights" in caplog.text


def test_too_little_memory_is_no_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    network = opened(error=UserError("too many pixels"))
    answer = ask("POST", "/predict", network=network, content=encoded(red=255))
    assert "memory" in error(answer, 503)
    assert "too many pixels" in caplog.text


def test_a_picture_that_does_not_fit_the_only_plane_is_too_large() -> None:
    app = make_app(Predictor(opened(plane=Size(32, 32)), resize=False))

    async def go() -> httpx.Response:
        async with Client(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.post("/predict", content=PICTURE)

    assert "does not fit" in error(asyncio.run(go()), 413)


async def until(condition: object) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_full_line_sends_away_and_serves_again_when_it_is_shorter() -> None:
    network = Quarters()

    async def talk(client: Client) -> list[httpx.Response]:
        first = asyncio.create_task(client.post("/predict", content=PICTURE))
        await until(lambda: network.runs)
        refused = await client.post("/predict", content=PICTURE)
        alive = await client.get("/healthz")
        network.open.set()
        return [await first, refused, alive, await client.post("/predict", content=PICTURE)]

    first, refused, alive, later = asking(talk, network, queue=1)
    assert "1 pictures are in work" in error(refused, 429)
    assert refused.headers["retry-after"] == "1"
    assert [first.status_code, alive.status_code, later.status_code] == [200, 200, 200]


def test_bodies_together_take_a_bounded_memory() -> None:
    """Room for sixteen full bodies: while a hundred come slowly, some are sent away."""

    async def talk(client: Client) -> list[httpx.Response]:
        come = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"x" * 990
            await come.wait()

        asked = [asyncio.create_task(client.post("/predict", content=slowly())) for _ in range(20)]
        await until(lambda: sum(one.done() for one in asked) == 4)
        come.set()
        answers = await asyncio.gather(*asked)
        return [*answers, await client.post("/predict", content=PICTURE)]

    *answers, later = asking(talk, body_bytes=1000)
    assert [answer.status_code for answer in answers].count(429) == 4
    assert [answer.status_code for answer in answers].count(415) == 16
    assert later.status_code == 200  # the room was given back


async def unread(app: FastAPI, body: bytes, read: asyncio.Event) -> int:
    """Ask on a connection whose client takes nothing of the answer before the event; gives the status."""
    statuses = []
    requests = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, object]:
        return requests.pop() if requests else await asyncio.Future()

    async def send(message: dict[str, object]) -> None:
        statuses.append(message.get("status"))
        if message.get("body"):
            await read.wait()

    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": [], "root_path": ""}
    await app(scope, receive, send)
    return statuses[0]


def test_answers_that_are_not_read_take_a_bounded_memory() -> None:
    """As much as bodies may; who comes then is sent away, and none of them keeps a place in the line."""
    size = len(ask("POST", "/predict", content=PICTURE).content)
    app = make_app(Predictor(opened()), Settings(body_bytes=len(PICTURE), queue=1))
    fit = 16 * len(PICTURE) // size

    async def figure(client: Client) -> int:
        return int((await client.get("/metrics")).text.partition("\ncentermask_unread_bytes ")[2].split()[0])

    async def go(read: asyncio.Event) -> list[int]:
        waiting = []
        async with Client(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            for i in range(fit):
                waiting.append(asyncio.create_task(unread(app, PICTURE, read)))
                async with asyncio.timeout(20):
                    while await figure(client) < (i + 1) * size:
                        await asyncio.sleep(0.01)
            refused = await client.post("/predict", content=PICTURE)
            assert "answers" in error(refused, 429)
            assert refused.headers["retry-after"] == "1"
            gone = waiting.pop()
            gone.cancel()
            await asyncio.wait([gone])
            again = await client.post("/predict", content=PICTURE)
            read.set()
            statuses = await asyncio.gather(*waiting)
            assert await figure(client) == 0
            return [again.status_code, *statuses]

    async def go_and_read() -> list[int]:
        read = asyncio.Event()
        try:
            return await go(read)
        finally:
            read.set()  # or a failure would wait for ever for those that do not read

    assert fit > 1
    assert asyncio.run(go_and_read()) == [200] * fit


def test_an_answer_larger_than_all_room_is_sent_if_it_is_alone() -> None:
    picture = encoded(300, 400, kind="WEBP")
    answer = ask("POST", "/predict?format=png", content=picture, settings={"body_bytes": len(picture)})
    assert len(answer.content) > 16 * len(picture)
    assert answer.status_code == 200


def test_what_waits_too_long_is_sent_away_and_never_computed() -> None:
    network = Quarters()

    async def talk(client: Client) -> list[httpx.Response]:
        asked = [asyncio.create_task(client.post("/predict", content=encoded(20 + i, 20))) for i in range(3)]
        answers = await asyncio.gather(*asked)
        network.open.set()
        return [*answers, await client.post("/predict", content=PICTURE)]

    *late, later = asking(talk, network, request_seconds=0.4)
    for answer in late:
        assert "0.4 seconds" in error(answer, 503)
        assert answer.headers["retry-after"] == "1"
    assert later.status_code == 200
    assert len(network.runs) == 2  # the one that had begun, and the last


def test_a_slow_body_is_sent_away() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(10)

    answer = ask("POST", "/predict", settings={"body_seconds": 0.1}, content=slowly())
    assert "0.1 seconds" in error(answer, 408)
    assert answer.headers["connection"] == "close"


def test_answers_under_load_equal_the_answer_alone() -> None:
    """Neighbours of other sizes, of the same size and with other thresholds change nothing."""
    rng = np.random.default_rng(0)
    sizes = [(48, 64), (64, 48), (40, 100), (48, 64)]
    pictures = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    asked = [(picture, threshold) for picture in pictures for threshold in (0.0, 0.0003, 0.001)] * 2
    predictor = Predictor(small_model(), short_side=64, long_side=128)

    async def one(client: Client, picture: np.ndarray, threshold: float) -> dict[str, object]:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        return (await client.post("/predict", params={"threshold": threshold}, content=file.getvalue())).json()

    async def go() -> tuple[list[dict[str, object]], list[dict[str, object]], str]:
        crowded = make_app(predictor, Settings(window_seconds=0.5))
        async with Client(transport=httpx.ASGITransport(crowded), base_url="http://localhost", timeout=60) as client:
            together = await asyncio.gather(*[one(client, *each) for each in asked])
            figures = (await client.get("/metrics")).text
        quiet = make_app(predictor, Settings(window_seconds=0.0))
        async with Client(transport=httpx.ASGITransport(quiet), base_url="http://localhost", timeout=60) as client:
            return together, [await one(client, *each) for each in asked], figures

    together, alone, figures = asyncio.run(go())
    assert 'centermask_run_pictures_bucket{le="1"} 0' in figures  # they did share runs
    assert sum(len(answer["instances"]) for answer in alone) > 20
    for crowd, single in zip(together, alone, strict=True):
        assert len(crowd["instances"]) == len(single["instances"])
        for a, b in zip(crowd["instances"], single["instances"], strict=True):
            assert a["category_id"] == b["category_id"]
            np.testing.assert_allclose(a["bbox"], b["bbox"], atol=1e-3)
            np.testing.assert_allclose(a["score"], b["score"], atol=1e-7)
        # A network that has learned nothing gives masks about the threshold, where rounding decides single pixels.
        differ = from_coco(crowd, predictor.class_names).masks != from_coco(single, predictor.class_names).masks
        assert (differ.mean(axis=(1, 2)) < 0.01).all()


def test_model_says_what_is_served() -> None:
    settings = {"name": "gems.onnx", "body_bytes": 7, "pixels": 8, "request_seconds": 9.0}
    assert ask("GET", "/model", settings=settings).json() == {
        "weights": "gems.onnx",
        "class_names": ["dark", "bright"],
        "category_ids": [3, 9],
        "score_threshold": CONFIG.score_threshold,
        "max_detections": 4,
        "short_side": 64,
        "long_side": 128,
        "device": "cpu",
        "version": make_app(Predictor(opened())).version,
        "limits": {"body_bytes": 7, "pixels": 8, "seconds": 9},
        "token_required": False,
    }


def test_metrics_count_what_was_done() -> None:
    async def talk(client: Client) -> str:
        await client.post("/predict", content=PICTURE)
        await client.post("/predict", content=b"x")
        await client.get("/made/up/by/a/client")
        await client.get("/page/nothing.js")
        return (await client.get("/metrics")).text

    lines = asking(talk).splitlines()
    assert 'centermask_requests_total{path="/predict",status="200"} 1' in lines
    assert 'centermask_requests_total{path="/predict",status="415"} 1' in lines
    assert 'centermask_requests_total{path="other",status="404"} 2' in lines
    assert "centermask_pictures_total 1" in lines
    assert "centermask_objects_total 3" in lines
    assert "centermask_queue_length 0" in lines
    assert 'centermask_run_pictures_bucket{le="1"} 1' in lines
    assert "centermask_request_seconds_count 1" in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


def test_the_documentation_fetches_nothing() -> None:
    page = ask("GET", "/docs").text
    assert "POST /predict" in page
    assert "max_detections" in page
    assert "://" not in page
    assert "<script" not in page


def test_the_documentation_has_parameters_bodies_answers_and_their_fields() -> None:
    page = ask("GET", "/docs", settings={"token": "open sesame"}).text
    assert "<td><code>threshold</code></td><td>number from 0 to 1</td><td><code>0.3</code></td>" in page
    assert "<td><code>multipart/form-data</code></td><td>a form with the field <code>file</code>" in page
    assert "<td><code>image/webp</code></td><td>the bytes of a picture</td>" in page
    assert '<td>What was found</td><td><code>image/png</code> or <a href="#Found"><code>Found</code></a> or' in page
    assert '<td><code>401</code></td><td>The token is missing or wrong</td><td><a href="#Error">' in page
    assert '<h2 id="Found"><code>Found</code></h2>' in page
    assert '<td><code>instances</code></td><td>list of <a href="#Instance">' in page
    assert "<td><code>bbox</code></td><td>list of numbers</td>" in page
    assert "<code>format</code> is <code>json</code> for boxes" in page
    assert "`" not in page


def test_the_style_of_the_documentation_is_allowed_by_its_own_policy() -> None:
    answer = ask("GET", "/docs")
    assert "style-src 'self'" in answer.headers["content-security-policy"]
    assert '<link rel="stylesheet" href="docs.css">' in answer.text
    assert "style=" not in answer.text
    assert "<style" not in answer.text
    style = ask("GET", "/docs.css", settings={"token": "open sesame"})
    assert style.headers["content-type"].startswith("text/css")
    assert "table" in style.text


def test_the_page_is_served_as_it_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "PAGE", tmp_path)
    assert "/docs" in error(ask("GET", "/"), 404)
    (tmp_path / "index.html").write_text("<h1>page</h1>")
    (tmp_path / "app.js").write_text("1")
    start = ask("GET", "/")
    assert (start.text, start.headers["content-type"]) == ("<h1>page</h1>", "text/html; charset=utf-8")
    script = ask("GET", "/page/app.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["cache-control"] == "no-cache"
    assert ask("HEAD", "/").status_code == 200


def test_the_app_may_be_mounted_in_another() -> None:
    parent = FastAPI()
    parent.mount("/seen", make_app(Predictor(opened())))

    async def go() -> httpx.Response:
        async with Client(transport=httpx.ASGITransport(parent), base_url="http://localhost") as client:
            return await client.post("/seen/predict", content=PICTURE)

    assert len(asyncio.run(go()).json()["instances"]) == 3


@pytest.mark.parametrize(
    "wrong",
    [{"batch": 0}, {"queue": 0}, {"body_bytes": 0}, {"pixels": 0}, {"pixels": 10**9}, {"body_seconds": 0.0},
     {"request_seconds": float("nan")}, {"window_seconds": -1.0}, {"token": ""}, {"token": "ü"}, {"token": "a\nb"},
     {"token": "open "}, {"hosts": ("localhost", "a.example:8443")}, {"hosts": ("https://a.example",)},
     {"hosts": ("[::1]",)}, {"hosts": ("",)}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        Settings(**wrong)
