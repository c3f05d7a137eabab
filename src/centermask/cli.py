"""The command line: ``centermask train | evaluate | compare | predict | serve | export | bench | data check |
data convert | demo | gems | import-published | import-backbone | presets | doctor``.

The one file that imports lazily: ``--help`` must not wait for torch.
"""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
import yaml
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, subcommand

from centermask.bundled import BUNDLED, DEFAULT_WEIGHTS
from centermask.config import TrainConfig
from centermask.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

    from centermask.data.sources import Evaluable
    from centermask.instances import Instances
    from centermask.many import Recipe
    from centermask.predict import Finder, Predictor
    from centermask.report import EvaluatedSet
    from centermask.tiles import TiledPredictor
    from centermask.video import FoundFrame, VideoSummary

FAILED = 2
"""Exit code for anything a user can mend."""
HARMFUL = 1
"""Exit code of a check that found what would harm training."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""
OnError = Literal["stop", "skip"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train on annotated pictures.

    DATA is a folder of annotated pictures (COCO, YOLO-seg, labelme or index PNGs), FOLDER:NAME where COCO files of
    several names lie in it, or gems: for drawn stones. Of several, each teaches the classes it annotates.
    """

    data: Positional[tuple[str, ...]]
    """One or more of FOLDER, FOLDER:NAME, gems:"""
    out: Path
    """Folder of the run: configuration, weights, metrics."""
    config: TrainConfig
    file: Path | None = None
    """A YAML file with any of these settings; flags win over it."""
    resume: bool = False
    """Go on with the run in --out, or begin it if there is none yet."""
    train_annotations: Path | None = None
    """Annotation file of the training pictures, instead of those in DATA/annotations."""
    val_annotations: Path | None = None
    """Annotation file of the validation pictures."""
    images: Path | None = None
    """Folder of the pictures, if not beside the annotations."""
    on_error: OnError = "stop"
    """Bad annotations stop the run, or are skipped and counted."""

    def run(self) -> int:
        from centermask.data.sources import describe, folder_of, open_data, skipped
        from centermask.train import RunFolder, Stopped, train

        if not self.data:
            raise UserError("no data given; name a folder, FOLDER:NAME or gems:")
        if len(self.data) > 1 and (self.train_annotations or self.val_annotations or self.images):
            raise UserError(
                "--train-annotations, --val-annotations and --images go with one DATA; give FOLDER:NAME instead"
            )
        if self.out.resolve() in [place.resolve() for data in self.data if (place := folder_of(data))]:
            raise UserError(f"{self.out}: this is the folder of the data; choose another --out")
        splits = [open_data(data, train_annotations=self.train_annotations, val_annotations=self.val_annotations,
                            images=self.images, on_error=self.on_error) for data in self.data]  # fmt: skip
        if _speaks():
            for split in splits:
                print(describe(split))
            _tell_skipped([line for split in splits for line in skipped(split)])
        train_sets = [split.train for split in splits if split.train is not None]
        val_sets = {f"{split.name} {i}" if [one.name for one in splits].count(split.name) > 1 else split.name: split.val
                    for i, split in enumerate(splits, start=1) if split.val is not None}  # fmt: skip
        folder = RunFolder(path=self.out)
        try:
            train(self.config, train_sets, val_sets, folder, data=self.data, resume=self.resume)
        except Stopped as stop:
            if _speaks():
                print(f"stopped and saved; go on with the same command and --resume ({folder.state})", file=sys.stderr)
            return stop.exit_code
        finally:
            _leave_the_others()
        return 0


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score weights on annotated pictures: COCO box and mask AP and AR, per class and per size."""

    weights: Positional[str]
    """A weights file or an exported one, or bundled weights: nano, plus-nano."""
    data: Positional[str]
    """FOLDER, FOLDER:NAME, or gems:; its val split is used, or the only one it has."""
    annotations: Path | None = None
    """Annotation file, instead of the one in DATA/annotations."""
    images: Path | None = None
    """Folder of the pictures, if not beside the annotations."""
    json: Path | None = None
    """Write the figures here."""
    predictions: Path | None = None
    """Write all predictions here, as COCO results."""
    html: Path | None = None
    """Write a page here: curves, heat map, confusion, calibration and the worst errors."""
    max_detections: int | None = None
    """Objects per picture that count; raise it for dense sets. At least 100, or what the network keeps."""
    short_side: int | None = None
    """Scale pictures so; as in training if not given."""
    tile: int | None = None
    """Predict in tiles of this side, in pixels, and join what their borders cut."""
    overlap: float = 0.2
    """Share of its side by which a tile overlaps the next one."""
    device: str = "auto"
    """cpu, cuda, or what there is."""
    precision: Precision | None = None
    """In what weights compute; fp32 if not given. An exported file's precision is its own."""
    compile: bool = False
    """Compile weights with torch.compile: slow at first, faster afterwards."""
    on_error: OnError = "stop"
    """Bad annotations stop, or are skipped and counted."""

    def run(self) -> int:
        from rich.console import Console

        from centermask.evaluate import format_table
        from centermask.files import check_places, write_whole
        from centermask.report import write_evaluation

        check_places(self.predictions, self.json, self.html)
        chosen = _evaluation_set(self.data, self.annotations, self.images, self.on_error)
        one = _evaluated(_opened(self.weights, chosen, self), self.data, chosen, self)
        Console().print(format_table(one.evaluation))  # before anything that a full disk could stop
        if self.predictions:
            write_whole(self.predictions, json.dumps(list(one.rows)).encode())
        if self.json:
            record = {"weights": self.weights, "data": self.data, **one.evaluation.to_json()}
            write_whole(self.json, json.dumps(record, indent=2).encode())
        if self.html:
            write_evaluation(self.html, [one], title=f"{self.weights} on {self.data}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Put two networks side by side on the same pictures, with 95 % intervals."""

    a: Positional[str]
    """A weights file or an exported one, or bundled weights: nano, plus-nano."""
    b: Positional[str]
    """Another one."""
    data: str
    """FOLDER, FOLDER:NAME, or gems:; its val split is used, or the only one it has."""
    annotations: Path | None = None
    """Annotation file, instead of the one in DATA/annotations."""
    images: Path | None = None
    """Folder of the pictures, if not beside the annotations."""
    html: Path | None = None
    """Write a page here, with the pictures on which the two differ most."""
    resamples: int = 1000
    """Drawn for the intervals: the same pictures for both, with repetition."""
    max_detections: int | None = None
    """Objects per picture that count; raise it for dense sets. At least 100, or what the network keeps."""
    short_side: int | None = None
    """Scale pictures so; as in training if not given."""
    tile: int | None = None
    """Predict in tiles of this side, in pixels, and join what their borders cut."""
    overlap: float = 0.2
    """Share of its side by which a tile overlaps the next one."""
    device: str = "auto"
    """cpu, cuda, or what there is."""
    precision: Precision | None = None
    """In what weights compute; fp32 if not given. An exported file's precision is its own."""
    compile: bool = False
    """Compile weights with torch.compile: slow at first, faster afterwards."""
    on_error: OnError = "stop"
    """Bad annotations stop, or are skipped and counted."""

    def run(self) -> int:
        from rich.console import Console

        from centermask.evaluate import compare, format_comparison
        from centermask.files import check_places
        from centermask.report import write_comparison

        if self.resamples < 1:
            raise UserError(f"resamples must be at least 1, not {self.resamples}")
        check_places(self.html)
        chosen = _evaluation_set(self.data, self.annotations, self.images, self.on_error)
        opened = [(weights, _opened(weights, chosen, self)) for weights in (self.a, self.b)]
        a, b = (_evaluated(predictor, weights, chosen, self) for weights, predictor in opened)
        limit = max(a.evaluation.max_detections, b.evaluation.max_detections)
        found = compare(chosen.truth(), a.rows, b.rows, resamples=self.resamples, max_detections=limit)
        Console().print(format_comparison(found))
        if self.html:
            write_comparison(self.html, found, a, b)
        return 0


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """Say what is wrong with annotated pictures before they are trained on; changes nothing.

    Exit code 1 if something would harm training.
    """

    data: Positional[str]
    """FOLDER, or FOLDER:NAME."""
    out: Path = Path("centermask-check")
    """Folder for issues.json and check.html."""
    train_annotations: Path | None = None
    """Annotation file of the training pictures, instead of those in DATA."""
    val_annotations: Path | None = None
    """Annotation file of the validation pictures."""
    images: Path | None = None
    """Folder of the pictures, if not beside the annotations."""
    workers: int | None = None
    """Processes that open the pictures; chosen from the number of cores if not given."""

    def run(self) -> int:
        from rich.console import Console

        from centermask.data.check import check_data, format_report, write_report

        with _progress() as progress:
            task = progress.add_task("looking", total=None)
            report = check_data(
                self.data, train_annotations=self.train_annotations, val_annotations=self.val_annotations,
                images=self.images, workers=self.workers,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )  # fmt: skip
        write_report(report, self.out)
        Console().print(format_report(report))
        print(f"all of it: {self.out / 'issues.json'}\npictures of it: {self.out / 'check.html'}")
        return HARMFUL if report.harmful else 0


@dataclass(frozen=True, kw_only=True)
class DataConvert:
    """Write annotated pictures in another format; DATA stays as it is."""

    data: Positional[str]
    """FOLDER, or FOLDER:NAME."""
    out: Positional[Path]
    """A new folder."""
    format: Literal["coco", "yolo", "labelme", "png"] = "coco"
    """What to write: COCO JSON, YOLO-seg text, labelme JSON, or an index PNG for each picture."""
    link: bool = False
    """Link the pictures instead of copying them."""

    def run(self) -> int:
        from centermask.data.convert import convert

        with _progress() as progress:
            task = progress.add_task("writing", total=None)
            made = convert(
                self.data, self.out, to=self.format, link=self.link,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )  # fmt: skip
        print(f"{self.out}: {made.pictures} pictures, {made.objects} objects in {self.format} format")
        for note in made.notes:
            print(note)
        return 0


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Print versions, devices and what is missing, to be pasted into a bug report."""

    def run(self) -> int:
        from centermask.doctor import examine

        print(examine())
        return 0


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Find the objects of pictures or of a video; write overlays and COCO JSON."""

    images: Positional[tuple[str, ...]]
    """Files, folders or patterns; or one video: a file, camera:0, or rtsp://..."""
    weights: str = DEFAULT_WEIGHTS
    """A weights file or an exported one, or bundled weights for cats and people: plus-nano, or the faster nano."""
    device: str = "auto"
    """cpu, cuda, or what there is."""
    precision: Precision | None = None
    """In what weights compute; fp32 if not given. An exported file's precision is its own."""
    compile: bool = False
    """Compile weights with torch.compile: slow at first, faster afterwards."""
    short_side: int | None = None
    """Scale pictures so that their short side is this; as in training if not given."""
    resize: bool = True
    """--no-resize feeds the pixels as they are."""
    tile: int | None = None
    """Predict in tiles of this side, in pixels, and join what their borders cut."""
    overlap: float = 0.2
    """Share of its side by which a tile overlaps the next one."""
    overview: bool = True
    """--no-overview looks for objects larger than the overlap in tiles only, not in the scaled-down picture, too."""
    score_threshold: float | None = None
    """Leave out objects with a lower score."""
    max_detections: int | None = None
    """Keep this many objects of a picture, best first."""
    json: Path | None = None
    """Write what was found here: a list with one object a picture; or as it goes, into a file that ends in .jsonl, JSON
    lines, one a picture, or one a frame of a video."""
    resume: bool = False
    """Go on with a .jsonl: leave out pictures that are in it."""
    processes: int = 1
    """Predict pictures in so many processes, which share the cores; their order in the .jsonl is then not theirs."""
    out: Path | None = None
    """Write overlays into this folder; of a video, also a file that ends in .mp4, .mov, .mkv or .webm."""
    labels: Path | None = None
    """Write pictures and annotations into this new folder, to be corrected and trained on."""
    labels_format: Literal["coco", "labelme", "cvat"] = "coco"
    """COCO (polygons), labelme (a JSON file beside each picture), or CVAT for images 1.1."""
    track: bool = False
    """Follow the objects of a video: each keeps its number and its colour."""
    every: int = 1
    """Predict every so many frames of a video; on those between, the last objects are drawn again."""
    seconds: float | None = None
    """End after so many seconds of a video."""
    show: bool = False
    """Show a video in a window while it is predicted."""

    def run(self) -> int:
        from centermask.video import is_video

        if not self.resize and self.short_side is not None:
            raise UserError("--no-resize and --short-side exclude each other; give one of them")
        if not self.images:
            raise UserError("no pictures given; name files, folders or patterns, or a video")
        if self.tile is None and (self.overlap != Predict.overlap or not self.overview):
            raise UserError("--overlap and --no-overview are for tiles; add --tile, or leave them out")
        if any(is_video(image) for image in self.images):
            if self.labels is not None or self.resume or self.processes != 1:
                raise UserError("--labels, --resume and --processes are for pictures; leave them out for a video")
            return self._run_video()
        if self.track or self.show or self.every != 1 or self.seconds is not None:
            raise UserError("--track, --every, --seconds and --show are for a video; name one, or leave them out")
        return self._run_pictures()

    def _run_pictures(self) -> int:
        from centermask.images import find_images

        paths: dict[Path, None] = {}
        missing: list[tuple[Path, str]] = []
        for pattern in self.images:
            try:
                paths |= dict.fromkeys(find_images(pattern))
            except UserError as error:
                missing.append((Path(pattern), str(error)))
        if not paths:
            return _tell_failures(missing, len(missing))
        in_lines = self.json is not None and self.json.suffix.lower() == ".jsonl"
        if (self.resume or self.processes != 1) and not in_lines:
            raise UserError("--resume and --processes write as they go; add --json with a file that ends in .jsonl")
        self._check_places(list(paths))
        with _ending_gently():
            failures = self._predict_many(list(paths)) if in_lines else self._predict_files(list(paths))
        return _tell_failures(missing + failures, len(missing) + len(paths))

    def _check_places(self, paths: list[Path]) -> None:
        """Refuse to write over what is read, and into a folder that must be empty at the end."""
        from centermask.bundled import resolve_weights

        read = (*paths, resolve_weights(self.weights))
        if self.json and self.json.exists() and os.path.realpath(self.json) in map(os.path.realpath, read):
            raise UserError(f"{self.json}: this is what is read; choose another name with --json")
        for flag, place in (("--out", self.out), ("--json", self.json)):
            if place and self.labels and self.labels.resolve() in (place.resolve(), *place.resolve().parents):
                raise UserError(f"{self.labels}: is made whole at the end and must be empty until then; choose another "
                                f"{flag}")  # fmt: skip

    def _predict_files(self, paths: list[Path]) -> list[tuple[Path, str]]:
        from centermask.predict import predict_files

        predictor = self._predictor()
        with self._drafts(paths, predictor) as add_draft:

            def on_done(path: Path, found: "Instances") -> None:
                _tell_instances(path, found)
                add_draft(path, found)

            return predict_files(predictor, paths, out=self.out, json_file=self.json, on_done=on_done)

    def _predict_many(self, paths: list[Path]) -> list[tuple[Path, str]]:
        from centermask.many import predict_many

        if self.json is None or self.labels is not None:
            raise UserError(
                "--labels makes its folder whole at the end; leave it out, or give --json with a .json file"
            )
        with _progress() as progress:
            task = progress.add_task("predicting", total=len(paths))
            told = time.monotonic()

            def on_picture(done: int, total: int) -> None:
                nonlocal told
                progress.update(task, completed=done, total=total)
                if progress.disable and time.monotonic() - told > 60:  # into a log, a line a minute
                    told = time.monotonic()
                    print(f"{done} of {total} pictures", file=sys.stderr)

            try:
                found = predict_many(
                    self._recipe(), paths, self.json, out=self.out, processes=self.processes, resume=self.resume,
                    on_picture=on_picture,
                )  # fmt: skip
            except KeyboardInterrupt:
                print(f"what is done is in {self.json}; go on with the same command and --resume", file=sys.stderr)
                raise
        before = f", {found.skipped} were there already" if found.skipped else ""
        print(f"{self.json}: {found.done} picture{'s' * (found.done != 1)} predicted{before}")
        return list(found.failures)

    def _drafts(
        self, paths: Sequence[Path], predictor: "Finder"
    ) -> AbstractContextManager[Callable[[Path, "Instances"], object]]:
        """What keeps predictions as annotations, if that is asked for."""
        if self.labels is None:
            return nullcontext(lambda path, found: None)
        from centermask.drafts import open_drafts

        return open_drafts(self.labels, self.labels_format, paths, predictor.class_names, predictor.category_ids)

    def _run_video(self) -> int:
        from centermask.track import Tracker
        from centermask.video import VideoProgress, plan_video, predict_video

        if len(self.images) > 1:
            raise UserError("a video is predicted by itself; give one video, or pictures alone")
        # What will not do is told before weights are read.
        plan_video(self.images[0], out=self.out, json_file=self.json, every=self.every, seconds=self.seconds)
        silent = self.out is None and self.json is None and not self.show
        with _ending_gently(), VideoProgress(on_frame=_tell_frame if silent else None) as progress:
            summary = predict_video(
                self._predictor(), self.images[0], out=self.out, json_file=self.json, every=self.every,
                tracker=Tracker() if self.track else None, seconds=self.seconds, show=self.show,
                on_open=progress.begin, on_frame=progress.advance,
            )  # fmt: skip
        return _tell_video(summary, self.json)

    def _recipe(self) -> "Recipe":
        from centermask.many import Recipe

        return Recipe(weights=self.weights, device=_device(self.device), short_side=self.short_side,
                      resize=self.resize, score_threshold=self.score_threshold, max_detections=self.max_detections,
                      precision=self.precision, compile=self.compile, tile=self.tile, overlap=self.overlap,
                      overview=self.overview)  # fmt: skip

    def _predictor(self) -> "Finder":
        return self._recipe().make()


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Put a network behind an address: a page, and predictions over HTTP.

    Ctrl+C or SIGTERM stops it once it has finished what has begun.
    """

    weights: Positional[str] = DEFAULT_WEIGHTS
    """A weights file or an exported one, or bundled weights for cats and people: plus-nano, or the faster nano."""
    port: int = 8000
    """0 takes any free one."""
    host: str = "127.0.0.1"
    """The address to be found at; 0.0.0.0 for all of this machine, which others can reach."""
    allow_host: tuple[str, ...] = ()
    """Names, without a port, by which it may be called; those of this machine if nobody else reaches it, else any."""
    token_file: Path | None = None
    """A file with a token that requests must carry; or set CENTERMASK_TOKEN."""
    device: str = "auto"
    """cpu, cuda, or what there is."""
    precision: Precision | None = None
    """In what weights compute; fp32 if not given. An exported file's precision is its own."""
    compile: bool = False
    """Compile weights with torch.compile: slow at first, faster afterwards."""
    short_side: int | None = None
    """Scale pictures so that their short side is this; as in training if not given."""
    score_threshold: float | None = None
    """Leave out objects with a lower score, unless a request says otherwise."""
    max_detections: int | None = None
    """Keep this many objects of a picture, best first."""
    batch: int = 8
    """Pictures in one run of the network; only pictures of one size share a run."""
    window_ms: float = 5.0
    """How long the first picture of a run waits for others, in milliseconds."""
    queue: int = 64
    """Pictures in work at once; who comes then is answered 429."""
    max_body_mb: float = 20.0
    """Megabytes of a request's body."""
    max_pixels_mp: float = 50.0
    """Megapixels of a picture."""
    head_seconds: float = 10.0
    """In which a request's headers must have come."""
    body_seconds: float = 10.0
    """In which its body must have come."""
    request_seconds: float = 30.0
    """In which it must have been answered."""
    drain_seconds: float = 30.0
    """For what has begun when it is told to stop."""
    limit_connections: int = 256
    """Connections that may be open at once."""
    log_requests: bool = False
    """Write a line for each request."""

    def run(self) -> int:
        from centermask.predict import Predictor
        from centermask.serve import Settings
        from centermask.serve.run import Address, read_token, serve

        settings = Settings(
            name=Path(self.weights).name, batch=self.batch, window_seconds=self.window_ms / 1000, queue=self.queue,
            body_bytes=_millions("--max-body-mb", self.max_body_mb),
            pixels=_millions("--max-pixels-mp", self.max_pixels_mp), body_seconds=self.body_seconds,
            request_seconds=self.request_seconds, token=read_token(self.token_file, os.environ), hosts=self.allow_host,
        )  # fmt: skip
        address = Address(host=self.host, port=self.port, head_seconds=self.head_seconds,
                          connections=self.limit_connections, drain_seconds=self.drain_seconds,
                          log_requests=self.log_requests)  # fmt: skip
        serve(lambda: Predictor(self.weights, device=_device(self.device), short_side=self.short_side,
                                score_threshold=self.score_threshold, max_detections=self.max_detections,
                                precision=self.precision, compile=self.compile),
              settings, address)  # fmt: skip
        return 0


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a network as one file for ONNX Runtime, OpenVINO or torch.export, from picture to boxes, scores and masks.

    The file is compared with PyTorch before it is put in place.
    """

    weights: Positional[str]
    """A weights file, or bundled weights: nano, plus-nano."""
    out: Path
    """The file: .onnx, .xml (OpenVINO, with a .bin beside it) or .pt2 (torch.export)."""
    format: Literal["onnx", "openvino", "torch-export"] | None = None
    """As the ending of --out says if not given."""
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    """In what the file computes; int8 needs --calibration."""
    dynamic: bool = True
    """--no-dynamic takes one picture at a time, on a plane of one size."""
    size: tuple[int, int] | None = None
    """Height and width of that plane; as the network was tested if not given."""
    pixels: Literal["uint8", "float32"] = "uint8"
    """Kind of numbers in which pictures go in, from 0 to 255."""
    full_masks: bool = False
    """Give masks of the input's size, too."""
    max_detections: int | None = None
    """Objects that a picture may have, the best by score; as in training if not given."""
    licence: str | None = None
    """What the file says about its use; what its weights say if not given."""
    calibration: str | None = None
    """Pictures for int8, like those the network shall see: a folder, FOLDER or FOLDER:NAME of a data set."""
    calibration_pictures: int = 100
    """How many of them are used, evenly spread."""
    pictures: str | None = None
    """Compare with PyTorch on these: a folder, file or pattern; drawn ones if not given."""

    def run(self) -> int:
        from rich.console import Console

        from centermask.export.place import parts
        from centermask.export.run import export_model
        from centermask.export.table import format_parity

        export_model(
            self.weights, self.out, format=self.format, precision=self.precision, dynamic=self.dynamic, size=self.size,
            pixels=self.pixels, full_masks=self.full_masks, max_detections=self.max_detections, licence=self.licence,
            calibration=self.calibration, calibration_pictures=self.calibration_pictures, pictures=self.pictures,
            on_step=lambda step: print(step, file=sys.stderr),
            on_parity=lambda parity: Console().print(format_parity(parity)),
        )  # fmt: skip
        files = parts(self.out)[::-1]
        size = sum(file.stat().st_size for file in files) / 1e6
        print(f"{' and '.join(map(str, files))}: {size:.1f} MB; use it like weights: --weights {self.out}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measure how long predictions take on this machine, and where the time goes: files side by side."""

    weights: Positional[tuple[str, ...]]
    """Weights files or exported ones, or bundled weights: nano, plus-nano."""
    images: str | None = None
    """Pictures: a file, folder or pattern; drawn ones if not given."""
    short_side: int | None = None
    """Scale pictures so; as in training if not given."""
    rounds: int = 10
    """Batches that each file predicts, in turns."""
    batch: int = 1
    """Pictures in one run of the network."""
    threads: int | None = None
    """Cores to compute with; as each engine chooses if not given."""
    precision: tuple[Precision, ...] = ()
    """In what weights compute, one row for each; fp32 if not given."""
    compile: bool = False
    """Compile weights with torch.compile."""
    device: str = "auto"
    """cpu, cuda, or what there is."""
    memory: bool = True
    """--no-memory saves the process that each file's peak memory is measured in."""
    json: Path | None = None
    """Write the figures here."""

    def run(self) -> int:
        from rich.console import Console

        from centermask.bench import bench, format_bench
        from centermask.files import check_places, write_whole

        check_places(self.json)
        if not self.weights:
            raise UserError(
                f"nothing to measure; name weights or exported files, or bundled weights: {', '.join(BUNDLED)}"
            )
        with _progress() as progress:
            task = progress.add_task("measuring", total=None)
            found = bench(
                self.weights, images=self.images, short_side=self.short_side, rounds=self.rounds, batch=self.batch,
                threads=self.threads, precisions=self.precision, compile=self.compile, device=_device(self.device),
                memory=self.memory,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )  # fmt: skip
        Console().print(format_bench(found))
        if self.json:
            write_whole(self.json, json.dumps(found.to_json(), indent=2).encode())
        return 0


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Predict on the astronaut and the cat that scikit-image ships, with the bundled weights."""

    out: Path = Path("centermask-demo")
    """Folder for the overlays and the JSON."""
    video: bool = False
    """Also make a clip in which they slide past each other, and follow what is in it; needs PyAV."""

    def run(self) -> int:
        from centermask.demo import demo_clip, demo_pictures
        from centermask.predict import Predictor, predict_files

        paths = demo_pictures(self.out)
        predictor = Predictor(DEFAULT_WEIGHTS)
        failures = predict_files(
            predictor, paths, out=self.out / "overlays", json_file=self.out / "instances.json", on_done=_tell_instances
        )
        print(f"pictures: {self.out}\noverlays: {self.out / 'overlays'}\nJSON: {self.out / 'instances.json'}")
        if self.video:
            clip = self.out / "clip.mp4"
            demo_clip(paths, clip)
            Predict(images=(str(clip),), out=self.out / "overlays", json=self.out / "clip.jsonl", track=True).run()
        return _tell_failures(failures, len(paths))


@dataclass(frozen=True, kw_only=True)
class Gems:
    """Write a drawn set of overlapping stones in COCO format: no download, exact masks."""

    out: Positional[Path]
    """A new folder."""
    images: int = 200
    """Pictures, a fifth of them for validation."""
    overlap: float = 0.3
    """Share of stones that lie on another one on purpose: 0 to 1."""
    size: int = 320
    """Side of the pictures in pixels."""
    stones: tuple[int, int] = (6, 20)
    """Fewest and most stones in a picture."""
    seed: int = 0
    """The same seed draws the same set."""

    def run(self) -> int:
        from centermask.data.gems import GemRecipe, write_gems
        from centermask.size import Size

        recipe = GemRecipe(size=Size(self.size, self.size), stones=self.stones, overlap=self.overlap)
        with _progress() as progress:
            task = progress.add_task("drawing", total=self.images)
            write_gems(self.out, images=self.images, recipe=recipe, seed=self.seed,
                       on_progress=lambda done: progress.update(task, completed=done))  # fmt: skip
        print(f"{self.images} pictures in {self.out}; train with: centermask train {self.out} --out runs/gems")
        return 0


@dataclass(frozen=True, kw_only=True)
class ImportPublished:
    """Convert a checkpoint in the published format (a pickle of plain tensors) into ours."""

    weights: Positional[Path]
    """The .pth file."""
    out: Positional[Path]
    """The .safetensors file to write."""
    preset: str
    """Which network it holds, such as centermask-v57."""

    def run(self) -> int:
        from centermask.checkpoint import save_model
        from centermask.model.presets import preset
        from centermask.published import NOTICE, import_published

        model = import_published(self.weights, preset(self.preset))
        save_model(model, self.out, notes={"origin": self.weights.name, "licence": NOTICE})
        print(f"{self.out}: {self.preset}, {sum(value.numel() for value in model.parameters()):,} parameters\n{NOTICE}")
        return 0


@dataclass(frozen=True, kw_only=True)
class ImportBackbone:
    """Convert a backbone's weights (a pickle of plain tensors) for `train --backbone-weights`."""

    weights: Positional[Path]
    """The .pth or .pt file."""
    out: Positional[Path]
    """The .safetensors file to write."""
    backbone: str
    """timm:mobilenetv2_100, timm:resnet50, vovnet39, ..."""
    bgr: bool = False
    """The file's network took its colours as blue, green, red."""

    def run(self) -> int:
        from centermask.checkpoint import save_backbone
        from centermask.published import import_backbone

        tensors = import_backbone(self.weights, self.backbone, bgr=self.bgr)
        save_backbone(tensors, self.out, self.backbone, bgr=self.bgr)
        print(f"{self.out}: {self.backbone}, {len(tensors)} tensors")
        return 0


@dataclass(frozen=True, kw_only=True)
class Presets:
    """List the named networks."""

    def run(self) -> int:
        from rich.console import Console
        from rich.table import Column, Table

        from centermask.model.presets import PRESETS, build

        table = Table(Column("preset", no_wrap=True), "backbone", "FPN", "test size", "parameters")
        for name, config in PRESETS.items():
            count = sum(value.numel() for value in build(config).parameters())
            table.add_row(name, config.backbone, str(config.fpn_channels),
                          f"{config.test_short_side}/{config.test_long_side}", f"{count:,}")  # fmt: skip
        Console().print(table)
        return 0


DataCommand = Annotated[DataCheck, subcommand("check")] | Annotated[DataConvert, subcommand("convert")]


@dataclass(frozen=True, kw_only=True)
class Data:
    """Check annotated pictures, or convert them."""

    what: OmitSubcommandPrefixes[DataCommand]

    def run(self) -> int:
        return self.what.run()


Command = (
    Annotated[OmitArgPrefixes[Train], subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Compare, subcommand("compare")]
    | Annotated[Data, subcommand("data")]
    | Annotated[Predict, subcommand("predict")]
    | Annotated[Serve, subcommand("serve")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Bench, subcommand("bench")]
    | Annotated[Demo, subcommand("demo")]
    | Annotated[Gems, subcommand("gems")]
    | Annotated[ImportPublished, subcommand("import-published")]
    | Annotated[ImportBackbone, subcommand("import-backbone")]
    | Annotated[Presets, subcommand("presets")]
    | Annotated[Doctor, subcommand("doctor")]
)
AnyCommand = (
    Train
    | Evaluate
    | Compare
    | Data
    | Predict
    | Serve
    | Export
    | Bench
    | Demo
    | Gems
    | ImportPublished
    | ImportBackbone
    | Presets
    | Doctor
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code: 0 for success, 2 for what the user can mend."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(parse(arguments).run())
    except UserError as error:
        print(f"centermask: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except BrokenPipeError:  # whoever read the output has gone: `centermask predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        print("centermask: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def parse(arguments: list[str]) -> AnyCommand:
    """The command that arguments stand for; a YAML file's settings become its defaults.

    Raises:
        UserError: the YAML file cannot be used.
    """
    file = _value_after("--file", arguments)
    if arguments[:1] == ["train"] and file:
        arguments = ["train", *_flags(read_settings(Path(file))), *arguments[1:]]  # of two flags the last one wins
    return tyro.cli(Command, args=arguments, prog="centermask", description="Instance segmentation with CenterMask.")


def read_settings(path: Path) -> TrainConfig:
    """Training settings from a YAML file.

    Raises:
        UserError: the file is missing or no YAML, a key is unknown, or a value cannot be used.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected settings as 'name: value' lines")
    content.pop("data", None)  # a run's own config.yaml names its data too
    try:
        return TrainConfig.from_dict({str(key): _number(value) for key, value in content.items()}, "the file")
    except (UserError, OverflowError) as error:
        raise UserError(f"{path}: {error}") from None


def _number(value: object) -> object:
    """YAML takes 4e-4 for text, because it has no dot: nobody means that."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _flags(settings: TrainConfig) -> list[str]:
    """Settings as the flags that say the same, as far as they differ from the defaults."""
    flags, defaults = [], TrainConfig().to_dict()
    for key, value in settings.to_dict().items():
        name = key.replace("_", "-")
        if value == defaults[key]:
            continue
        if isinstance(defaults[key], bool):
            flags.append(f"--{name}" if value else f"--no-{name}")
        else:
            flags += [f"--{name}", *(str(one) for one in (value if isinstance(value, list) else [value]))]
    return [*flags, "--seed", str(settings.seed)]  # after a flag of any length, or it would swallow what stands next


def _value_after(flag: str, arguments: list[str]) -> str | None:
    for i, argument in enumerate(arguments):
        if argument == flag and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith(f"{flag}="):
            return argument.removeprefix(f"{flag}=")
    return None


def _evaluation_set(data: str, annotations: Path | None, images: Path | None, on_error: OnError) -> "Evaluable":
    """The val split of a data argument, or the only one it has."""
    from centermask.data.sources import open_data, skipped

    split = open_data(data, val_annotations=annotations, images=images, on_error=on_error, evaluation_only=True)
    _tell_skipped(skipped(split))
    chosen = split.val if split.val is not None else split.train
    if chosen is None or not len(chosen):
        raise UserError(f"{data} has no annotated picture; give --annotations FILE")
    return chosen


def _opened(weights: str, chosen: "Evaluable", asked: Evaluate | Compare) -> "Predictor | TiledPredictor":
    """A network that knows at least one class of a set."""
    from centermask.evaluate import shared_categories
    from centermask.predict import Predictor
    from centermask.tiles import TiledPredictor

    plain = Predictor(weights, device=_device(asked.device), score_threshold=0.0, short_side=asked.short_side,
                      max_detections=asked.max_detections, precision=asked.precision,
                      compile=asked.compile)  # fmt: skip
    try:
        shared_categories(plain.class_names, chosen)
    except UserError as fault:
        raise UserError(f"{weights}: {fault}") from None
    return TiledPredictor(plain, tile=asked.tile, overlap=asked.overlap) if asked.tile is not None else plain


def _evaluated(
    predictor: "Predictor | TiledPredictor", name: str, chosen: "Evaluable", asked: Evaluate | Compare
) -> "EvaluatedSet":
    """A set predicted by a network, counted and analysed."""
    from centermask.evaluate import predict_set
    from centermask.report import count_set

    with _progress() as progress:
        task = progress.add_task("predicting", total=len(chosen))
        rows = predict_set(predictor, chosen, on_progress=lambda done, _: progress.update(task, completed=done))
    limit = max(100, asked.max_detections or predictor.model.config.max_detections)
    return count_set(name, chosen, rows, limit)


def _speaks() -> bool:
    """Whether this is the first process of a run, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _leave_the_others() -> None:
    """Close what a run's processes talk through: at the end of Python its threads may abort a run that is done."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _device(name: str) -> str | None:
    return None if name == "auto" else name


def _millions(flag: str, value: float) -> int:
    if not 0 < value < 1e6:  # neither is "not a number"
        raise UserError(f"{flag} must be more than 0, not {value}")
    return max(1, round(value * 1e6))


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # What is printed stays on stdout: it may go into a file.
    return Progress(console=console, transient=True, disable=not console.is_terminal,
                    redirect_stdout=False, redirect_stderr=False)  # fmt: skip


def _tell_instances(path: Path, instances: "Instances") -> None:
    print(f"{path}: {len(instances)} found")
    for name, score, box in zip(instances.class_names, instances.scores, instances.boxes, strict=True):
        print(f"  {name} {score:.2f} [{', '.join(f'{side:.0f}' for side in box)}]")


def _tell_frame(found: "FoundFrame") -> None:
    """Of a video whose answer goes nowhere else: a line for each frame that was predicted."""
    if found.predicted:
        names = zip(found.instances.class_names, found.instances.scores, strict=True)
        objects = ", ".join(f"{name} {score:.2f}" for name, score in names)
        print(f"{found.frame.time:.2f} s: {objects or 'nothing'}", flush=True)


def _tell_video(summary: "VideoSummary", json_file: Path | None) -> int:
    info = summary.info
    parts = [f"{info.name}: {summary.frames} frames in {summary.seconds:.1f} s",
             f"{summary.frames / summary.seconds:.1f} a second"]  # fmt: skip
    if summary.predicted < summary.frames:
        parts.append(f"{summary.predicted} of them predicted")
    if summary.dropped:
        parts.append(f"{summary.dropped} left out because they came too fast")
    if summary.tracks is not None:
        parts.append(f"{summary.tracks} objects followed")
    print(", ".join(parts))
    for what, path in (("overlay", summary.video), ("JSON lines", json_file)):
        if path is not None:
            print(f"{what}: {path}")
    for line in [summary.trouble] if summary.trouble else summary.notes:
        print(f"centermask: {line}", file=sys.stderr)
    if summary.trouble:
        return FAILED
    if not summary.interrupted or info.live:
        return 0
    print("centermask: interrupted; what was found until then is written", file=sys.stderr)
    return INTERRUPTED


@contextmanager
def _ending_gently() -> Iterator[None]:
    """Being asked to end (SIGTERM) is taken like Ctrl-C, so that files are finished."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell_failures(failures: Sequence[tuple[Path, str]], total: int) -> int:
    for _, reason in failures:
        print(f"centermask: {reason}", file=sys.stderr)
    if failures and total > 1:
        print(f"centermask: {len(failures)} of {total} pictures could not be used", file=sys.stderr)
    return FAILED if failures else 0


def _tell_skipped(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"skipped: {line}", file=sys.stderr)
    if lines:
        print(f"{len(lines)} bad entries skipped", file=sys.stderr)
