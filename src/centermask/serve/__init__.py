"""A network behind an address: ``centermask serve``, or ``make_app`` for an ASGI server of your own.

>>> from centermask import Predictor                             # doctest: +SKIP
>>> from centermask.serve import Settings, make_app              # doctest: +SKIP
>>> app = make_app(Predictor("plus-nano"), Settings(queue=16))   # doctest: +SKIP
"""

from centermask.errors import UserError

try:
    import fastapi  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise UserError(f"the service needs fastapi and uvicorn ({error}); pip install 'centermask[serve]'") from error

from centermask.serve.app import make_app
from centermask.serve.settings import Settings

__all__ = ["Settings", "make_app"]
