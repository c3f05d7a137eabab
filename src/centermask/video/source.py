"""What a video may come from: a file, a camera, or a stream of another machine."""

import glob
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from centermask.errors import UserError
from centermask.video.engine import import_av

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv",
                  ".asf", ".flv", ".3gp", ".ogv", ".mjpeg", ".y4m", ".mxf", ".h264", ".264", ".ivf")  # fmt: skip
"""Endings, in small letters, by which video files are known."""

FORMATS = ("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "asf", "flv", "ogg", "mjpeg", "yuv4mpegpipe", "mxf",
           "h264", "hevc", "m4v", "ivf")  # fmt: skip
"""What a file may hold. FFmpeg knows more, some of which are lists that name other files and addresses to fetch."""

SILENCE = 10
"""Seconds without an answer after which a stream is given up."""

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_SECRETS = re.compile(r"(?<=://)[^/?#]*@|\?.*", re.DOTALL)
"""Of an address: user and password, which may hold an @, and the query, where some cameras want them."""
_NO_PORT = re.compile(r"(?<=://)[^/?#@\[]*:(?!\d*[/?#])[^/?#@]*[/?#].*@", re.DOTALL)
"""The same if a / or ? in the password was not written as %2F or %3F."""


@dataclass(frozen=True)
class Source:
    """Where frames come from, in FFmpeg's terms."""

    name: str
    """For messages and records; holds no user, no password and no query."""
    address: str
    format: str | None = None
    """None: what the content says."""
    options: dict[str, str] = field(default_factory=dict)
    path: Path | None = None
    """Of a file."""

    @property
    def live(self) -> bool:
        """Whether it has no end."""
        return self.path is None


def is_video(text: str | Path) -> bool:
    """Whether an argument is meant as a video: an address, ``camera:0``, or a name that ends like one."""
    said = str(text)
    if said.startswith("camera:") or _ADDRESS.match(said):
        return True
    return Path(said).suffix.lower() in VIDEO_SUFFIXES and not os.path.isdir(said)


def find_source(text: str | Path) -> Source:
    """The source that an argument names.

    Raises:
        UserError: there is no such file, it is empty or no file, or the address is not one that is read.
    """
    said = str(text)
    address = _ADDRESS.match(said)
    if said.startswith("camera:"):
        return _camera(said)
    if address and address[1].lower() in ("rtsp", "rtsps"):
        return _stream(said)
    if address:
        raise UserError(
            f"{_shown(said)}: nothing is fetched from there; download the video and name the file, or give rtsp://"
        )
    return _file(Path(os.path.expanduser(said)))


def _file(path: Path) -> Source:
    try:
        if not path.exists():
            mend = "; videos are given one at a time, by their own names" if glob.has_magic(str(path)) else ""
            raise UserError(f"{path}: there is no such file{mend or '; check the path'}")
        if not path.is_file():
            raise UserError(f"{path}: this is no file; name a video, camera:0 or rtsp://")
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UserError(f"{path}: the file may not be read ({error.strerror}); check path and permissions") from None
    if empty:
        raise UserError(f"{path}: the file is empty; copy or save the video anew")
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)}
    return Source(path.name, f"file:{path.absolute()}", options=options, path=path)


def _stream(address: str) -> Source:
    options = {"rtsp_transport": "tcp", "timeout": str(SILENCE * 1_000_000)}
    return Source(_shown(address), address, "rtsp", options)


def _shown(address: str) -> str:
    return _SECRETS.sub("", _NO_PORT.sub("", address))


def _camera(name: str) -> Source:
    number = name.removeprefix("camera:")
    if not number.isdecimal() or not number.isascii():
        raise UserError(f"{name}: cameras are numbered; camera:0 is the first one")
    match sys.platform:
        case "darwin":
            return Source(name, number, "avfoundation", {"framerate": "30"})
        case "win32":
            return Source(name, f"video={_windows_camera(name, int(number))}", "dshow")
        case _:
            return Source(name, f"/dev/video{int(number)}", "v4l2")


def _windows_camera(name: str, number: int) -> str:
    devices = [one for one in import_av(name).enumerate_input_devices("dshow") if "video" in one.media_types]
    if number >= len(devices):
        raise UserError(f"{name}: there are {len(devices)} cameras; the first one is camera:0")
    return str(devices[number].name)
