"""The service as an ASGI app: its routes and their OpenAPI document."""

import hmac
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException

from centermask import __version__
from centermask.config import check_keys
from centermask.errors import UserError
from centermask.predict import Predictor
from centermask.serve.answers import CocoFile, Error, Format, Found, Health, Limits, ModelInfo, refusal
from centermask.serve.docs import STYLE, docs_page
from centermask.serve.door import FIELD, MAX_PARTS
from centermask.serve.gate import Gate
from centermask.serve.metrics import CONTENT_TYPE, Metrics
from centermask.serve.service import Asked, Service
from centermask.serve.settings import Settings

PAGE = Path(__file__).parent / "page"
"""The files of the web page, served as they are."""
BINARY = {"type": "string", "format": "binary"}
KINDS = ("image/jpeg", "image/png", "image/webp", "image/gif")
FORM = {"type": "object", "properties": {FIELD: BINARY}, "required": [FIELD], "maxProperties": MAX_PARTS}
BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": FORM, "encoding": {FIELD: {"contentType": ", ".join(KINDS)}}},
        **{kind: {"schema": BINARY} for kind in KINDS},
    },
}
"""Written by hand: the body is read by us, within limits, and FastAPI does not know of it. Bytes decide, not types."""
ANY_TIME = {400: "The host name is not served, or the request is broken", 503: "Too many connections, or closing"}
FIGURES: dict[int | str, dict[str, Any]] = {
    200: {"description": "All figures", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
REFUSALS = {
    400: "The picture or the form is broken, or the host name is not served",
    403: "Asked by a page of another site",
    408: "The body came too slowly",
    413: "Too many bytes or pixels",
    415: "No picture of a known format",
    422: "A parameter, or the form, is not as it should be",
    429: "Too many pictures in work, or too many bytes of bodies or answers; Retry-After says when to come again",
    500: "A fault of the service; its log says more",
    503: "No answer in time",
}


def make_app(predictor: Predictor, settings: Settings | None = None) -> FastAPI:
    """A service around a predictor, for any ASGI server; it may be mounted in another app.

    What an app cannot see is left to the server: connections that never send a request, those that do not read their
    answer, and how many there are. ``centermask serve`` limits these, too.
    """
    return app_of(Service(predictor, settings or Settings(), Metrics()))


def app_of(service: Service) -> FastAPI:
    """The routes of a service."""
    settings, metrics = service.settings, service.metrics
    app = FastAPI(title="centermask", version=__version__, description="Finds the objects of pictures.",
                  docs_url=None, redoc_url=None, redirect_slashes=False)  # fmt: skip
    guards = [Depends(_token_check(settings.token))] if settings.token else []
    locked = {401: "The token is missing or wrong"} if settings.token else {}
    info = _describe(service.predictor, settings)

    @app.post(
        "/predict",
        summary="Find the objects of a picture",
        response_class=Response,
        responses=_predict_responses() | _errors(REFUSALS | locked),
        openapi_extra={"requestBody": BODY},
        dependencies=[*guards, Depends(_only("threshold", "max_detections", "format"))],
    )
    async def predict(
        request: Request,
        threshold: Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)] = info.score_threshold,
        max_detections: Annotated[int, Query(ge=1, le=info.max_detections)] = info.max_detections,
        format: Format = "json",
    ) -> Response:
        """The picture is the body, or field `file` of a form: JPEG, PNG, WebP, BMP, TIFF or GIF.

        `threshold` leaves out objects with a lower score, `max_detections` keeps the best. `format` is `json` for boxes
        and run-length coded masks, `coco` for the same as a COCO file, `png` for the picture with the objects drawn.
        """
        return await service.answer(request, Asked(threshold, max_detections, format))

    @app.get("/model", summary="The network and the limits", response_description="What is served",
             responses=_errors(ANY_TIME | locked), dependencies=guards)  # fmt: skip
    async def model() -> ModelInfo:
        return info

    @app.get(
        "/healthz", summary="Whether the service answers", response_description="It does", responses=_errors(ANY_TIME)
    )
    async def healthz() -> Health:
        return Health()

    @app.get("/metrics", summary="Figures for Prometheus", response_class=Response,
             responses=FIGURES | _errors(ANY_TIME | locked), dependencies=guards)  # fmt: skip
    async def figures() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    _add_pages(app)
    _add_refusals(app)
    app.add_middleware(Gate, hosts=settings.hosts, metrics=metrics)
    return app


def _describe(predictor: Predictor, settings: Settings) -> ModelInfo:
    return ModelInfo(
        weights=settings.name,
        class_names=list(predictor.class_names),
        category_ids=list(predictor.category_ids or range(1, len(predictor.class_names) + 1)),
        score_threshold=predictor.score_threshold,
        max_detections=predictor.max_detections or predictor.model.config.max_detections,
        short_side=predictor.short_side,
        long_side=predictor.long_side,
        device=predictor.device,
        version=__version__,
        limits=Limits(body_bytes=settings.body_bytes, pixels=settings.pixels, seconds=settings.request_seconds),
        token_required=settings.token is not None,
    )


def _token_check(token: str) -> Any:
    """What lets only those pass who know the token."""
    scheme = HTTPBearer(auto_error=False, description="The token that the service was started with.")

    async def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(scheme)]) -> None:
        if given is None or not hmac.compare_digest(given.credentials.encode(), token.encode()):
            message = "the token is missing or wrong; send the header 'Authorization: Bearer TOKEN'"
            raise HTTPException(401, message, {"WWW-Authenticate": "Bearer"})

    return check


def _only(*known: str) -> Any:
    """What refuses parameters that mean nothing: a misspelt threshold would seem to have been heard."""

    async def check(request: Request) -> None:
        try:
            check_keys(request.query_params, list(known), "the address")
        except UserError as error:
            raise HTTPException(422, str(error)) from None

    return check


def _predict_responses() -> dict[int | str, dict[str, Any]]:
    return {
        200: {"model": Found | CocoFile, "description": "What was found", "content": {"image/png": {"schema": BINARY}}}
    }


def _errors(refusals: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """Refusals as an OpenAPI document has them."""
    return {status: {"model": Error, "description": text} for status, text in sorted(refusals.items())}


def _add_pages(app: FastAPI) -> None:
    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> Response:
        start = PAGE / "index.html"
        return FileResponse(start) if start.is_file() else refusal(404, "there is no page here; see /docs")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(docs_page(app.openapi()))

    @app.get("/docs.css", include_in_schema=False)
    async def docs_style() -> Response:
        return Response(STYLE, media_type="text/css")

    if PAGE.is_dir():
        app.mount("/page", StaticFiles(directory=PAGE))


def _add_refusals(app: FastAPI) -> None:
    """All errors in one form."""

    @app.exception_handler(AnyHTTPException)
    async def refuse(_: Request, error: AnyHTTPException) -> JSONResponse:
        return refusal(error.status_code, _sentence(error), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def refuse_values(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [f"{one['loc'][-1]}: {one['msg'][:1].lower()}{one['msg'][1:]}" for one in error.errors()]
        return refusal(422, f"{'; '.join(faults)}; see /docs")


def _sentence(error: AnyHTTPException) -> str:
    match error.status_code:
        case 404:
            return "there is nothing at this address; see /docs"
        case 405:
            return "this address does not take that method; see /docs"
        case _:
            return str(error.detail)
