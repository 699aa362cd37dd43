"""AlexNet, ZFNet and VGG's variants against the papers written out and torchvision's VGG."""

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models import get_model_input_config
from torch import nn
from torchvision.models import vgg

from cnntrain.models import registry

registry.register()


def small(name: str, **kwargs) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, **{"hidden_size": 16, "num_classes": 5} | kwargs).eval()


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return timm.create_model(name)


def draw_all(net: nn.Module) -> None:
    """The papers' small weights would make every map vanish."""
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=(2 / max(parameter[0].numel(), 2)) ** 0.5)


@pytest.mark.parametrize("norm_first", [True, False])
def test_alexnet_equals_the_paper_written_out(norm_first):
    net = small("alexnet", img_size=79, norm_first=norm_first)
    draw_all(net)
    w = list(net.parameters())
    images = torch.randn(2, 3, 79, 79)

    def norm_and_pool(x: torch.Tensor) -> torch.Tensor:
        norm = lambda y: F.local_response_norm(y, 5, 5e-4, 0.75, 2.0)  # noqa: E731
        return F.max_pool2d(norm(x), 3, 2) if norm_first else norm(F.max_pool2d(x, 3, 2))

    x = norm_and_pool(F.relu(F.conv2d(images, w[0], w[1], 4)))
    x = norm_and_pool(F.relu(F.conv2d(x, w[2], w[3], 1, 2, 1, 2)))
    x = F.relu(F.conv2d(x, w[4], w[5], 1, 1))
    x = F.relu(F.conv2d(x, w[6], w[7], 1, 1, 1, 2))
    x = F.max_pool2d(F.relu(F.conv2d(x, w[8], w[9], 1, 1, 1, 2)), 3, 2)
    for layer in (10, 12):
        x = F.relu(F.linear(x.flatten(1), w[layer], w[layer + 1]))
    assert torch.allclose(net(images), F.linear(x, w[14], w[15]), atol=1e-4, rtol=1e-4)


def test_layers_have_the_papers_sizes():
    net = on_meta("alexnet")
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]
    assert counts == [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000]
    _, maps = net.forward_intermediates(torch.empty(1, 3, 227, 227, device="meta"))
    assert [tuple(m.shape[1:]) for m in maps] == [(96, 27, 27), (256, 13, 13), *[(384, 13, 13)] * 2, (256, 6, 6)]


def test_groups_are_a_block_diagonal_of_the_ungrouped_net():
    two, one = small("alexnet", img_size=67), small("alexnet_ungrouped", img_size=67)
    state = two.state_dict()
    for name in ("conv2.conv.weight", "conv4.conv.weight", "conv5.conv.weight"):
        first, second = state[name].chunk(2)
        state[name] = torch.cat([torch.cat([first, 0 * first], 1), torch.cat([0 * second, second], 1)])
    one.load_state_dict(state, strict=True)
    images = torch.randn(2, 3, 67, 67)
    assert torch.allclose(one(images), two(images), atol=1e-5)


def test_initialisation_is_the_papers():
    net = small("alexnet", img_size=67, hidden_size=64)
    biases = {name: parameter.unique().tolist() for name, parameter in net.named_parameters() if "bias" in name}
    zero = {"conv1.conv.bias", "conv3.conv.bias", "classifier.bias"}
    assert {name for name, values in biases.items() if values == [0]} == zero
    assert {name for name, values in biases.items() if values == [1]} == set(biases) - zero
    for name, parameter in net.named_parameters():
        if name.endswith("weight"):
            assert parameter.std().item() == pytest.approx(0.01, rel=0.1), name
    net.reset_classifier(500)
    assert net.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not net.classifier.bias.any()


@pytest.mark.parametrize(
    ("name", "own", "least"), [("alexnet", 227, 67), ("zfnet", 224, 53), ("vgg11_lrn", 224, 32), ("vgg16_c", 224, 32)]
)
def test_the_image_size_is_fixed_and_has_a_minimum(name, own, least):
    config = get_model_input_config(on_meta(name))
    assert config["fixed_input_size"]
    assert config["input_size"] == (3, own, own)
    net = small(name, img_size=(least, least + 32))
    assert net(torch.randn(1, 3, least, least + 32)).shape == (1, 5)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        net(torch.randn(1, 3, least + 32, least + 32))
    with pytest.raises(ValueError, match=f"at least {least}x{least} pixels, not {least - 1}"):
        timm.create_model(name, img_size=least - 1)


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "vgg11_lrn"])
def test_dropout_stands_behind_both_hidden_layers(name):
    net = on_meta(name)
    dropouts = {name: module.p for name, module in net.named_modules() if isinstance(module, nn.Dropout)}
    assert dropouts == {"hidden.1.drop": 0.5, "head_drop": 0.5}


def test_zfnet_equals_the_paper_written_out():
    net = small("zfnet", img_size=69)
    draw_all(net)
    w = list(net.parameters())
    x = images = torch.randn(2, 3, 69, 69)
    for first, padding in ((0, 1), (2, 0)):
        x = F.relu(F.conv2d(x, w[first], w[first + 1], 2, padding))
        x = F.local_response_norm(F.max_pool2d(x, 3, 2, 1), 5, 5e-4, 0.75, 2.0)
    for first in (4, 6, 8):
        x = F.relu(F.conv2d(x, w[first], w[first + 1], 1, 1))
    x = F.max_pool2d(x, 3, 2).flatten(1)
    x = F.linear(F.relu(F.linear(F.relu(F.linear(x, w[10], w[11])), w[12], w[13])), w[14], w[15])
    assert torch.allclose(net(images), x, atol=1e-4, rtol=1e-4)


def test_zfnet_has_the_papers_map_sizes():
    net, sides = on_meta("zfnet"), []
    for name in ("conv1.conv", "conv1", "conv2.conv", "conv2", "conv3", "conv5"):
        net.get_submodule(name).register_forward_hook(lambda module, args, output: sides.append(output.shape[-1]))
    net(torch.empty(1, 3, 224, 224, device="meta"))
    assert sides == [110, 55, 26, 13, 13, 6]
    assert [stage["num_chs"] for stage in on_meta("zfnet_wide").feature_info] == [96, 256, 512, 1024, 512]


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def copy_into(twin: nn.Module, convs: list[nn.Conv2d]) -> None:
    for own, other in zip(convs, convolutions(twin), strict=True):
        other.load_state_dict(own.state_dict())


def test_vgg_a_lrn_is_torchvisions_vgg11_but_for_the_norm():
    net = small("vgg11_lrn", img_size=64)
    draw_all(net)
    twin = vgg.make_layers(vgg.cfgs["A"]).eval()
    copy_into(twin, convolutions(net))
    images = torch.randn(1, 3, 64, 64)
    first = F.relu(twin[0](images))
    expected = twin[2:](F.local_response_norm(first, 5, 5e-4, 0.75, 2.0))
    assert torch.allclose(net.forward_features(images), expected, atol=1e-5, rtol=1e-4)
    del net.stage1[0].norm
    assert torch.allclose(net.forward_features(images), twin(images), atol=1e-5, rtol=1e-4)


def test_vgg_c_is_torchvisions_vgg13_with_convolutions_of_one_pixel():
    net = small("vgg16_c", img_size=32)
    draw_all(net)
    pointwise = [conv for conv in convolutions(net) if conv.kernel_size == (1, 1)]
    assert [(conv.in_channels, conv.out_channels) for conv in pointwise] == [(256, 256), (512, 512), (512, 512)]
    for conv in pointwise:  # the identity, which its ReLU does not change
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)
    twin = vgg.make_layers(vgg.cfgs["B"]).eval()
    copy_into(twin, [conv for conv in convolutions(net) if conv not in pointwise])
    images = torch.randn(1, 3, 32, 32)
    assert torch.allclose(net.forward_features(images), twin(images), atol=1e-5, rtol=1e-4)


def test_vgg_initialisations():
    shallow, deep = small("vgg11_lrn", img_size=32), small("vgg16_c", img_size=32)
    assert shallow.stage5[1].conv.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert deep.stage5[1].conv.weight.std().item() == pytest.approx((2 / (9 * 1024)) ** 0.5, rel=0.01)
    assert not any(
        parameter.any() for net in (shallow, deep) for name, parameter in net.named_parameters() if "bias" in name
    )
