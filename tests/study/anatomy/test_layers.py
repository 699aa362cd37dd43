from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from cnntrain.core.errors import ConfigError
from cnntrain.models import registry
from cnntrain.study.anatomy import layers


@pytest.mark.parametrize(
    ("name", "size", "published"),
    # the papers' tables: He et al. 2015, Simonyan and Zisserman 2014 (timm's figures), Huang et al. 2017
    [("resnet18", 224, 1.82e9), ("resnet50", 224, 4.11e9), ("vgg11", 224, 7.61e9), ("mobilenetv2_100", 224, 0.30e9)],
)
def test_multiply_adds_are_the_published_ones(name: str, size: int, published: float) -> None:
    assert layers.multiply_adds(timm.create_model(name), (3, size, size)) == pytest.approx(published, rel=0.02)


def test_multiply_adds_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 10))
    assert layers.multiply_adds(model, (1, 8, 8)) == 4 * 9 * 36 + 4 * 36 * 10


def test_the_model_is_left_as_it_was() -> None:
    model = timm.create_model("resnet18")
    model.layer1.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    layers.multiply_adds(model, (3, 32, 32))
    assert [model.training, model.layer1.training, model.layer2.training] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_images_that_are_too_small_get_the_smallest_size_that_works() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 11), nn.MaxPool2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ConfigError, match=r"does not take 8x8 images \(.*\); data\.image_size=13 works"):
        layers.multiply_adds(model, (3, 8, 8))
    assert layers.multiply_adds(model, (3, 13, 13)) > 0


def test_a_model_of_one_size_names_it() -> None:
    registry.register()
    with pytest.raises(ConfigError, match=r"LeNet5 does not take 28x28 images .*data\.image_size=32 works"):
        layers.multiply_adds(timm.create_model("lenet5", in_chans=1), (1, 28, 28))
    with pytest.raises(ConfigError, match=r"data\.image_size=32 works"):
        layers.multiply_adds(timm.create_model("lenet5", in_chans=1), (1, 40, 40))


def test_a_model_that_takes_no_such_images_at_all() -> None:
    with pytest.raises(ConfigError, match="take another model"):
        layers.multiply_adds(nn.Sequential(nn.Conv2d(1, 2, 1)), (3, 8, 8))


def test_parameters_passed_as_arguments_are_counted_too() -> None:
    """CaiT and PiT hand their class token to a module; the counter's hooks would want its gradient."""
    model = timm.create_model("cait_xxs24_224", num_classes=3)
    assert layers.multiply_adds(model, (3, 224, 224)) > 1e9
    assert all(parameter.requires_grad for parameter in model.parameters())
