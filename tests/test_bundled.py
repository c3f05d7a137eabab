"""The weights that come with the package."""

import pytest
import skimage.data

from centermask.bundled import BUNDLED, DEFAULT_WEIGHTS, resolve_weights
from centermask.checkpoint import load_model
from centermask.errors import UserError
from centermask.predict import Predictor


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_weights_are_small_and_of_the_preset_of_their_name(name: str) -> None:
    path = resolve_weights(name)
    model = load_model(path)
    assert model.config.preset == f"centermask-{name}"
    assert model.config.class_names == ("cat", "person")
    assert path.stat().st_size < 10_000_000
    assert sum(value.numel() for value in model.parameters()) <= 5_000_000


def test_weights_that_do_not_exist_are_told_with_the_names_that_do() -> None:
    with pytest.raises(UserError, match=r"nanoo: no such weights file; .* bundled weights: nano, plus-nano"):
        resolve_weights("nanoo")


def test_the_weights_of_the_demonstration_find_the_astronaut_without_her_helmet_and_the_cat() -> None:
    predict = Predictor(DEFAULT_WEIGHTS, device="cpu")
    astronaut, cat = predict(skimage.data.astronaut()), predict(skimage.data.chelsea())
    assert (astronaut.class_names, cat.class_names) == (("person",), ("cat",))
    person = astronaut.masks[0]
    face, patch, helmet, shuttle = person[100, 220], person[400, 180], person[430, 420], person[150, 415]
    assert (face, patch, helmet, shuttle) == (True, True, False, False)
    assert 0.6 < cat.masks[0].mean() < 0.95
