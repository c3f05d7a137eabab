"""The service does what its OpenAPI document says, whatever is sent: found out by schemathesis."""

import os

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case

from centermask.predict import Predictor
from centermask.serve import Settings, make_app
from tests.serve import schema_hooks  # noqa: F401 (tells schemathesis what a picture is)
from tests.serve.made import opened

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "12"))
"""For each route; more by hand."""
open_schema = schemathesis.openapi.from_asgi("/openapi.json", make_app(Predictor(opened())))
locked_schema = schemathesis.openapi.from_asgi(
    "/openapi.json", make_app(Predictor(opened()), Settings(token="open sesame"))
)
bounded = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@open_schema.parametrize()
@bounded
def test_every_answer_is_as_documented(case: Case) -> None:
    case.call_and_validate()


@locked_schema.parametrize()
@bounded
def test_every_answer_is_as_documented_behind_a_token(case: Case) -> None:
    case.call_and_validate(headers={"Authorization": "Bearer open sesame"})


def test_the_document_names_every_refusal() -> None:
    predict = locked_schema.raw_schema["paths"]["/predict"]["post"]
    assert set(predict["responses"]) == {*["200", "400", "401", "403", "408", "413", "415", "422", "429", "500", "503"]}
    for status, answer in predict["responses"].items():
        if status != "200":
            assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
    assert list(predict["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]) == ["file"]
    assert predict["security"] == [{"HTTPBearer": []}]
    assert "security" not in open_schema.raw_schema["paths"]["/predict"]["post"]
    assert "HTTPValidationError" not in open_schema.raw_schema["components"]["schemas"]
