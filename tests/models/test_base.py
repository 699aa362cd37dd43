"""What a family may override: a convolution as classifier, auxiliary heads, hidden layers."""

from typing import ClassVar

import pytest
import torch
from timm.layers import get_device_dtype
from timm.models import create_feature_extractor, group_parameters
from torch import Tensor, nn

from cnntrain.models.auxiliary import AuxiliaryNet
from cnntrain.models.base import Blocks, FullyConnected, Net, Stage, conv_bn_relu

IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def stages() -> list[Stage]:
    return [
        Stage("stem", conv_bn_relu(3, 4, stride=2), 4, 2),
        Stage("stage1", Blocks(conv_bn_relu(4, 4), conv_bn_relu(4, 8, stride=2)), 8, 2),
        Stage("conv5", nn.Conv2d(8, 8, 3, padding=1), 8),
    ]


class ConvClassifier(Net):
    """NiN's order: a 1x1 convolution gives a map per class, whose means are the logits."""

    def make_classifier(self, num_classes: int) -> nn.Module:
        return nn.Conv2d(self.num_features, num_classes, 1)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return self.global_pool(x if pre_logits else torch.relu(self.classifier(x)))


class Auxiliary(AuxiliaryNet):
    """GoogLeNet's way: a head on an inner map, in training only."""

    AUXILIARY: ClassVar[dict[str, str]] = {"aux": "stage1"}

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        super().reset_classifier(num_classes, global_pool)
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes)) if num_classes else None
        self.aux = head.to(**get_device_dtype(self)) if head else None


def test_a_convolution_as_classifier():
    net = ConvClassifier(stages(), num_classes=5, in_chans=3).eval()
    maps = torch.relu(net.classifier(net.forward_features(IMAGES)))
    assert torch.allclose(net(IMAGES), maps.mean((2, 3)))
    assert torch.equal(create_feature_extractor(net, ["classifier"])(IMAGES)["classifier"].relu(), maps)
    net.reset_classifier(3)
    assert net(IMAGES).shape == (2, 3)
    net.reset_classifier(0)
    assert net(IMAGES).shape == (2, net.head_hidden_size) == (2, 8)


def test_auxiliary_heads():
    net = Auxiliary(stages(), num_classes=5, in_chans=3)
    logits, auxiliary = net(IMAGES)
    assert logits.shape == auxiliary.shape == (2, 5)
    assert net.eval()(IMAGES).shape == (2, 5)
    net.reset_classifier(3)
    assert [output.shape for output in net.train()(IMAGES)] == [(2, 3)] * 2
    coarse, fine = (group_parameters(net, net.group_matcher(coarse=each)) for each in (True, False))
    assert coarse[1][-2:] == fine[len(fine) - 1] == ["aux.2.weight", "aux.2.bias"]
    assert coarse[len(coarse) - 1] == ["classifier.weight", "classifier.bias"]
    net.aux.eval()  # as a frozen head is
    assert net(IMAGES).shape == (2, 3)
    net.prune_intermediate_layers([1])
    assert net.aux is None and net(IMAGES).shape == (2, 8, 4, 4)


def test_hidden_layers_belong_to_the_head():
    net = Net(stages(), num_classes=5, in_chans=3, hidden=FullyConnected((8, 7, 6), drop_rate=0.1)).eval()
    assert (net.num_features, net.head_hidden_size) == (8, 6)
    x = net.forward_features(IMAGES).mean((2, 3))
    for layer in net.hidden:
        x = torch.relu(layer.fc(x))
    assert torch.allclose(net.forward_head(net.forward_features(IMAGES), pre_logits=True), x)
    with pytest.raises(ValueError, match="cannot change its pooling"):
        net.reset_classifier(5, "max")


def test_groups_are_named_and_ordered_by_stage():
    net = Net(stages(), num_classes=5, in_chans=3, hidden=FullyConnected((8, 7, 6)))
    assert list(net.group_matcher(coarse=True)) == ["stem", "stage1", "conv5", "hidden", "classifier"]
    firsts = [
        [names[0] for names in group_parameters(net, net.group_matcher(coarse=coarse)).values()]
        for coarse in (True, False)
    ]
    stem, tail = ["stem.conv.weight"], ["conv5.weight", "hidden.0.fc.weight", "hidden.1.fc.weight"]
    tail = [*tail, "classifier.weight"]
    assert firsts[0] == [*stem, "stage1.0.conv.weight", *tail]
    assert firsts[1] == [*stem, "stage1.0.conv.weight", "stage1.1.conv.weight", *tail]


def test_a_new_classifier_is_where_the_net_is():
    with torch.device("meta"):
        net = Net(stages(), num_classes=5, in_chans=3)
    net.reset_classifier(3)
    assert net.classifier.weight.is_meta
    net = Net(stages(), num_classes=5, in_chans=3).to(torch.bfloat16)
    net.reset_classifier(3)
    assert net.classifier.weight.dtype == torch.bfloat16


def test_feature_info():
    net = Net(stages(), num_classes=5, in_chans=3)
    info = [(row["module"], row["num_chs"], row["reduction"]) for row in net.feature_info]
    assert info == [("stem", 4, 2), ("stage1", 8, 4), ("conv5", 8, 4)]
