"""The two VGG configurations that timm lacks: A-LRN and C.

Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2014
(arXiv:1409.1556), table 1.
"""

from collections.abc import Sequence
from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import Blocks, Stage, build, default_cfg
from cnntrain.models.parts import FlatNet, conv_relu, glorot_init, response_norm

WIDTHS = (64, 128, 256, 512, 512)
_CFG = default_cfg("stage1.0.conv", (3, 224, 224), 1000, fixed_input_size=True, paper_ids="arXiv:1409.1556")
default_cfgs = generate_default_cfgs(dict.fromkeys(["vgg11_lrn", "vgg16_c"], _CFG))


class VGG(FlatNet):
    """Five stages of small convolutions, each closed by a 2x2 max-pool.

    `kernels` lists each stage's kernel sizes; `norm` puts response normalisation behind the first convolution.
    Raises ValueError for images of fewer than 32 pixels a side.
    """

    kernels: Sequence[Sequence[int]]
    norm = False

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.5,
        img_size: int | tuple[int, int] = 224,
        hidden_size: int = 4096,
    ):
        stages = []
        for index, (width, kernels) in enumerate(zip(WIDTHS, self.kernels, strict=True)):
            ins = WIDTHS[index - 1] if index else in_chans
            convs = [conv_relu(width if depth else ins, width, kernel) for depth, kernel in enumerate(kernels)]
            if self.norm and not index:
                convs[0].add_module("norm", response_norm())
            convs[-1].add_module("pool", nn.MaxPool2d(2))
            stages.append(Stage(f"stage{index + 1}", Blocks(*convs), width, 2))
        super().__init__(stages, img_size, hidden_size, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate)


class VGG11LRN(VGG):
    """A-LRN: A with one response normalisation, which the paper finds to be of no use."""

    kernels = ((3,), (3,), (3, 3), (3, 3), (3, 3))
    norm = True


class VGG16C(VGG):
    """C: B with a 1x1 convolution at the end of the last three stages.

    The paper starts its deep nets from a trained A, and notes that Glorot's initialisation does as well.
    """

    kernels = ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1))
    init = staticmethod(glorot_init)


@register_model
def vgg11_lrn(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(VGG11LRN, "vgg11_lrn", pretrained, **kwargs)


@register_model
def vgg16_c(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(VGG16C, "vgg16_c", pretrained, **kwargs)
