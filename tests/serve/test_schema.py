"""The service does what its OpenAPI document says, whatever is sent: found out by schemathesis."""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from schemathesis import Case
from schemathesis.specs.openapi.checks import negative_data_rejection

from centermask.predict import Predictor
from centermask.serve import Settings, make_app
from tests.serve import schema_hooks  # noqa: F401 (tells schemathesis what a picture is)
from tests.serve.made import opened

EXAMPLES = os.environ.get("SCHEMA_EXAMPLES")
"""For each route, others each time; if not given, a few that are the same each time."""
open_schema = schemathesis.openapi.from_asgi("/openapi.json", make_app(Predictor(opened())))
locked_schema = schemathesis.openapi.from_asgi(
    "/openapi.json", make_app(Predictor(opened()), Settings(token="open sesame"))
)
bounded = settings(max_examples=int(EXAMPLES or "12"), derandomize=EXAMPLES is None, deadline=None,
                   suppress_health_check=list(HealthCheck))  # fmt: skip


@pytest.fixture(autouse=True)
def no_words_of_other_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis also tries numbers and words from the source of whatever modules other tests have loaded."""
    if EXAMPLES is None:
        monkeypatch.setattr(providers, "_get_local_constants", providers.Constants)


@open_schema.parametrize()
@bounded
def test_every_answer_is_as_documented(case: Case) -> None:
    case.call_and_validate()


@locked_schema.parametrize()
@bounded
def test_every_answer_is_as_documented_behind_a_token(case: Case) -> None:
    """What is wrong is left to the test above: a case may be so only by its missing token, which is added here."""
    token = {"Authorization": "Bearer open sesame"}
    case.call_and_validate(headers=token, excluded_checks=[negative_data_rejection])


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
