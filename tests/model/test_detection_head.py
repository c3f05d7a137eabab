"""Two towers, three predictions per location."""

import pytest
import torch
from torch import Tensor, nn

from centermask.model.detection.head import PRIOR, DetectionHead
from centermask.model.detection.locations import STRIDES, make_locations

CELLS = ((8, 12), (4, 6), (2, 3), (1, 2), (1, 2))


def pyramid(channels: int = 32, images: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(images, channels, *cells, generator=generator) for cells in CELLS]


def lively(channels: int = 32, classes: int = 3, convs: int = 1) -> DetectionHead:
    torch.manual_seed(0)
    head = DetectionHead(channels, classes, convs)
    for conv in head.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.normal_(conv.weight, std=0.1)
    return head


def test_one_prediction_stands_at_every_location() -> None:
    predicted = lively()(pyramid())
    count = sum(height * width for height, width in CELLS)
    assert predicted.class_logits.shape == (2, count, 3)
    assert predicted.ltrb.shape == (2, count, 4)
    assert predicted.centerness_logits.shape == (2, count)


def test_predictions_stand_in_the_order_of_the_locations() -> None:
    # Without towers, and with convolutions that pass the middle cell on, the features are the predictions.
    head = DetectionHead(2, 2, convs=0)
    nn.init.zeros_(head.class_logits.weight)
    nn.init.zeros_(head.class_logits.bias)
    head.class_logits.weight.data[[0, 1], [0, 1], 1, 1] = 1.0
    features = [
        torch.stack(torch.meshgrid(torch.arange(w) * s + s // 2, torch.arange(h) * s + s // 2, indexing="xy"))[None]
        for (h, w), s in zip(CELLS, STRIDES[1:], strict=True)
    ]
    predicted = head([x.float() for x in features])
    assert torch.equal(predicted.class_logits[0], make_locations(features).points)


def test_an_untrained_head_gives_every_class_the_prior() -> None:
    torch.manual_seed(0)
    probabilities = DetectionHead(32, 3, 1)(pyramid()).class_logits.sigmoid()
    assert probabilities.mean().item() == pytest.approx(PRIOR, rel=0.1)
    assert probabilities.max() < 2 * PRIOR


def test_distances_are_never_negative() -> None:
    ltrb = lively()(pyramid()).ltrb
    assert ltrb.min() == 0
    assert ltrb.max() > 0


def test_each_level_scales_its_own_distances() -> None:
    head = lively()
    before = head(pyramid()).ltrb
    head.level_scales.data[1] = 3.0
    levels = make_locations(pyramid()).levels
    factors = torch.where(levels == 1, 3.0, 1.0)
    torch.testing.assert_close(head(pyramid()).ltrb, before * factors[:, None])


def test_all_levels_share_their_weights() -> None:
    features = torch.randn(1, 32, 2, 3)
    predicted = lively()([features] * 5)
    for field in predicted:
        parts = field.unflatten(1, (5, 6))
        torch.testing.assert_close(parts, parts[:, :1].expand_as(parts))


def test_centerness_comes_from_the_tower_of_the_boxes() -> None:
    head = lively()
    head(pyramid()).centerness_logits.sum().backward()
    assert all(value.grad is None for value in head.class_tower.parameters())
    assert all(value.grad.abs().sum() > 0 for value in head.box_tower.parameters())


def test_images_do_not_see_each_other() -> None:
    head, features = lively(), pyramid(images=3)
    for together, alone in zip(head(features), head([x[1:2] for x in features]), strict=True):
        torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-5)


def test_no_image_has_no_prediction() -> None:
    assert [len(field) for field in lively()(pyramid(images=0))] == [0, 0, 0]


@pytest.mark.parametrize(("channels", "convs", "wanted"), [(256, 4, 4_920_666), (128, 2, 689_370)])
def test_the_published_heads_have_the_published_sizes(channels: int, convs: int, wanted: int) -> None:
    with torch.device("meta"):
        assert sum(value.numel() for value in DetectionHead(channels, 80, convs).parameters()) == wanted
