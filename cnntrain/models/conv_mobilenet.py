"""MobileNet with full convolutions in place of the separable ones: the baseline of the paper's table 4.

Howard et al., MobileNets: efficient convolutional neural networks for mobile vision applications, 2017
(arXiv:1704.04861).
"""

from typing import Any

from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import Blocks, Net, Stage, build, conv_bn_relu, default_cfg, he_init

# a stage for each resolution: the (channels, stride) of its convolutions
STAGES = (
    ((64, 1),),
    ((128, 2), (128, 1)),
    ((256, 2), (256, 1)),
    ((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    ((1024, 2), (1024, 1)),
)


class ConvMobileNet(Net):
    """A strided 3x3 convolution to 32 channels and thirteen more, each with a norm and a ReLU; the classifier.

    All have `width` times as many channels: the paper's width multiplier.
    """

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
    ):
        ins = int(32 * width)
        stages = [Stage("stem", conv_bn_relu(in_chans, ins, stride=2), ins, 2)]
        for index, rows in enumerate(STAGES):
            blocks = []
            for channels, stride in rows:
                outs = int(channels * width)
                blocks.append(conv_bn_relu(ins, outs, stride=stride))
                ins = outs
            stages.append(Stage(f"stage{index + 1}", Blocks(*blocks), ins, rows[0][1]))
        super().__init__(
            stages, num_classes=num_classes, in_chans=in_chans, drop_rate=drop_rate, global_pool=global_pool
        )
        self.apply(he_init)


default_cfgs = generate_default_cfgs(
    {"conv_mobilenet": default_cfg("stem.conv", (3, 224, 224), 1000, paper_ids="arXiv:1704.04861")}
)


@register_model
def conv_mobilenet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(ConvMobileNet, "conv_mobilenet", pretrained, **kwargs)
