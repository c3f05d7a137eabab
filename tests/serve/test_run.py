"""The service as a process: its start, its end, and clients that do not behave."""

import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from centermask.cli import main
from centermask.errors import UserError
from centermask.serve import Settings
from centermask.serve import run as run_module
from centermask.serve.run import Address, read_token
from tests.runtimes.made import write
from tests.runtimes.test_without_torch import COMMAND, FORBIDDEN, OURS, python
from tests.serve.made import Server, encoded, noise, read_all, running

PICTURE = encoded()
HELD = Path(__file__).with_name("held.py")
ONLY_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
pytestmark = ONLY_POSIX


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("weights") / "gems.onnx")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """While this file is there, the network of a held service works."""
    return tmp_path / "gate"


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def runs(gate: Path) -> int:
    """How many runs a held network has begun, but for the one that warmed it up."""
    return len(list(gate.parent.glob("run-*"))) - 1


class Later:
    """A request in a thread of its own."""

    def __init__(self, ask: Callable[[], httpx.Response]) -> None:
        self._thread = threading.Thread(target=lambda: setattr(self, "answer", ask()))
        self.answer: httpx.Response | None = None
        self._thread.start()

    def wait(self) -> httpx.Response:
        self._thread.join(30)
        assert self.answer is not None
        return self.answer


def test_the_command_serves_an_exported_file_without_torch_and_says_where(weights: Path) -> None:
    with running("-c", FORBIDDEN + COMMAND, OURS, "serve", weights, "--port", "0", "--log-requests") as server:
        assert len(server.post(PICTURE).json()["instances"]) == 3
        assert httpx.get(f"{server.url}/model").json()["weights"] == "gems.onnx"
        assert httpx.get(f"{server.url}/healthz", headers={"Host": "evil.example"}).status_code == 400
        code, said = server.stop(signal.SIGINT)
        assert '"POST /predict HTTP/1.1" 200' in server.printed()
    assert (code, said) == (0, "")


def test_it_is_found_at_version_six_of_the_protocol_too(weights: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with running("-m", "centermask", "serve", weights, "--port", "0", "--host", "::1") as server:
        assert httpx.get(f"http://[::1]:{server.port}/healthz").status_code == 200


def test_a_token_is_read_from_a_file_and_asked_for(weights: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("open sesame\n")
    words = ("-m", "centermask", "serve", weights, "--port", "0", "--host", "0.0.0.0", "--token-file", token)
    with running(*words) as server:
        assert server.post(PICTURE).status_code == 401
        assert server.post(PICTURE, headers={"Authorization": "Bearer open sesame"}).status_code == 200
        code, said = server.stop(signal.SIGTERM)
    assert (code, said) == (0, "")


def test_an_open_address_without_a_token_is_warned_of(weights: Path) -> None:
    with running("-m", "centermask", "serve", weights, "--port", "0", "--host", "0.0.0.0") as server:
        assert server.post(PICTURE, headers={"Host": "any.example"}).status_code == 200
        code, said = server.stop(signal.SIGTERM)
    assert code == 0
    assert "--token-file" in said
    assert len(said.splitlines()) == 1


def test_what_has_begun_is_finished_before_the_end(gate: Path) -> None:
    with running(HELD, gate, "batch=1") as server:
        gate.unlink()
        asked = [Later(lambda: server.post(PICTURE)) for _ in range(3)]
        until(lambda: runs(gate) == 1)
        until(lambda: server.figure("centermask_queue_length") == 3)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: _refuses(server))
        gate.touch()
        assert [one.wait().status_code for one in asked] == [200] * 3
        assert server.process.wait(30) == 0
        assert server.said() == ""


def _refuses(server: Server) -> bool:
    try:
        server.connect().close()
    except OSError:
        return True
    return False


def test_draining_has_an_end_too(gate: Path) -> None:
    with running(HELD, gate, "drain_seconds=0.5") as server:
        gate.unlink()
        asked = Later(lambda: server.post(PICTURE))
        until(lambda: runs(gate) == 1)
        server.process.send_signal(signal.SIGTERM)
        assert asked.wait().status_code == 503
        assert server.process.wait(30) == 0  # though the network still runs
        assert not gate.exists()
        cut_off, given_up = server.said().splitlines()
    assert "Cancel 1 running task" in cut_off
    assert "--drain-seconds" in given_up


def test_work_of_clients_that_have_gone_is_not_done(gate: Path) -> None:
    with running(HELD, gate, "batch=1", "queue=3") as server:
        gate.unlink()
        first = Later(lambda: server.post(PICTURE))
        until(lambda: runs(gate) == 1)
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(PICTURE)}\r\n\r\n".encode()
        for _ in range(2):
            with server.connect() as connection:
                connection.sendall(head + PICTURE)
                until(lambda: server.figure("centermask_queue_length") == 2)
            until(lambda: server.figure("centermask_queue_length") == 1)
        gate.touch()
        assert first.wait().status_code == 200
        assert server.post(PICTURE).status_code == 200
        assert runs(gate) == 2
        assert 'status="499"} 2' in httpx.get(f"{server.url}/metrics").text


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of little patience, for clients that try it; others might be too slow for it on a busy machine."""
    gate = tmp_path_factory.mktemp("strict") / "gate"
    with running(HELD, gate, "head_seconds=1.5", "body_seconds=1.5") as server:
        yield server


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service of much patience, for small bodies and few connections."""
    gate = tmp_path_factory.mktemp("small") / "gate"
    with running(HELD, gate, "head_seconds=60", "body_seconds=60", "body_bytes=20000", "connections=8") as server:
        yield server


def test_a_connection_that_never_sends_its_request_is_closed(strict: Server) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(strict.connect()) for _ in range(3)]
        for connection, sent in zip(silent, [b"", b"GET", b"GET /healthz HTTP/1.1\r\nHost: local"], strict=True):
            connection.sendall(sent)
        assert [read_all(connection) for connection in silent] == [b""] * 3


def drip(connection: socket.socket, drop: bytes) -> None:
    for _ in range(1000):
        connection.sendall(drop)
        time.sleep(0.05)


CUT_OFF = pytest.raises(OSError, match=r"(?i)reset|pipe|abort")


def test_a_slow_head_is_closed_however_long_it_drips(strict: Server) -> None:
    with strict.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        with CUT_OFF:
            drip(connection, b"A: b\r\n")


def test_a_slow_body_is_answered_and_closed(strict: Server) -> None:
    with strict.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":"the body did not come within 1.5 seconds' in answer


def test_a_long_body_is_read_to_its_end_so_that_the_refusal_arrives(small: Server) -> None:
    answer = small.post(b"x" * 5_000_000)
    assert answer.status_code == 413
    assert "20000 bytes" in answer.json()["error"]


def test_a_refused_body_that_never_ends_is_cut_off(strict: Server) -> None:
    with strict.connect(60) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"
        with CUT_OFF:
            drip(connection, b"x")


def test_who_asks_before_sending_is_told_before_sending(small: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
    with small.connect() as connection:
        connection.sendall(head + b"99999\r\n\r\n")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    with small.connect() as connection:
        connection.sendall(head + str(len(PICTURE)).encode() + b"\r\nConnection: close\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(PICTURE)
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"\0" * 100_000,
                                  b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"])  # fmt: skip
def test_what_is_no_http_is_told_so(small: Server, sent: bytes) -> None:
    with small.connect() as connection:
        connection.sendall(sent + b"\r\n\r\n")
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""
    if answer:
        assert "HTTP" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_a_broken_chunk_within_a_body_is_told_so(small: Server) -> None:
    with small.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")


def test_connections_too_many_are_told_to_come_again(small: Server) -> None:
    with httpx.Client(base_url=small.url, timeout=30) as client:
        with crowd(small, 8):
            answer = client.get("/healthz")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "too many connections" in answer.json()["error"]
        until(lambda: client.get("/healthz").status_code == 200)


def test_far_too_many_connections_are_closed_at_once(small: Server) -> None:
    """Long before the patience with them is over."""
    with crowd(small, 20) as idle:
        assert read_all(idle[-1]) == b""
    until(lambda: httpx.get(f"{small.url}/healthz").status_code == 200)


@contextmanager
def crowd(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Connections that ask for nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(server.connect()) for _ in range(count)]


@contextmanager
def short_of(gate: Path, *limits: str) -> Iterator[Server]:
    """A held service in whose code limits have other values."""
    code = f"import sys; from centermask.serve import run; {'; '.join(f'run.{limit}' for limit in limits)}; "
    code += "import runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    with running("-c", code, HELD, gate, "body_bytes=9000000") as server:
        yield server


@contextmanager
def unread(server: Server) -> Iterator[socket.socket]:
    """A connection on which an answer of 7 MB begins to come, of which the system keeps little for its client."""
    picture = noise(1200, 2000)
    head = f"POST /predict?format=png HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(picture)}\r\n\r\n"
    begun = server.figure("centermask_pictures_total")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(head.encode() + picture)
        until(lambda: server.figure("centermask_pictures_total") > begun)
        yield connection


def test_an_answer_counts_until_it_is_read_or_its_client_has_gone(gate: Path) -> None:
    with running(HELD, gate) as server:
        with unread(server) as connection:
            assert server.figure("centermask_unread_bytes") > 7_000_000
            assert server.figure("centermask_queue_length") == 0
            head, _, body = connection.recv(4096).partition(b"\r\n\r\n")
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            while len(body) < length:
                body += connection.recv(65536)
            assert body.endswith(b"IEND\xaeB`\x82")
            until(lambda: server.figure("centermask_unread_bytes") == 0)
        with unread(server):
            assert server.figure("centermask_unread_bytes") > 7_000_000
        until(lambda: server.figure("centermask_unread_bytes") == 0)


def test_a_client_that_does_not_read_its_answer_is_closed(gate: Path) -> None:
    with short_of(gate, "READING = 0.5") as server, unread(server) as connection:
        until(lambda: server.figure("centermask_unread_bytes") == 0)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert len(body) < 0.8 * 7_200_000


def test_a_client_that_reads_its_answer_ever_so_slowly_is_closed(gate: Path) -> None:
    """It would need minutes, though it never pauses."""
    received = 0
    with short_of(gate, "ANSWER = 1.5") as server, unread(server) as connection:
        end = time.monotonic() + 20
        while server.figure("centermask_unread_bytes"):
            assert time.monotonic() < end
            with suppress(ConnectionResetError):
                received += len(connection.recv(4096))
            time.sleep(0.02)
    assert 0 < received < 0.8 * 7_200_000


def test_a_service_that_does_not_start_fails_its_test_with_what_it_says() -> None:
    slow = "import sys, time; print('no network', file=sys.stderr, flush=True); time.sleep(600)"
    for code, patience in ((slow, 2.0), ("import sys; sys.exit('no network')", 60.0)):
        with pytest.raises(AssertionError, match="no network"), running("-c", code, patience=patience):
            pass


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as end:
        main(["serve", *map(str, arguments)])
    assert end.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


def test_a_port_in_use_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(capsys, "no-such-weights", "--port", str(port))
    assert f"port {port} of 127.0.0.1 cannot be opened" in line
    assert "--port" in line


def test_what_cannot_be_served_is_refused_in_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert "no such weights" in refused(capsys, "nothing.onnx", "--port", "0")
    assert "port" in refused(capsys, "--port", "70000")
    assert "host" in refused(capsys, "--host", "no such host", "--port", "0")
    assert "cannot be opened" in refused(capsys, "--host", "203.0.113.7", "--port", "0")
    assert "without a port" in refused(capsys, "--allow-host", "masks.example.org:8443")
    assert "empty" in refused(capsys, "--token-file", tmp_path / "empty")
    assert "cannot be read" in refused(capsys, "--token-file", tmp_path / "missing")
    for flag, value in (("--max-body-mb", "nan"), ("--max-pixels-mp", "0"), ("--max-pixels-mp", "1000"),
                        ("--batch", "0"), ("--window-ms", "inf"), ("--drain-seconds", "nan"),
                        ("--limit-connections", "0")):  # fmt: skip
        refused(capsys, flag, value)


@pytest.mark.parametrize("part", ["fastapi", "uvicorn"])
def test_a_missing_part_is_named_with_its_mend(part: str) -> None:
    done = python(COMMAND, part, "serve", "--port", "0")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert part in line
    assert "pip install 'centermask[serve]'" in line


def test_a_token_may_lie_in_the_environment() -> None:
    assert read_token(None, {}) is None
    assert read_token(None, {"CENTERMASK_TOKEN": ""}) is None
    assert read_token(None, {"CENTERMASK_TOKEN": "open"}) == "open"
    assert read_token(None, {"CENTERMASK_TOKEN": " open sesame\n"}) == "open sesame"  # as in a file


def test_a_blank_token_in_the_environment_is_no_open_door() -> None:
    with pytest.raises(UserError, match="token"):
        Settings(token=read_token(None, {"CENTERMASK_TOKEN": " "}))


def test_an_address_out_of_range_is_refused() -> None:
    with pytest.raises(UserError, match="head_seconds"):
        Address(head_seconds=0.0)


def test_the_own_names_are_known() -> None:
    assert run_module.is_local("127.5.5.5")
    assert not run_module.is_local("192.168.1.1")
    assert not run_module.is_local("fe80::1%eth0")
