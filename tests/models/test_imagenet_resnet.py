"""The ResNets of 2015, against torchvision's and timm's with the differences undone."""

import pytest
import timm
import torch
from torch import nn
from torchvision.models import resnet34

from cnntrain.models import registry

registry.register()
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def randomise_norms(net: nn.Module) -> None:
    """Untrained batch norms would hide one that is misplaced."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(module.running_var, 0.5, 2)


def renamed(key: str) -> str:
    """A parameter's name of ours in torchvision and timm."""
    for ours, theirs in (("stem.conv", "conv1"), ("stem.bn", "bn1"), ("classifier", "fc"), ("shortcut", "downsample")):
        key = key.replace(ours, theirs)
    return key.replace("stage", "layer")


def test_projections_equal_torchvision():
    torch.manual_seed(0)
    net, twin = timm.create_model("resnet34a", shortcut="B").eval(), resnet34().eval()
    randomise_norms(net)
    twin.load_state_dict({renamed(key): value for key, value in net.state_dict().items()}, strict=True)
    torch.testing.assert_close(net(IMAGES), twin(IMAGES))


def test_stride_in_the_first_convolution():
    """timm's ResNet-50, its strides moved from the 3x3 to the 1x1 before it."""
    torch.manual_seed(0)
    net, twin = timm.create_model("resnet50_2015").eval(), timm.create_model("resnet50").eval()
    randomise_norms(net)
    twin.load_state_dict({renamed(key): value for key, value in net.state_dict().items()}, strict=True)
    different = twin(IMAGES)
    for stage in (twin.layer2, twin.layer3, twin.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    torch.testing.assert_close(net(IMAGES), twin(IMAGES))
    assert not torch.allclose(net(IMAGES), different, rtol=0.1)


@pytest.mark.parametrize("depth", [18, 34])
def test_plain_nets_are_the_residual_ones_without_shortcuts(depth):
    torch.manual_seed(0)
    plain, residual = timm.create_model(f"plain{depth}").eval(), timm.create_model(f"resnet{depth}a").eval()
    residual.load_state_dict(plain.state_dict(), strict=True)
    assert not torch.allclose(plain(IMAGES), residual(IMAGES))
    for module in residual.modules():
        if hasattr(module, "shortcut"):
            module.shortcut = None
    assert torch.equal(plain(IMAGES), residual(IMAGES))


def test_initialisation_is_he():
    torch.manual_seed(0)
    net = timm.create_model("resnet50_2015")
    assert net.stem.conv.weight.std().item() == pytest.approx((2 / (49 * 64)) ** 0.5, rel=0.02)
    assert net.stage4[1].conv2.weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
    assert all((m.weight == 1).all() for m in net.modules() if isinstance(m, nn.BatchNorm2d))


def test_an_unknown_shortcut_is_refused():
    with pytest.raises(ValueError, match="A, B, C, none, not 'D'"):
        timm.create_model("resnet18a", shortcut="D")
