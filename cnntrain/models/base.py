"""The base of every local model: stages, hidden layers, a classifier, and timm's whole protocol on them.

A family's file lists its stages as the paper's table does; freezing, probing, feature extraction,
checkpointing and export then work as on any timm model. What a family may override:

- `make_classifier`: a classifier that is not one linear layer (NiN's 1x1 convolution);
- `forward_head`: another order of pooling and classifying;
- `reset_classifier`: auxiliary heads, made anew with the classifier, on the base of auxiliary.py.

tests/models/test_base.py shows each kind.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import timm.models
from timm.layers import SelectAdaptivePool2d, get_device_dtype
from timm.models import checkpoint_seq
from timm.models._features import feature_take_indices
from torch import Tensor, nn


class Stage(NamedTuple):
    """One row of the paper's table: a part of the trunk that can be frozen, probed and looked at by its name.

    `channels` is the depth of its output, `stride` the total stride within the stage.
    """

    name: str
    module: nn.Module
    channels: int
    stride: int = 1


class Blocks(nn.Sequential):
    """A stage of repeated blocks: each is a parameter group (unless coarse) and checkpointed on its own."""


class GlobalMean(nn.Module):
    """The mean of each map: (N, C, ...) to (N, C), of signals, images or volumes."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(2)


class FullyConnected(nn.Sequential):
    """Hidden layers between the feature map and the classifier: linear, activation, with dropout in between.

    `sizes` begins with the number of inputs: (9216, 4096, 4096) is AlexNet's FC6 and FC7. The dropout after
    the last layer is the net's own, which stands before the classifier of every net.
    """

    def __init__(self, sizes: Sequence[int], act: Callable[[], nn.Module] = nn.ReLU, drop_rate: float = 0.0):
        layers = []
        for index, (ins, outs) in enumerate(pairwise(sizes)):
            drop = {"drop": nn.Dropout(drop_rate)} if index else {}
            layers.append(nn.Sequential(OrderedDict(**drop, fc=nn.Linear(ins, outs), act=act())))
        super().__init__(*layers)
        self.out_features = sizes[-1]


class Net(nn.Module):
    """Images (N, in_chans, H, W) to logits (N, num_classes); or signals (N, in_chans, L), or volumes
    (N, in_chans, T, H, W).

    `global_pool` is any of timm's ("avg", "max", "avgmax", "catavgmax"; "" for none, without a classifier) or
    a module that gives `hidden` its (N, inputs) and cannot be changed: `nn.Flatten()`, a spatial pyramid.
    `num_features` counts the channels of `forward_features`, `head_hidden_size` the inputs of the classifier.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        num_classes: int,
        in_chans: int,
        drop_rate: float = 0.0,
        global_pool: str | nn.Module = "avg",
        hidden: FullyConnected | None = None,
    ):
        super().__init__()
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.stage_names = [stage.name for stage in stages]
        self.feature_info: list[dict[str, Any]] = []
        reduction = 1
        for stage in stages:
            self.add_module(stage.name, stage.module)
            reduction *= stage.stride
            self.feature_info.append(dict(num_chs=stage.channels, reduction=reduction, module=stage.name))
        self.num_features = stages[-1].channels
        self.global_pool: nn.Module = _pool(global_pool) if isinstance(global_pool, str) else global_pool
        self.hidden: nn.Module = hidden or nn.Identity()
        self.head_drop = nn.Dropout(drop_rate)
        self.reset_classifier(num_classes)

    def make_classifier(self, num_classes: int) -> nn.Module:
        """A freshly initialised classifier on `head_hidden_size` features."""
        return nn.Linear(self.head_hidden_size, num_classes)

    def get_classifier(self) -> nn.Module:
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new classifier of `num_classes` outputs (0: none), and another pooling if one is named.

        Raises ValueError for a pooling that the net cannot have.
        """
        if global_pool is not None:
            self._reset_pool(global_pool)
        pool = self.global_pool
        if num_classes and isinstance(pool, SelectAdaptivePool2d) and pool.is_identity():
            raise ValueError('global_pool="" leaves a feature map, so it needs num_classes=0')
        self.num_classes = num_classes
        self.head_hidden_size = self._head_width()
        classifier = self.make_classifier(num_classes) if num_classes else nn.Identity()
        self.classifier: nn.Module = classifier.to(**get_device_dtype(self))

    def _reset_pool(self, global_pool: str) -> None:
        """The hidden layers are sized for what the pooling gives them, so with them it stays as it is."""
        if not isinstance(self.global_pool, SelectAdaptivePool2d) or isinstance(self.hidden, FullyConnected):
            raise ValueError(f"{type(self).__name__} cannot change its pooling to {global_pool!r}")
        self.global_pool = _pool(global_pool)

    def _head_width(self) -> int:
        if isinstance(self.hidden, FullyConnected):
            return self.hidden.out_features
        pool = self.global_pool
        return self.num_features * (pool.feat_mult() if isinstance(pool, SelectAdaptivePool2d) else 1)

    def forward_features(self, x: Tensor) -> Tensor:
        """Images to the last stage's feature map (N, num_features, h, w)."""
        for name in self.stage_names:
            x = self._run_stage(name, x)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """A feature map to logits, or to the (N, head_hidden_size) that the classifier would be given."""
        x = self.head_drop(self.hidden(self.global_pool(x)))
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The final feature map and the maps after the stages `indices` (None: all, an int: the last n).

        `norm` is timm's signature and without effect: no local net ends in a norm of its own.
        Raises ValueError for a format other than NCHW.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt must be NCHW, not {output_fmt!r}")
        take, last = feature_take_indices(len(self.stage_names), indices)
        taken = []
        for index, name in enumerate(self.stage_names[: last + 1] if stop_early else self.stage_names):
            x = self._run_stage(name, x)
            if index in take:
                taken.append(x)
        return taken if intermediates_only else (x, taken)

    def prune_intermediate_layers(
        self, indices: int | list[int] | None = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove the stages after the last of `indices`, and the head; returns the indices kept."""
        take, last = feature_take_indices(len(self.stage_names), indices)
        cut = self.stage_names[last + 1 :]
        for name in cut:
            delattr(self, name)
        self.stage_names = self.stage_names[: last + 1]
        self.feature_info = self.feature_info[: last + 1]
        self.num_features = self.feature_info[-1]["num_chs"]
        if prune_head or cut:
            self.global_pool, self.hidden = _pool(""), nn.Identity()
            self.reset_classifier(0)
        return take

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Parameter groups from the stem to the head: the stages, each under its name (unless coarse, their
        blocks), the hidden layers one by one, the classifier alone."""
        matcher = {}
        for name in self.stage_names:
            has_blocks = isinstance(self.get_submodule(name), Blocks)
            matcher[name] = rf"^{name}\.(\d+)" if has_blocks and not coarse else rf"^{name}(?:\.|$)"
        return matcher | {"hidden": r"^hidden\.(\d+)", "classifier": r"^classifier(?:\.|$)"}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep only the input of each stage (of each block in `Blocks`); backward recomputes the rest."""
        self.grad_checkpointing = enable

    def _run_stage(self, name: str, x: Tensor) -> Tensor:
        stage = self.get_submodule(name)
        if not self.grad_checkpointing:
            return stage(x)
        return checkpoint_seq(stage if isinstance(stage, Blocks) else [stage], x)


def _pool(kind: str) -> SelectAdaptivePool2d:
    return SelectAdaptivePool2d(pool_type=kind, flatten=bool(kind))


def conv_bn_relu(ins: int, outs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias (the norm has one) that keeps the size at stride 1, batch norm, ReLU."""
    conv = nn.Conv2d(ins, outs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(outs), act=nn.ReLU()))


def he_init(module: nn.Module) -> None:
    """For `Module.apply`: convolutions from N(0, 2 / fan_out) (He et al. 2015, arXiv:1502.01852), biases 0.

    The classifier keeps torch's own, so that one that was reset is drawn from the same distribution.
    """
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def default_cfg(first_conv: str, input_size: tuple[int, ...], num_classes: int, **more: Any) -> dict[str, Any]:
    """An entry of timm's `default_cfgs` for a net without published weights; `input_size` is (C, H, W), of signals
    (C, L), of volumes (C, T, H, W)."""
    half = (0.5,) * input_size[0]
    cfg = dict(input_size=input_size, num_classes=num_classes, first_conv=first_conv, classifier="classifier")
    return cfg | dict(mean=half, std=half, interpolation="bilinear", crop_pct=1.0) | more


def build(net: Callable[..., Net], variant: str, pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """What an entrypoint returns. `features_only=True` gives every stage's map, or those of `out_indices`."""
    features = dict(feature_cls="getter", out_indices=None)
    published = timm.models.get_pretrained_cfg(variant)
    own = published.input_size if published is not None else None
    if own is None or len(own) == 3:
        return timm.models.build_model_with_cfg(net, variant, pretrained, feature_cfg=features, **kwargs)
    # timm knows images alone: it is not told the shape of signals and volumes, and does not ask for it
    overlay = {**(kwargs.pop("pretrained_cfg_overlay", None) or {}), "input_size": None}
    model: Any = timm.models.build_model_with_cfg(
        net, variant, pretrained, feature_cfg=features, pretrained_cfg_overlay=overlay, **kwargs
    )
    model.pretrained_cfg["input_size"] = own
    return model
