"""Configurations: validated at birth, and read back as they were written."""

import json
import subprocess
import sys
from dataclasses import fields, replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.config import ModelConfig, TrainConfig, check_keys
from centermask.errors import UserError
from centermask.model.presets import PRESETS

shares = st.floats(0, 1)
positive = st.integers(1, 10**6)
maybe_share = st.none() | st.floats(0, 1e3)


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_a_model_config_comes_back_from_json(config: ModelConfig) -> None:
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.filterwarnings("ignore:Do not use the .random. module")  # beartype looks at one item of a tuple by chance
@settings(deadline=None)
@given(
    st.builds(
        TrainConfig,
        epochs=positive,
        batch=positive | st.just("auto"),
        init=st.just("auto"),
        log_to=st.sampled_from([(), ("wandb",), ("wandb", "mlflow")]),
        flip=shares,
        scale_jitter=st.tuples(st.floats(0.01, 1), st.floats(1, 10)),
        optimizer=st.sampled_from(["adamw", "sgd"]),
        lr=maybe_share,
        backbone_lr=shares,
        weight_decay=maybe_share,
        schedule=st.sampled_from(["cosine", "step"]),
        norm=st.sampled_from([None, "frozen", "batch", "group"]),
        class_agnostic_masks=st.none() | st.booleans(),
        workers=st.none() | st.integers(0, 64),
        backbone_weights=st.none() | st.text(min_size=1),
    )
)
def test_a_train_config_comes_back_from_yaml(config: TrainConfig) -> None:
    assert TrainConfig.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict()))) == config


def test_plain_values_hold_every_field() -> None:
    for config in (ModelConfig(), TrainConfig()):
        assert list(config.to_dict()) == [field.name for field in fields(config)]


def test_category_ids_count_from_one_unless_given() -> None:
    assert ModelConfig(class_names=("a", "b", "c")).category_ids == (1, 2, 3)
    assert ModelConfig(class_names=("a", "b"), category_ids=(7, 90)).category_ids == (7, 90)
    assert ModelConfig(class_names=("a", "b")).num_classes == 2


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"fpn_channels": 0}, "fpn_channels"),
        ({"fpn_channels": 48}, "fpn_channels must be a multiple of 32, not 48"),
        ({"tower_convs": 0}, "tower_convs"),
        ({"max_detections": 0}, "max_detections"),
        ({"train_proposals": 0}, "train_proposals"),
        ({"mask_levels": 6}, "mask_levels"),
        ({"class_threshold": 1.5}, "class_threshold"),
        ({"nms_iou": -0.1}, "nms_iou"),
        ({"mask_predictor_std": 0.0}, "mask_predictor_std"),
        ({"mask_predictor_std": float("nan")}, "mask_predictor_std"),
        ({"small_box_weight": 0.5}, "small_box_weight"),
        ({"small_box_weight": 9.5}, "small_box_weight"),
        ({"small_box_weight": float("nan")}, "small_box_weight"),
        ({"nms_decay": -1.0}, "nms_decay"),
        ({"mask_dice_weight": -1.0}, "mask_dice_weight"),
        ({"mask_dice_weight": float("inf")}, "mask_dice_weight"),
        ({"nms_decay": float("nan")}, "nms_decay"),
        ({"nms_decay": float("inf")}, "nms_decay"),
        ({"score_threshold": float("nan")}, "score_threshold"),
        ({"test_short_side": 900, "test_long_side": 800}, "test_long_side"),
        ({"class_names": ()}, "at least one class"),
        ({"class_names": ("cat", "cat")}, "differ"),
        ({"class_names": ("cat",), "category_ids": (1, 2)}, "one length"),
        ({"pixel_std": (1.0, 0.0, 1.0)}, "pixel_std"),
    ],
)
def test_a_network_that_cannot_be_is_refused_by_name(wrong: dict, named: str) -> None:
    with pytest.raises(UserError, match=named):
        ModelConfig(**wrong)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("ModelConfig(assignment='visable')", "must be 'fcos' or 'visible' or 'atss' or 'task-aligned', not 'visable'"),
        ("ModelConfig(mask_iou_gradient='no')", "mask_iou_gradient must be true or false, not 'no'"),
        ("ModelConfig(class_names='cat')", "class_names must be a list of text, any more, not 'cat'"),
        ("ModelConfig(fpn_channels=64.0)", "fpn_channels must be a whole number, not 64.0"),
        ("TrainConfig(optimizer='adam')", "optimizer must be 'adamw' or 'sgd', not 'adam'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_where_nothing_else_checks_kinds(call: str, said: str) -> None:
    tried = f"from centermask.config import ModelConfig, TrainConfig; {call}"
    done = subprocess.run([sys.executable, "-c", tried], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "UserError" in done.stderr
    assert said in done.stderr


def test_whole_numbers_and_lists_become_what_the_fields_are() -> None:
    config = ModelConfig.from_dict({"mask_margin": 0, "class_names": ["a"], "pixel_std": [1, 2, 3]})
    kinds = [type(value) for value in (config.mask_margin, config.class_names, *config.pixel_std)]
    assert kinds == [float, tuple, float, float, float]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"batch": -1}, "batch"),
        ({"flip": 1.1}, "flip"),
        ({"ema": -0.1}, "ema"),
        ({"lr": -1.0}, "lr must not be negative"),
        ({"lr": float("nan")}, "lr"),
        ({"workers": -1}, "workers"),
        ({"scale_jitter": (0.0, 1.0)}, "scale_jitter"),
        ({"scale_jitter": (2.0, 1.0)}, "scale_jitter"),
        ({"min_short_side": 400, "short_side": 384}, "min_short_side"),
        ({"long_side": 100, "short_side": 384}, "long_side"),
        ({"pretrained": True, "backbone_weights": "a"}, "only one of pretrained and backbone_weights"),
        ({"init": "a", "pretrained": True}, "only one of pretrained and init"),
        ({"options": ("plain_giou",)}, "KEY=VALUE, not 'plain_giou'"),
        ({"options": ("plain_giuo=true",)}, "did you mean 'plain_giou'"),
        ({"options": ("plain_giou=1",)}, "plain_giou .* must be true or false, not 1"),
        ({"options": ("small_box_weight=10",)}, "small_box_weight"),
        ({"options": ("mask_margin=0.1", "mask_margin=0.2")}, "mask_margin stands twice"),
        ({"options": ("train_rois=5",)}, "--train-rois"),
        ({"options": ("class_names=cat",)}, "the data"),
        ({"freeze": 3}, "freeze"),
        ({"freeze": 4, "norm": "batch"}, "norm frozen"),
        ({"accumulate": 0}, "accumulate"),
        ({"copy_paste": 2.0}, "copy_paste"),
    ],
)
def test_a_run_that_cannot_be_is_refused_by_name(wrong: dict, named: str) -> None:
    with pytest.raises(UserError, match=named):
        TrainConfig(**wrong)


@pytest.mark.parametrize(
    ("config", "wrong", "expected"),
    [
        (ModelConfig, {"norm": "layer"}, "norm .*must be 'frozen' or 'batch' or 'group', not 'layer'"),
        (ModelConfig, {"class_names": "cat"}, "class_names .*must be a list of text"),
        (ModelConfig, {"class_names": ["cat", 1]}, "class_names .*must be a list of text"),
        (ModelConfig, {"pixel_mean": [1, 2]}, "pixel_mean .*must be a list of a number, a number, a number"),
        (ModelConfig, {"fpn_channels": "256"}, "fpn_channels .*must be a whole number, not '256'"),
        (ModelConfig, {"class_agnostic_masks": 1}, "class_agnostic_masks .*must be true or false, not 1"),
        (TrainConfig, {"epochs": 2.5}, "epochs .*must be a whole number, or nothing, not 2.5"),
        (TrainConfig, {"epochs": True}, "epochs"),
        (TrainConfig, {"lr": "fast"}, "lr .*must be a number, or nothing, not 'fast'"),
        (TrainConfig, {"lr": [1]}, "lr"),
        (TrainConfig, {"scale_jitter": [1.0]}, "scale_jitter"),
        (TrainConfig, {"scale_jitter": None}, "scale_jitter"),
        (TrainConfig, {"optimizer": "adam"}, "optimizer .*'adamw' or 'sgd', not 'adam'"),
        (TrainConfig, {"schedule": None}, "schedule"),
        (TrainConfig, {"norm": {}}, "norm"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(
    config: type[TrainConfig] | type[ModelConfig], wrong: dict, expected: str
) -> None:
    with pytest.raises(UserError, match=expected):
        config.from_dict(wrong)


def test_whole_numbers_pass_for_numbers() -> None:
    config = TrainConfig.from_dict({"flip": 1, "lr": 1, "scale_jitter": [1, 2]})
    assert config == TrainConfig(flip=1.0, lr=1.0, scale_jitter=(1.0, 2.0))


def test_a_replaced_value_is_checked_too() -> None:
    with pytest.raises(UserError, match="nms_iou"):
        replace(ModelConfig(), nms_iou=2.0)


@pytest.mark.parametrize(
    ("config", "key", "near"),
    [
        (TrainConfig, "epoch", "epochs"),
        (TrainConfig, "learning_rat", "flip|lr"),
        (ModelConfig, "class_name", "class_names"),
    ],
)
def test_an_unknown_key_names_the_nearest(config: type[TrainConfig] | type[ModelConfig], key: str, near: str) -> None:
    with pytest.raises(UserError, match=f"unknown key '{key}' .* did you mean '"):
        config.from_dict({key: 3})
    if "|" not in near:
        with pytest.raises(UserError, match=f"did you mean '{near}'"):
            config.from_dict({key: 3})


@given(st.text())
def test_every_unknown_key_is_refused_in_words(key: str) -> None:
    known = ["epochs", "batch"]
    if key in known:
        check_keys([key], known, "here")
    else:
        with pytest.raises(UserError, match="did you mean"):
            check_keys([key], known, "here")
