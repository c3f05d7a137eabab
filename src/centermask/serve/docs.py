"""The routes as a plain page, made from the OpenAPI document. FastAPI's own would fetch its parts from elsewhere."""

from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

HEAD = Markup(
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>centermask</title>'
    '<meta name="viewport" content="width=device-width"><h1>centermask {version}</h1>'
    '<p>The whole of it for programs: <a href="openapi.json">openapi.json</a>.</p>'
)
ROUTE = Markup("<h2><code>{method} {path}</code></h2><p>{summary}.</p><p>{description}</p>")
ITEM = Markup("<li><code>{name}</code>: {meaning}</li>")


def docs_page(document: dict[str, Any]) -> str:
    """HTML without style or script."""
    routes = [(path, method, route) for path, routes in document["paths"].items() for method, route in routes.items()]
    parts = [part for path, method, route in routes for part in _route(path, method, route)]
    return str(HEAD.format(version=document["info"]["version"]) + Markup("").join(parts))


def _route(path: str, method: str, route: dict[str, Any]) -> Iterator[Markup]:
    yield ROUTE.format(method=method.upper(), path=path, summary=route["summary"],
                       description=route.get("description", ""))  # fmt: skip
    parameters = [ITEM.format(name=one["name"], meaning=_meaning(one["schema"])) for one in route.get("parameters", [])]
    answers = [ITEM.format(name=status, meaning=one["description"]) for status, one in route["responses"].items()]
    yield Markup("<ul>{}</ul>").format(Markup("").join(parameters))
    yield Markup("<p>Answers</p><ul>{}</ul>").format(Markup("").join(answers))


def _meaning(schema: dict[str, Any]) -> str:
    """A parameter's schema in words."""
    values = " | ".join(schema.get("enum", [])) or schema.get("type", "")
    bounds = [f"{word} {schema[key]:g}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in schema]
    return " ".join([values, *bounds, f"({schema['default']} if not given)"])
