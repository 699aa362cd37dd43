"""The adapter that gives torchvision's nets timm's protocol, under torchvision's own keys."""

import re
from itertools import accumulate
from operator import mul
from typing import NamedTuple

from timm.layers import SelectAdaptivePool2d, get_device_dtype
from timm.models import adapt_input_conv, checkpoint_seq
from timm.models._features import feature_take_indices
from torch import Tensor, nn

from cnntrain.models.base import Net, _pool


class Part(NamedTuple):
    """A stage: torchvision's modules `paths` one after the other; the last one's path is its name.

    `blocks`: it is one Sequential of repeated blocks, each a parameter group of its own unless coarse.
    """

    paths: tuple[str, ...]
    channels: int
    stride: int = 1
    blocks: bool = False


class TorchvisionNet(Net):
    """`twin`, a net of torchvision's, seen as `PARTS`, a pool, the modules `HIDDEN` and the module `CLASSIFIER`.

    None of its rectifiers works in place, so that a map that was kept stays what it was. For other numbers of
    input channels than 3 the first convolution is summed or repeated as timm does with a trained one.
    """

    PARTS: tuple[Part, ...]
    HIDDEN: tuple[str, ...] = ()
    CLASSIFIER = "fc"
    FIRST_CONV: str

    def __init__(
        self, twin: nn.Module, num_classes: int, in_chans: int, drop_rate: float, global_pool: str | nn.Module
    ):
        nn.Module.__init__(self)  # not the base's, which puts each stage under a name of its own
        for name, child in twin.named_children():
            self.add_module(name, child)
        for module in self.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        adapt_first(self.get_submodule(self.FIRST_CONV), in_chans)
        self.in_chans, self.drop_rate, self.grad_checkpointing = in_chans, drop_rate, False
        self.parts = {part.paths[-1]: part for part in self.PARTS}
        self.stage_names = list(self.parts)
        strides = accumulate((part.stride for part in self.PARTS), mul)
        self.feature_info = [
            {"num_chs": part.channels, "reduction": reduction, "module": name}
            for (name, part), reduction in zip(self.parts.items(), strides, strict=True)
        ]
        self.num_features = self.PARTS[-1].channels
        self.global_pool = _pool(global_pool) if isinstance(global_pool, str) else global_pool
        self.hidden, self.hidden_paths = nn.Identity(), self.HIDDEN
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        return self.get_submodule(self.CLASSIFIER)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        if global_pool is not None:
            self._reset_pool(global_pool)
        pool = self.global_pool
        if num_classes and isinstance(pool, SelectAdaptivePool2d) and pool.is_identity():
            raise ValueError('global_pool="" leaves a feature map, so it needs num_classes=0')
        self.num_classes = num_classes
        self.head_hidden_size = self._head_width()
        classifier = self.make_classifier(num_classes) if num_classes else nn.Identity()
        self.set_submodule(self.CLASSIFIER, classifier.to(**get_device_dtype(self)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.global_pool(x)
        for path in self.hidden_paths:
            x = self.get_submodule(path)(x)
        return x if pre_logits else self.get_classifier()(x)

    def prune_intermediate_layers(
        self, indices: int | list[int] | None = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        take, last = feature_take_indices(len(self.stage_names), indices)
        cut = self.stage_names[last + 1 :]
        for path in (path for name in cut for path in self.parts[name].paths):
            _remove(self, path)
        self.stage_names, self.feature_info = self.stage_names[: last + 1], self.feature_info[: last + 1]
        self.num_features = self.feature_info[-1]["num_chs"]
        if prune_head or cut:
            for path in self.hidden_paths:
                _remove(self, path)
            self.global_pool, self.hidden_paths = _pool(""), ()
            self.reset_classifier(0)
        return take

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        matcher = {}
        for name in self.stage_names:
            part = self.parts[name]
            paths = "|".join(re.escape(path) for path in part.paths)
            matcher[name] = rf"^{name}\.(\d+)" if part.blocks and not coarse else rf"^(?:{paths})(?:\.|$)"
        for path in self.hidden_paths:
            matcher[path] = rf"^{re.escape(path)}(?:\.|$)"
        return matcher | {self.CLASSIFIER: rf"^{re.escape(self.CLASSIFIER)}(?:\.|$)"}

    def _run_stage(self, name: str, x: Tensor) -> Tensor:
        modules = [self.get_submodule(path) for path in self.parts[name].paths]
        if self.grad_checkpointing:
            blocks = list(modules[0].children()) if self.parts[name].blocks else modules
            return checkpoint_seq(blocks, x, every=1 if self.parts[name].blocks else len(modules))
        for module in modules:
            x = module(x)
        return x


def adapt_first(conv: nn.Module, in_chans: int) -> None:
    """Sum or repeat a first convolution over other input channels than 3, as timm does with a trained one."""
    assert isinstance(conv, nn.Conv2d | nn.Conv3d)
    weight = conv.weight.detach()
    flat = adapt_input_conv(in_chans, weight.flatten(2, -2))  # of a volume's kernel time and height as one
    conv.weight = nn.Parameter(flat.unflatten(2, weight.shape[2:-1]))
    conv.in_channels = in_chans


def _remove(net: nn.Module, path: str) -> None:
    parent, _, name = path.rpartition(".")
    delattr(net.get_submodule(parent), name)
