"""A small RTSP server: one visitor, H.264 over the visitor's own connection, and little of the protocol besides."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType

import av

from tests.video.made import RATE, SIZE, square

DESCRIPTION = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=squares\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track\r\n"
)


class Server:
    """Sends so many ``square`` frames to the first visitor, at a pace, then hangs up or falls silent.

    Args:
        pace: Seconds between two frames.
        silent: Leave the connection open after the last frame.
        answers: False takes the connection and never says a word.
    """

    def __init__(self, frames: int, *, pace: float = 0.0, silent: bool = False, answers: bool = True) -> None:
        self._frames, self._pace, self._silent, self._answers = frames, pace, silent, answers
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"rtsp://127.0.0.1:{self._door.getsockname()[1]}/squares"
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._door.close()
        self._thread.join()

    def _serve(self) -> None:
        self._door.settimeout(20)
        visitor, _ = self._door.accept()
        with visitor:
            if not self._answers:
                self._left.wait(20)
                return
            try:
                self._greet(visitor)
                self._play(visitor)
            except OSError:  # the visitor went
                return
            if self._silent:
                self._left.wait(20)

    def _greet(self, visitor: socket.socket) -> None:
        with visitor.makefile("r", newline="\r\n") as lines:
            while True:
                request = lines.readline().split()
                heads = "".join(iter(lines.readline, "\r\n"))
                number = re.search(r"CSeq: *(\d+)", heads, re.IGNORECASE)[1]
                visitor.sendall(self._answer(request[0], number).encode())
                if request[0] == "PLAY":
                    return

    def _answer(self, method: str, number: str) -> str:
        head = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n"
        match method:
            case "OPTIONS":
                return head + "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n"
            case "DESCRIBE":
                kind = f"Content-Type: application/sdp\r\nContent-Base: {self.address}/\r\n"
                return f"{head}{kind}Content-Length: {len(DESCRIPTION)}\r\n\r\n{DESCRIPTION}"
            case "SETUP":
                return head + "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n"
            case _:
                return head + "Session: 1\r\n\r\n"

    def _play(self, visitor: socket.socket) -> None:
        for sequence, (stamp, last, unit) in enumerate(units(self._frames)):
            packet = struct.pack(">BBHII", 0x80, 96 | last << 7, sequence % 65536, stamp, 1) + unit
            visitor.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
            if last and self._left.wait(self._pace):
                return


def units(frames: int) -> Iterator[tuple[int, bool, bytes]]:
    """The NAL units of coded frames, with the frame's time in parts of 90,000, and whether it is the frame's last."""
    coder = av.CodecContext.create("libx264", "w")
    coder.height, coder.width = SIZE
    coder.pix_fmt, coder.time_base, coder.framerate = "yuv420p", Fraction(1, RATE), Fraction(RATE)
    coder.options = {"tune": "zerolatency", "g": "5"}
    for i in range(frames):
        frame = av.VideoFrame.from_ndarray(square(i), format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = i, Fraction(1, RATE)
        for packet in coder.encode(frame):
            parts = [part for part in re.split(rb"\x00?\x00\x00\x01", bytes(packet)) if part]
            for part in parts:
                yield packet.pts * 90000 // RATE, part is parts[-1], part
