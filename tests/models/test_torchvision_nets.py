"""torchvision's nets under timm's protocol: their state dicts, outputs and published settings."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision.models as tv
from timm.models import create_feature_extractor, group_parameters
from torch import nn

from cnntrain.models import registry

registry.register()

TWINS = {
    "tv_googlenet": lambda **kwargs: tv.GoogLeNet(init_weights=True, **{"aux_logits": False} | kwargs),
    "tv_shufflenet_v2": tv.shufflenet_v2_x1_0,
    "tv_squeezenet": tv.squeezenet1_1,
}
WEIGHTS = {
    "tv_alexnet": tv.AlexNet_Weights.IMAGENET1K_V1,
    "tv_googlenet": tv.GoogLeNet_Weights.IMAGENET1K_V1,
    "tv_shufflenet_v2": tv.ShuffleNet_V2_X1_0_Weights.IMAGENET1K_V1,
    "tv_squeezenet": tv.SqueezeNet1_1_Weights.IMAGENET1K_V1,
}
IMAGES = torch.randn(2, 3, 72, 72, generator=torch.Generator().manual_seed(0))


def trained(twin: nn.Module) -> nn.Module:
    """Batch statistics and biases such as a trained net has, so that a misplaced one shows."""
    torch.manual_seed(0)
    for module in twin.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor, 0.5, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return twin.eval()


@pytest.fixture(scope="module")
def alexnets() -> tuple[nn.Module, nn.Module]:
    net, twin = timm.create_model("tv_alexnet").eval(), tv.alexnet().eval()
    net.load_state_dict(twin.state_dict(), strict=True)
    return net, twin


@pytest.mark.parametrize("name", TWINS)
def test_outputs_equal_torchvisions(name):
    net, twin = timm.create_model(name).eval(), trained(TWINS[name]())
    net.load_state_dict(twin.state_dict(), strict=True)
    assert list(net.state_dict()) == list(twin.state_dict())
    assert torch.allclose(net(IMAGES), twin(IMAGES), atol=1e-6, rtol=1e-4)
    assert twin(IMAGES).std() > 1e-3


@pytest.mark.no_cover
def test_alexnets_protocol(alexnets):
    net, twin = alexnets
    assert list(net.state_dict()) == list(twin.state_dict())
    logits = twin(IMAGES)
    assert torch.equal(net(IMAGES), logits)
    final, maps = net.forward_intermediates(IMAGES)
    assert torch.equal(final, twin.features(IMAGES))
    assert final is maps[-1]
    assert [tuple(m.shape[1:2]) for m in maps] == [(64,), (192,), (384,), (256,), (256,)]
    embedding = net.forward_head(final, pre_logits=True)
    assert embedding.shape == (2, net.head_hidden_size) == (2, 4096)
    assert torch.equal(net.get_classifier()(embedding), logits)
    traced = create_feature_extractor(net, ["features.5", "classifier.6"])(IMAGES)
    assert torch.equal(traced["features.5"], maps[1])
    assert torch.equal(traced["classifier.6"], logits)
    groups = group_parameters(net, net.group_matcher(coarse=True))
    assert [names[0] for names in groups.values()] == [f"features.{index}.weight" for index in (0, 3, 6, 8, 10)] + [
        f"classifier.{index}.weight" for index in (1, 4, 6)
    ]
    with pytest.raises(ValueError, match="cannot change its pooling"):
        net.reset_classifier(10, "avg")


def test_alexnets_head_can_be_new_and_be_cut_off():
    net = timm.create_model("tv_alexnet", num_classes=7, drop_rate=0.1, in_chans=1).eval()
    images = IMAGES[:, :1]
    assert net(images).shape == (2, 7)
    assert net.classifier[0].p == net.classifier[3].p == 0.1
    net.reset_classifier(0)
    assert net(images).shape == (2, 4096)
    net.prune_intermediate_layers([1])
    assert net(images).shape == (2, 192, 3, 3) == (2, net.num_features, 3, 3)
    assert {name.split(".")[0] for name, _ in net.named_parameters()} == {"features"}


def test_auxiliary_heads_equal_torchvisions():
    settings = {"aux_logits": True, "num_classes": 5}
    twin = trained(TWINS["tv_googlenet"](dropout=0.0, dropout_aux=0.0, **settings)).train()
    net = timm.create_model("tv_googlenet", drop_rate=0.0, aux_drop_rate=0.0, **settings)
    net.load_state_dict(twin.state_dict(), strict=True)
    expected, actual = twin(IMAGES), net.train()(IMAGES)
    for ours, theirs in zip(actual, (expected.logits, expected.aux_logits1, expected.aux_logits2), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6, rtol=1e-4)
    assert net.eval()(IMAGES).shape == (2, 5)
    net.reset_classifier(3)
    assert [output.shape for output in net.train()(IMAGES)] == [(2, 3)] * 3
    groups = group_parameters(net, net.group_matcher())
    assert groups[len(groups) - 1][0].startswith("aux2")
    net.reset_classifier(0)
    assert net(IMAGES).shape == (2, 1024)
    assert not any(name.startswith("aux") for name in net.state_dict())


def test_googlenets_statistics_stand_for_torchvisions_transform():
    net, twin = timm.create_model("tv_googlenet").eval(), trained(TWINS["tv_googlenet"](transform_input=True))
    net.load_state_dict(twin.state_dict(), strict=True)
    pixels = torch.rand(2, 3, 64, 64)
    own = (pixels - 0.5) / 0.5
    preset = WEIGHTS["tv_googlenet"].transforms()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preset.mean, preset.std))
    assert torch.allclose(net(own), twin((pixels - mean) / std), atol=1e-5, rtol=1e-4)
    assert tuple(net.pretrained_cfg["mean"]) == tuple(net.pretrained_cfg["std"]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", WEIGHTS)
def test_published_settings(name):
    cfg, weights = timm.get_pretrained_cfg(name), WEIGHTS[name]
    preset = weights.transforms()
    assert timm.models.is_model_pretrained(name)
    assert cfg.tag == "in1k"
    assert cfg.url == weights.url
    assert cfg.num_classes == len(weights.meta["categories"])
    assert cfg.input_size[1:] == (preset.crop_size[0],) * 2
    assert int(preset.crop_size[0] / cfg.crop_pct) == preset.resize_size[0]
    assert cfg.interpolation == preset.interpolation.value
    if name != "tv_googlenet":
        assert list(cfg.mean) == preset.mean
        assert list(cfg.std) == preset.std


def load(name: str, path: Path, **kwargs) -> nn.Module:
    return timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, **kwargs).eval()


@pytest.mark.no_cover
def test_published_files_load_through_timm(tmp_path):
    twin = trained(TWINS["tv_googlenet"](aux_logits=True))  # the published file has both heads
    torch.save(twin.state_dict(), tmp_path / "published.pth")
    assert torch.allclose(load("tv_googlenet", tmp_path / "published.pth")(IMAGES), twin(IMAGES), atol=1e-6, rtol=1e-4)
    both = load("tv_googlenet", tmp_path / "published.pth", aux_logits=True)
    assert torch.equal(both.aux1.fc2.weight, twin.aux1.fc2.weight)
    other = load("tv_googlenet", tmp_path / "published.pth", aux_logits=True, num_classes=4)
    assert other(IMAGES).shape == (2, 4)
    assert other.aux2.fc2.weight.shape == (4, 1024)
    assert torch.equal(other.aux2.fc1.weight, twin.aux2.fc1.weight)
    twin = trained(TWINS["tv_squeezenet"]())
    torch.save(twin.state_dict(), tmp_path / "published.pth")
    grey = load("tv_squeezenet", tmp_path / "published.pth", num_classes=3, in_chans=1)
    assert grey(IMAGES[:, :1]).shape == (2, 3)
    assert torch.allclose(grey.features[0].weight, twin.features[0].weight.sum(1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize("name", WEIGHTS)
def test_no_rectifier_works_in_place(name):
    with torch.device("meta"):
        net = timm.create_model(name)
    assert not any(module.inplace for module in net.modules() if isinstance(module, nn.ReLU))


def test_pooling_can_change():
    net = timm.create_model("tv_shufflenet_v2", num_classes=4, global_pool="catavgmax").eval()
    assert net(IMAGES).shape == (2, 4)
    assert net.head_hidden_size == 2048
    net.reset_classifier(0, "")
    assert torch.equal(net(IMAGES), net.forward_features(IMAGES))
    with pytest.raises(ValueError, match="num_classes=0"):
        net.reset_classifier(4, "")
    with pytest.raises(ValueError, match="two logits"):
        timm.create_model("tv_squeezenet", global_pool="catavgmax")
