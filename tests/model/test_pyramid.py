"""C3–C5 to P3–P7."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from centermask.model.pyramid import FeaturePyramid


def features(images: int = 1, widths: tuple[int, int, int] = (3, 4, 5), side: int = 16) -> list[Tensor]:
    return [torch.randn(images, width, side >> i, 2 * side >> i) for i, width in enumerate(widths)]


def transparent() -> FeaturePyramid:
    """One channel, and every convolution passes its middle cell on."""
    pyramid = FeaturePyramid((1, 1, 1), 1)
    for conv in pyramid.modules():
        if isinstance(conv, nn.Conv2d):
            middle = conv.kernel_size[0] // 2
            nn.init.zeros_(conv.weight)
            conv.weight.data[0, 0, middle, middle] = 1.0
    return pyramid


def test_five_levels_of_one_width_each_half_as_large() -> None:
    levels = FeaturePyramid((3, 4, 5), 6)(features(images=2))
    assert [tuple(p.shape) for p in levels] == [(2, 6, 16, 32), (2, 6, 8, 16), (2, 6, 4, 8), (2, 6, 2, 4), (2, 6, 1, 2)]


def test_odd_sides_are_rounded_up_above_p5() -> None:
    # 800 × 1344: P5 is 25 × 42, P6 13 × 21, P7 7 × 11.
    c = [torch.zeros(1, 1, 100, 168), torch.zeros(1, 1, 50, 84), torch.zeros(1, 1, 25, 42)]
    levels = FeaturePyramid((1, 1, 1), 1)(c)
    assert [tuple(p.shape[2:]) for p in levels] == [(100, 168), (50, 84), (25, 42), (13, 21), (7, 11)]
    assert sum(p.shape[2] * p.shape[3] for p in levels) == 22_400


def test_coarse_features_are_added_to_finer_ones() -> None:
    c3, c4, c5 = (torch.full((1, 1, 16 >> i, 16 >> i), float(10**i)) for i in range(3))
    p3, p4, p5, p6, p7 = transparent()([c3, c4, c5])
    assert (p3 == 111).all()
    assert (p4 == 110).all()
    assert (p5 == p6[..., :1, :1]).all()
    assert (p6 == 100).all()
    assert (p7 == 100).all()


def test_features_are_repeated_not_smoothed() -> None:
    c5 = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    _, p4, _, _, _ = transparent()([torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4), c5])
    assert p4[0, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_only_p7_is_made_from_what_is_positive() -> None:
    c5 = torch.full((1, 1, 4, 4), -1.0)
    *_, p6, p7 = transparent()([torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 8, 8), c5])
    assert (p6 == -1).all()
    assert (p7 == 0).all()


def test_p6_comes_from_the_output_p5() -> None:
    pyramid, c = FeaturePyramid((3, 4, 5), 6), features()
    _, _, p5, p6, p7 = pyramid(c)
    assert torch.equal(p6, pyramid.p6(p5))
    assert torch.equal(p7, pyramid.p7(functional.relu(p6)))


def test_the_published_pyramids_have_the_published_sizes() -> None:
    with torch.device("meta"):
        counts = [
            sum(value.numel() for value in FeaturePyramid(widths, channels).parameters())
            for widths, channels in (((512, 768, 1024), 256), ((512, 768, 1024), 128), ((256, 384, 512), 128))
        ]
    assert counts == [3_540_992, 1_033_216, 885_760]


def test_a_fresh_pyramid_has_no_bias() -> None:
    assert all(not value.any() for name, value in FeaturePyramid((3, 4, 5), 6).named_parameters() if "bias" in name)


def test_images_do_not_see_each_other() -> None:
    pyramid, c = FeaturePyramid((3, 4, 5), 6), features(images=3)
    for together, alone in zip(pyramid(c), pyramid([x[1:2] for x in c]), strict=True):
        torch.testing.assert_close(together[1:2], alone)


def test_no_image_gives_no_features() -> None:
    assert [len(p) for p in FeaturePyramid((3, 4, 5), 6)(features(images=0))] == [0] * 5


def test_features_are_left_untouched() -> None:
    c = features()
    before = [x.clone() for x in c]
    FeaturePyramid((3, 4, 5), 6)(c)
    assert all(torch.equal(x, y) for x, y in zip(c, before, strict=True))


def test_in_half_precision_the_gradient_over_a_single_column_is_a_number() -> None:
    torch.manual_seed(0)
    pyramid = FeaturePyramid((8, 8, 8), 96).to(memory_format=torch.channels_last)
    columns = [torch.randn(2, 8, 4 >> i, 4 >> i) for i in range(3)]  # P5, P6 and P7 are single cells
    for _ in range(8):  # what is undefined is sometimes zero
        gradients = []
        for enabled in (True, False):
            pyramid.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                levels = pyramid(columns)
            torch.stack([level.float().square().sum() for level in levels]).sum().backward()
            gradients.append(torch.cat([conv.weight.grad.flatten() for conv in (pyramid.p6, pyramid.p7)]))
        half, full = gradients
        torch.testing.assert_close(half, full, rtol=0.1, atol=0.05 * float(full.abs().max()))


# P2


def test_p2_is_c2_through_a_1_by_1_convolution_plus_what_p3_is_made_of() -> None:
    c2, c3, c4, c5 = (torch.full((1, 1, 32 >> i, 32 >> i), float(10**i)) for i in range(4))
    pyramid = FeaturePyramid((1, 1, 1, 1), 1)
    for conv in pyramid.modules():
        if isinstance(conv, nn.Conv2d):
            middle = conv.kernel_size[0] // 2
            nn.init.zeros_(conv.weight)
            conv.weight.data[0, 0, middle, middle] = 1.0
    nn.init.zeros_(pyramid.outputs[0].weight)  # of P3: what P2 gets comes from before it
    p2, p3, *coarser = pyramid([c2, c3, c4, c5])
    assert p2.shape == (1, 1, 32, 32)
    assert (p2 == 1111).all()
    assert not p3.any()
    assert [int(level[0, 0, 0, 0]) for level in coarser] == [1100, 1000, 1000, 1000]


def test_with_p2_all_other_levels_are_as_without_it() -> None:
    with_p2, plain = FeaturePyramid((2, 3, 4, 5), 6), FeaturePyramid((3, 4, 5), 6)
    plain.load_state_dict({key: value for key, value in with_p2.state_dict().items() if not key.startswith("p2.")})
    c = features()
    finer = [torch.randn(1, 2, 32, 64), *c]
    assert all(torch.equal(one, other) for one, other in zip(with_p2(finer)[1:], plain(c), strict=True))
