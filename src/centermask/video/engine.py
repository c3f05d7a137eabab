"""PyAV, which reads and writes videos; imported only when a video is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from centermask.errors import UserError


def import_av(what: str) -> ModuleType:
    """PyAV, needed for ``what``.

    Raises:
        UserError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UserError(f"{what}: videos need PyAV ({error}); pip install 'centermask[video]'") from error
    return av


def reason(error: Exception) -> str:
    """What went wrong in a few words, without the number and the file name that PyAV puts around it."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes to a file, and nothing else, whose errors would be taken for those of the file.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        yield
    except BrokenPipeError:  # whoever reads it went away, which is no error
        raise
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({reason(error)}); free some space or choose another place"
        ) from None
