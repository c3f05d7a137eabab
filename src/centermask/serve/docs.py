"""The routes as a plain page, made from the OpenAPI document. FastAPI's own would fetch its parts from elsewhere."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from markupsafe import Markup, escape

STYLE = """\
:root { color-scheme: light dark; --ink: #1b1c22; --soft: #5a5d68; --paper: #f6f6f4; --card: #fff; --rule: #dcdcd8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ecedf1; --soft: #a6a9b6; --paper: #121318; --card: #1b1d24; --rule: #363a46; }
}
* { box-sizing: border-box; }
body {
  max-width: 58rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { margin: 0; font-size: 1.7rem; letter-spacing: -0.02em; }
h1 small, h2 small { color: var(--soft); font-size: 0.6em; font-weight: 500; letter-spacing: 0; }
h2 { margin: 0 0 0.4rem; font-size: 1.15rem; }
h3 { margin: 1.1rem 0 0.3rem; color: var(--soft); font-size: 0.85rem; }
p { margin: 0.4rem 0; }
a { color: inherit; text-underline-offset: 0.15em; }
code { font: 0.92em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
p code, td code {
  padding: 0.05em 0.3em; border: 1px solid var(--rule); border-radius: 0.3em; background: var(--paper);
}
body > h2 { margin: 2.2rem 0 0; }
section {
  margin-top: 1.2rem; padding: 1.1rem 1.3rem 1.2rem; overflow-x: auto;
  border: 1px solid var(--rule); border-radius: 0.8rem; background: var(--card);
}
table { width: 100%; border-collapse: collapse; }
th { padding: 0.2rem 1rem 0.2rem 0; color: var(--soft); font-size: 0.85rem; font-weight: 500; text-align: left; }
td { padding: 0.35rem 1rem 0.35rem 0; border-top: 1px solid var(--rule); vertical-align: top; }
@media (min-width: 45rem) { th:first-child { width: 13rem; } }
"""
HEAD = Markup(
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>centermask</title>'
    '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="docs.css">'
    "<h1>centermask <small>{version}</small></h1>"
    '<p>{about} <a href="./">A page</a> to do it by hand; <a href="openapi.json">openapi.json</a> has all of this for'
    " programs.</p>"
)
ROUTE = Markup("<h2><code>{method} {path}</code></h2><p>{summary}.</p>{description}")
SHAPE = Markup('<h2 id="{name}"><code>{name}</code></h2>{description}')
SHAPES = Markup("<h2>What bodies hold</h2>")
CODE = Markup("<code>{}</code>")
LINK = Markup('<a href="#{name}"><code>{name}</code></a>')
FORM = "multipart/form-data"


def docs_page(document: dict[str, Any]) -> str:
    """HTML without script; its style is a file of its own, since the page's policy allows no other."""
    routes = [(path, method, route) for path, routes in document["paths"].items() for method, route in routes.items()]
    head = HEAD.format(version=document["info"]["version"], about=document["info"]["description"])
    sections = [_section(_route(*each)) for each in routes]
    shapes = [_section(_shape(name, schema)) for name, schema in document["components"]["schemas"].items()]
    return str(_join([head, *sections, SHAPES, *shapes]))


def _route(path: str, method: str, route: dict[str, Any]) -> Iterator[Markup]:
    yield ROUTE.format(method=method.upper(), path=path, summary=route["summary"],
                       description=_prose(route.get("description", "")))  # fmt: skip
    given = [(CODE.format(one["name"]), _kind(one["schema"]), _default(one["schema"]))
             for one in route.get("parameters", [])]  # fmt: skip
    body = [(CODE.format(kind), _sent(kind, one["schema"])) for kind, one in _content(route.get("requestBody", {}))]
    answers = [(CODE.format(status), one["description"], _shapes(one)) for status, one in route["responses"].items()]
    yield _table("Query", ("name", "values", "if not given"), given)
    yield _table("Body", ("Content-Type", "what is sent"), body)
    yield _table("Answers", ("status", "meaning", "body"), answers)


def _shape(name: str, schema: dict[str, Any]) -> Iterator[Markup]:
    yield SHAPE.format(name=name, description=_prose(schema.get("description", "")))
    yield _table("", ("field", "values"), [(CODE.format(key), _kind(one)) for key, one in _fields(schema)])


def _fields(schema: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    return schema.get("properties", {}).items()


def _content(part: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    return part.get("content", {}).items()


def _sent(kind: str, schema: dict[str, Any]) -> Markup:
    """What a body of a type holds."""
    if kind != FORM:
        return _kind(schema)
    fields = [Markup("{} ({})").format(CODE.format(name), _kind(one)) for name, one in _fields(schema)]
    return Markup("a form with the field {}").format(Markup(" and ").join(fields))


def _shapes(answer: dict[str, Any]) -> Markup:
    """What the bodies of an answer hold, type by type; their types are named where they are no JSON."""
    return Markup(" or ").join(
        _kind(one["schema"]) if kind == "application/json" else CODE.format(kind)
        for kind, one in _content(answer)
        if one["schema"]
    )


def _kind(schema: dict[str, Any]) -> Markup:
    """A schema in words."""
    match schema:
        case {"$ref": name}:
            return LINK.format(name=name.rpartition("/")[2])
        case {"anyOf": kinds}:
            return Markup(" or ").join(map(_kind, kinds))
        case {"enum": values}:
            return Markup(" or ").join(map(CODE.format, values))
        case {"const": value}:
            return CODE.format(value)
        case {"type": "array", "items": {"type": kind}}:
            return Markup("list of {}s").format(kind)
        case {"type": "array", "items": one}:
            return Markup("list of {}").format(_kind(one))
        case {"format": "binary"}:
            return escape("the bytes of a picture")
        case _:
            bounds = [f"{word} {schema[key]:g}" for word, key in (("from", "minimum"), ("to", "maximum"))
                      if key in schema]  # fmt: skip
            return escape(" ".join([schema.get("type", ""), *bounds]))


def _default(schema: dict[str, Any]) -> Markup:
    return CODE.format(schema["default"]) if "default" in schema else Markup("")


def _prose(text: str) -> Markup:
    """Paragraphs in which what stands between backticks is code.

    >>> _prose("Of `a`\\nand b.\\n\\n`<c>`")
    Markup('<p>Of <code>a</code>\\nand b.</p><p><code>&lt;c&gt;</code></p>')
    """
    coded = re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text)))
    return _join(Markup(f"<p>{one}</p>") for one in coded.split("\n\n") if one)


def _table(title: str, heads: Iterable[str], rows: Sequence[Sequence[str]]) -> Markup:
    """Nothing where there are no rows."""
    if not rows:
        return Markup("")
    head = _join(Markup("<th>{}</th>").format(one) for one in heads)
    lines = [Markup("<tr>{}</tr>").format(_join(map(Markup("<td>{}</td>").format, row))) for row in rows]
    above = Markup("<h3>{}</h3>").format(title) if title else Markup("")
    return Markup("{}<table><tr>{}</tr>{}</table>").format(above, head, _join(lines))


def _section(parts: Iterable[Markup]) -> Markup:
    return Markup("<section>{}</section>").format(_join(parts))


def _join(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
