"""Exports take seconds each, so the tests share a few."""

import pytest

from centermask.size import Size
from tests.export.files import Exported, export_small

PLANE = Size(96, 128)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """For any picture."""
    return export_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """All that can be chosen otherwise, with masks of full size."""
    return export_small(
        tmp_path_factory.mktemp("other"), full_masks=True, pixel_kind="float32",
        norm="group", mask_iou_head="none", class_agnostic_masks=True, level_rule="area",
    )  # fmt: skip


@pytest.fixture(scope="session")
def timm(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Another backbone, the coarse head, and all that the plus presets have."""
    return export_small(
        tmp_path_factory.mktemp("timm"), backbone="timm:resnet10t", mask_iou_head="coarse",
        detection_stride=4, attention_fusion="concatenate", mask_stride=4, mask_neighbours=True, mask_margin=0.1,
        nms_iou=0.8, nms_decay=1.5,
    )  # fmt: skip


@pytest.fixture(scope="session")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """For one picture on a plane."""
    return export_small(tmp_path_factory.mktemp("fixed"), plane=PLANE)
