"""The residual block and its shortcuts, against hand-computed values and torchvision's block."""

import pytest
import timm
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock as TorchvisionBlock

from cnntrain.models import registry
from cnntrain.models.cifar_resnet import BasicBlock, CifarResNet, ZeroPad, make_shortcut

registry.register()


def randomise_norms(net: nn.Module) -> None:
    """Untrained batch norms would hide one that is misplaced."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor)
            nn.init.uniform_(module.running_var, 0.5, 2)


def test_option_a_by_hand():
    x = torch.tensor([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]], [[-1, -2, -3], [-4, -5, -6], [-7, -8, -9]]]])
    expected = torch.tensor([[[[1.0, 3], [7, 9]], [[-1, -3], [-7, -9]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]])
    assert torch.equal(ZeroPad(extra=2, stride=2)(x), expected)


@pytest.mark.parametrize("side", [7, 8])
def test_option_a_adds_the_padded_input(side):
    torch.manual_seed(0)
    block = BasicBlock(3, 5, stride=2, shortcut="A").eval()
    randomise_norms(block)
    x = torch.randn(2, 3, side, side)
    padded = torch.zeros(2, 5, 4, 4)
    padded[:, :3] = x[:, :, ::2, ::2]
    branch = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
    assert torch.equal(block(x), torch.relu(branch + padded))


def test_plain_block_has_no_shortcut():
    torch.manual_seed(0)
    block = BasicBlock(3, 3, shortcut="none").eval()
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(block(x), torch.relu(block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))))


@pytest.mark.parametrize("option", ["B", "C"])
def test_projection_blocks_equal_torchvision(option):
    torch.manual_seed(0)
    net = timm.create_model("resnet20", shortcut=option).eval()
    randomise_norms(net)
    x = expected = net.stem(torch.randn(2, 3, 32, 32))
    for block in (*net.stage1, *net.stage2, *net.stage3):
        ins, outs, stride = block.conv1.in_channels, block.conv1.out_channels, block.conv1.stride[0]
        projected = option == "C" or ins != outs
        shortcut = nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))
        twin = TorchvisionBlock(ins, outs, stride, shortcut if projected else None).eval()
        state = {key.replace("shortcut", "downsample"): value for key, value in block.state_dict().items()}
        twin.load_state_dict(state, strict=True)
        x, expected = block(x), twin(expected)
        assert torch.allclose(x, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet20", "plain20", "resnet56"])
def test_the_depth_counts_layers_with_weights(name):
    net = timm.create_model(name)
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(name.removeprefix("resnet").removeprefix("plain"))


def test_initialisation_is_he():
    torch.manual_seed(0)
    net = timm.create_model("resnet56")
    assert net.stage3[4].conv2.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
    assert net.stage2[0].conv1.weight.std().item() == pytest.approx((2 / (9 * 32)) ** 0.5, rel=0.05)
    assert all((m.weight == 1).all() and (m.bias == 0).all() for m in net.modules() if isinstance(m, nn.BatchNorm2d))


def test_wrong_depth_and_shortcut_are_refused():
    with pytest.raises(ValueError, match="6n \\+ 2, not 21"):
        CifarResNet(21)
    with pytest.raises(TypeError, match="multiple values for argument 'shortcut'"):
        timm.create_model("plain20", shortcut="A")
    with pytest.raises(ValueError, match="A, B, C, none, not 'D'"):
        make_shortcut("D", 16, 16, 1)


def test_pooling_can_change():
    net, images = timm.create_model("resnet20").eval(), torch.randn(2, 3, 32, 32)
    net.reset_classifier(4, "catavgmax")
    assert net.head_hidden_size == 128 and net(images).shape == (2, 4)
    with pytest.raises(ValueError, match="num_classes=0"):
        net.reset_classifier(4, "")
    net.reset_classifier(0, "")
    assert torch.equal(net(images), net.forward_features(images))
    assert timm.create_model("resnet20", num_classes=0, global_pool="max").eval()(images).shape == (2, 64)


def test_other_image_sizes():
    net = timm.create_model("resnet20").eval()
    assert net(torch.randn(2, 3, 28, 28)).shape == net(torch.randn(2, 3, 65, 40)).shape == (2, 10)


def test_another_activation_stands_where_relu_stood():
    net = timm.create_model("plain20", act="sigmoid")
    kinds = [type(each) for each in net.modules()]
    assert kinds.count(nn.Sigmoid) == 19 and nn.ReLU not in kinds
    same = timm.create_model("plain20", act="relu")
    assert same.state_dict().keys() == timm.create_model("plain20").state_dict().keys()
    with pytest.raises(ValueError, match="must be one of"):
        timm.create_model("resnet20", act="swish")
