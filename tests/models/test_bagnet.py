"""What a BagNet is about: the pixels that one of its features sees."""

import pytest
import timm
import torch

from cnntrain.models import registry
from cnntrain.models.bagnet import LocalBottleneck

registry.register()


@pytest.mark.parametrize("pixels", [9, 17, 33])
def test_a_feature_sees_a_square_of_so_many_pixels(pixels):
    torch.manual_seed(0)
    net = timm.create_model(f"bagnet{pixels}").eval().double()
    images = torch.randn(1, 3, 57, 57, dtype=torch.float64, requires_grad=True)
    features = net.forward_features(images)
    features[0, :, 1, 2].sum().backward()
    seen = images.grad.abs().sum((0, 1)).nonzero()
    low, high = seen.min(0).values, seen.max(0).values
    assert (high - low + 1).tolist() == [pixels, pixels]
    assert low.tolist() == [8, 16]  # a feature is 8 pixels from the next


def test_an_image_of_one_patch_has_one_feature():
    with torch.device("meta"):
        net = timm.create_model("bagnet33").eval()
        assert net.forward_features(torch.empty(1, 3, 33, 33)).shape == (1, 2048, 1, 1)
        with pytest.raises(RuntimeError):
            net(torch.empty(1, 3, 32, 32))


def test_the_shortcut_is_cropped_at_the_bottom_and_the_right():
    torch.manual_seed(0)
    block, x = LocalBottleneck(8, 2, 3, 1).eval(), torch.randn(2, 8, 6, 7)
    out = torch.relu(block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x))))))
    assert torch.equal(block(x), torch.relu(block.bn3(block.conv3(out)) + x[:, :, :4, :5]))


def test_logits_are_the_mean_of_those_of_the_patches():
    torch.manual_seed(0)
    net, images = timm.create_model("bagnet9").eval().double(), torch.randn(1, 3, 40, 40).double()
    maps = net.classifier(net.forward_features(images).permute(0, 2, 3, 1))
    torch.testing.assert_close(net(images), maps.mean((1, 2)))


def test_initialisation_is_he_with_the_stem_norm_slow():
    torch.manual_seed(0)
    net = timm.create_model("bagnet17")
    assert net.stage3[0].conv2.weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)
    assert (net.stem.bn.momentum, net.stage1[0].bn1.momentum) == (0.001, 0.1)
