"""LeNet-5's head, which fixes the image size, and what the base refuses for it."""

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models import get_model_input_config
from torch import nn

from cnntrain.models import registry

registry.register()


def test_output_equals_the_paper_written_out():
    net = timm.create_model("lenet5").eval()
    w = list(net.parameters())
    images = torch.randn(3, 1, 32, 32)
    x = F.avg_pool2d(torch.tanh(F.conv2d(images, w[0], w[1])), 2)
    x = F.avg_pool2d(torch.tanh(F.conv2d(x, w[2], w[3])), 2)
    assert x.shape == (3, 16, 5, 5)
    x = torch.tanh(F.linear(x.flatten(1), w[4], w[5]))
    x = torch.tanh(F.linear(x, w[6], w[7]))
    assert torch.allclose(net(images), F.linear(x, w[8], w[9]))


def test_the_image_size_is_fixed():
    net = timm.create_model("lenet5")
    assert get_model_input_config(net)["fixed_input_size"]
    assert get_model_input_config(net)["input_size"] == (1, 32, 32)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        net(torch.randn(2, 1, 28, 28))


def test_another_image_size_can_be_asked_for():
    net = timm.create_model("lenet5", img_size=28)
    assert net(torch.randn(2, 1, 28, 28)).shape == (2, 10)
    assert get_model_input_config(net)["input_size"] == (1, 28, 28)
    with pytest.raises(ValueError, match="at least 16x16"):
        timm.create_model("lenet5", img_size=15)


def test_its_pooling_cannot_change():
    with pytest.raises(ValueError, match="LeNet5 cannot change its pooling to 'avg'"):
        timm.create_model("lenet5").reset_classifier(10, "avg")


def test_dropout_stands_before_the_second_hidden_layer_and_the_classifier():
    net = timm.create_model("lenet5", drop_rate=0.5)
    dropouts = [name for name, module in net.named_modules() if isinstance(module, nn.Dropout)]
    assert dropouts == ["hidden.1.drop", "head_drop"]
    assert all(net.get_submodule(name).p == 0.5 for name in dropouts)
