"""PyAV, which reads and writes videos; imported only when a video is asked for."""

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
