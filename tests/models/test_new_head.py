"""New heads on loaded weights: small in every layer that has an output a class, and nothing else is touched."""

from __future__ import annotations

from math import log

import pytest
import timm
import torch
from torch import nn

from cnntrain.models import auxiliary, new_head, registry
from cnntrain.transfer.groups import classifier_modules

CLASSES = 11
# name, arguments, the layers with an output a class
NETS = (
    ("resnet20", {}, ["classifier"]),
    ("nin_cifar", {}, ["classifier"]),  # a convolution, with a ReLU behind it
    ("tv_squeezenet", {}, ["classifier.1"]),
    ("googlenet", {"aux_logits": True}, ["classifier", "aux.0.classifier", "aux.1.classifier"]),
    ("test_convnext", {}, ["head.fc"]),
    ("repvit_m0_9", {}, ["head.head.l", "head.head_dist.l"]),  # behind a batch norm each
    ("lenet5_1998", {}, []),  # its classes are codes: none of its layers has an output a class
)


@pytest.mark.parametrize(("name", "args", "layers"), NETS)
def test_layers_with_an_output_a_class_begin_small(name: str, args: dict[str, bool], layers: list[str]) -> None:
    registry.register()
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=CLASSES, **args)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    new_head.begin(model, [*classifier_modules(model), *auxiliary.heads(model)])
    after = model.state_dict()
    assert {key.rpartition(".")[0] for key in after if not torch.equal(before[key], after[key])} == set(layers)
    for path in layers:
        weight, bias = after[f"{path}.weight"], after[f"{path}.bias"]
        assert 0.008 < float(weight.std()) < 0.012 and abs(float(weight.mean())) < 0.002
        assert len(weight) == CLASSES and not bias.any()


def test_the_first_loss_is_that_of_chance_however_large_features_are() -> None:
    registry.register()
    torch.manual_seed(0)
    model = timm.create_model("test_efficientnet", num_classes=CLASSES)
    # as those of EfficientNet-Lite0 with ImageNet's weights are, whose norm is 64
    features = torch.randn(256, model.head_hidden_size, generator=torch.Generator().manual_seed(1)).abs()
    features, labels = 64 * features / features.norm(dim=1, keepdim=True), torch.arange(256) % CLASSES

    @torch.no_grad()
    def loss() -> float:
        return float(nn.functional.cross_entropy(model.get_classifier()(features), labels))

    assert loss() > 3 * log(CLASSES)
    new_head.begin(model, classifier_modules(model))
    assert abs(loss() - log(CLASSES)) < 0.5
