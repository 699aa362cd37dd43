"""LeNet-5.

LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998.
"""

from typing import Any

from timm.layers import to_2tuple
from timm.models import generate_default_cfgs, register_model
from torch import nn

from cnntrain.models.base import FullyConnected, Net, Stage, build, default_cfg

_PAPER = "Gradient-based learning applied to document recognition"
default_cfgs = generate_default_cfgs(
    {"lenet5": default_cfg("conv1.0", (1, 32, 32), 10, fixed_input_size=True, paper_name=_PAPER)}
)


class LeNet5(Net):
    """The modern reading of the paper: pools without weights, each map of conv2 on all of conv1, softmax.

    The flattened map fixes the image size, in pixels (H, W): 32x32 gives the paper's 16 maps of 5x5. A net
    built for one size raises RuntimeError on another; ValueError where nothing would be left to flatten.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        drop_rate: float = 0.0,
        img_size: int | tuple[int, int] = 32,
    ):
        rows, cols = (((pixels - 4) // 2 - 4) // 2 for pixels in to_2tuple(img_size))
        if min(rows, cols) < 1:
            raise ValueError(f"lenet5 needs images of at least 16x16 pixels, not {img_size}")
        super().__init__(
            [
                Stage("conv1", nn.Sequential(nn.Conv2d(in_chans, 6, 5), nn.Tanh(), nn.AvgPool2d(2)), 6, 2),
                Stage("conv2", nn.Sequential(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)), 16, 2),
            ],
            num_classes=num_classes,
            in_chans=in_chans,
            drop_rate=drop_rate,
            global_pool=nn.Flatten(),
            hidden=FullyConnected((16 * rows * cols, 120, 84), nn.Tanh, drop_rate),
        )


@register_model
def lenet5(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    return build(LeNet5, "lenet5", pretrained, **kwargs)
