"""Tells schemathesis what a picture is: ``SCHEMATHESIS_HOOKS=tests.serve.schema_hooks schemathesis run ...``.

An OpenAPI document cannot say that bytes must be a picture, so any bytes would count as valid.
"""

import schemathesis
from hypothesis import strategies as st

from tests.serve.made import encoded

for kind in ("jpeg", "png", "webp", "gif"):
    picture = encoded(16, 24, kind=kind.upper())
    schemathesis.openapi.media_type(f"image/{kind}", st.just(picture))
