"""GoogLeNet, with the auxiliary heads of its training.

Szegedy et al., Going deeper with convolutions, 2014 (arXiv:1409.4842), table 1.
"""

from collections import OrderedDict
from typing import Any, ClassVar

from timm.layers import get_device_dtype
from timm.models import generate_default_cfgs, register_model, register_notrace_module
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from cnntrain.models.auxiliary import AuxiliaryNet
from cnntrain.models.base import Stage, build, default_cfg
from cnntrain.models.parts import Branches, branches, conv_relu, glorot_init, response_norm

# 1x1 | 3x3 reduced, 3x3 | 5x5 reduced, 5x5 | projection behind the pool
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
_CFG = default_cfg("conv1.conv", (3, 224, 224), 1000, paper_ids="arXiv:1409.4842")
default_cfgs = generate_default_cfgs({"googlenet": _CFG})


def inception(ins: int, ones: int, reduce3: int, threes: int, reduce5: int, fives: int, project: int) -> Branches:
    """(N, ins, H, W) to (N, ones + threes + fives + project, H, W)."""
    return branches(
        conv1=conv_relu(ins, ones, 1),
        conv3=nn.Sequential(OrderedDict(reduce=conv_relu(ins, reduce3, 1), conv=conv_relu(reduce3, threes, 3))),
        conv5=nn.Sequential(OrderedDict(reduce=conv_relu(ins, reduce5, 1), conv=conv_relu(reduce5, fives, 5))),
        pool=nn.Sequential(OrderedDict(pool=nn.MaxPool2d(3, 1, 1), project=conv_relu(ins, project, 1))),
    )


@register_notrace_module
class AuxiliaryPool(nn.Module):
    """(N, C, H, W) to (N, C, 4, 4): the paper's means over 5x5 pixels, 3 apart, where they give 4x4, as on the
    14x14 maps of 224x224 images; else windows of even size. A leaf to tracers, for what it does depends on H, W."""

    def forward(self, x: Tensor) -> Tensor:
        if all(14 <= side < 17 for side in x.shape[-2:]):
            return avg_pool2d(x, 5, 3)
        return adaptive_avg_pool2d(x, 4)


class AuxiliaryHead(nn.Module):
    """An inner map (N, ins, H, W) to logits (N, num_classes)."""

    def __init__(self, ins: int, num_classes: int, drop_rate: float):
        super().__init__()
        self.pool = AuxiliaryPool()
        self.conv = conv_relu(ins, 128, 1).apply(glorot_init)
        self.fc = nn.Sequential(nn.Flatten(), nn.Linear(128 * 4 * 4, 1024), nn.ReLU())
        self.drop = nn.Dropout(drop_rate)
        self.classifier = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.drop(self.fc(self.conv(self.pool(x)))))


class GoogLeNet(AuxiliaryNet):
    """Nine Inception modules between a stem with response normalisation and one classifier.

    With `aux_logits` the net returns (logits, logits of 4a's head, logits of 4d's head) in training; the paper
    adds the losses of the heads with weight 0.3. In eval, and without, it returns logits alone. The paper names
    no initialisation and no constants for the normalisation: Glorot's, for 1x1 convolutions that widen and narrow
    would let He's explode or fade, and AlexNet's.
    """

    AUXILIARY: ClassVar[dict[str, str]] = {"aux.0": "inception4a", "aux.1": "inception4d"}
    aux_logits = False
    aux_drop_rate = 0.7

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.4,
        global_pool: str = "avg",
        aux_logits: bool = False,
        aux_drop_rate: float = 0.7,
    ):
        super().__init__(
            _stages(in_chans),
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=global_pool,
        )
        for name in self.stage_names:
            self.get_submodule(name).apply(glorot_init)
        self.aux_logits, self.aux_drop_rate = aux_logits, aux_drop_rate
        self._reset_auxiliary()

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        super().reset_classifier(num_classes, global_pool)
        self._reset_auxiliary()

    def _reset_auxiliary(self) -> None:
        heads = []
        if self.aux_logits and self.num_classes:
            for row in self.feature_info:
                if row["module"] in self.AUXILIARY.values():
                    heads.append(AuxiliaryHead(row["num_chs"], self.num_classes, self.aux_drop_rate))
        self.aux = nn.ModuleList(heads).to(**get_device_dtype(self))


def _stages(in_chans: int) -> list[Stage]:
    conv1 = conv_relu(in_chans, 64, 7, 2)
    conv1.add_module("pool", _pool())
    conv1.add_module("norm", response_norm())
    conv2 = nn.Sequential(OrderedDict(reduce=conv_relu(64, 64, 1), conv=conv_relu(64, 192, 3)))
    conv2.add_module("norm", response_norm())
    conv2.add_module("pool", _pool())
    stages, ins = [Stage("conv1", conv1, 64, 4), Stage("conv2", conv2, 192, 2)], 192
    for name, widths in MODULES.items():
        ones, _, threes, _, fives, project = widths
        module: nn.Module = inception(ins, *widths)
        pooled = name in ("4a", "5a")
        if pooled:
            module = nn.Sequential(OrderedDict(pool=_pool(), inception=module))
        ins = ones + threes + fives + project
        stages.append(Stage(f"inception{name}", module, ins, 2 if pooled else 1))
    return stages


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


@register_model
def googlenet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(GoogLeNet, "googlenet", pretrained, **kwargs)
