"""The base of networks that find objects: boxes, their classes and scores, perhaps their masks, over any trunk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from cnntrain.core.targets import Target
from cnntrain.models.trunk import OverTrunk, last_of_each_stride

Targets = Mapping[str, Tensor]  # of a batch, see `data.sets.boxes`
Info = list[dict[str, Any]]  # timm's `feature_info`
Objects = dict[str, Tensor]  # of an image, as torchvision has them
Maps = dict[str, Tensor]  # of a pyramid, the finest first
COLUMNS = 6  # of a detection: class, score, left, top, right, bottom; in pixels
NONE = -1.0  # class of a row without a detection
RATIOS = (0.5, 1.0, 2.0)  # of an anchor's height to its width
COARSER = 8.0  # an anchor's side, of the stride of its map, as torchvision has it
EVERY_IMAGE = 0  # seed of what an evaluation draws for an image


@dataclass(frozen=True)
class Detected:
    """What a network makes of a batch.

    Attributes:
        losses: of targets [batch]: the losses of its parts, added up, of each image by itself.
        boxes: [batch, detections, `COLUMNS`], the surest first; None in training. Scores have a gradient.
        masks: of each image float [detections that there are, height, width], from 0 to 1; None of a network without.
    """

    losses: Callable[[Targets], Tensor]
    boxes: Tensor | None = None
    masks: list[Tensor] | None = None


class BoxHead(nn.Module):
    """Maps of a trunk to `Detected`, of which torch.fx sees nothing: it goes as the values do.

    Attributes:
        side: of images, for which anchors are made.
        of_classes: the modules that have outputs for each class, as far as there are such.
    """

    opaque = True
    of_classes: ClassVar[Sequence[str]] = ()

    @property
    def most(self) -> int:
        """Detections of an image."""
        raise NotImplementedError

    def forward(self, maps: list[Tensor], height: int, width: int) -> Detected:
        raise NotImplementedError


class BoxNet(OverTrunk):
    """Images (N, in_chans, H, W) to `Detected`.

    Args:
        head: of the depths and the strides of the trunk's maps.
        wanted: see `OverTrunk`; `coarsest` for several.
    """

    target: ClassVar[Target] = "boxes"
    has_masks: ClassVar[bool] = False

    def __init__(
        self,
        head: Callable[[list[int], list[int]], BoxHead],
        num_classes: int,
        in_chans: int,
        backbone: str,
        wanted: Callable[[Info], list[int]],
        pretrained_backbone: Mapping[str, Any] | None,
    ):
        super().__init__(num_classes, in_chans, backbone, wanted, pretrained_backbone)
        self.head = head(self.depths, self.strides)

    @property
    def of_classes(self) -> list[str]:
        """The modules that are new for other classes, where the rest of the head fits."""
        return [f"{self.HEAD}.{name}" for name, _ in self.head.named_modules() if name in self.head.of_classes]

    def forward(self, images: Tensor) -> Detected:
        found: Detected = self.head(self.maps(images), images.shape[-2], images.shape[-1])
        return found


class Pyramid(nn.Module):
    """Maps of a trunk, the finest first, to as many of `out_channels`, and those that `more` adds behind them."""

    def __init__(self, depths: Sequence[int], out_channels: int, more: ExtraFPNBlock):
        super().__init__()
        self.out_channels = out_channels
        self.fpn = FeaturePyramidNetwork([*depths], out_channels, more)

    def forward(self, maps: Sequence[Tensor]) -> Maps:
        found: Maps = self.fpn(OrderedDict((str(number), each) for number, each in enumerate(maps)))
        return found


def coarsest(levels: int) -> Callable[[Info], list[int]]:
    """Which maps are taken: the last of each stride but 1, at most so many."""
    if levels < 1:
        raise ValueError(f"levels must be 1 or more, not {levels}")
    return lambda info: _smaller(info, levels)


def _smaller(info: Info, levels: int) -> list[int]:
    found = [place for place in last_of_each_stride(info) if info[place]["reduction"] > 1][-levels:]
    if not found:
        raise ValueError("the backbone has no maps that are smaller than the image")
    return found


def anchor_sizes(
    strides: Sequence[int], side: int, asked: Sequence[float] | None, times: float = COARSER
) -> list[float]:
    """A side of the anchors of each map: as asked for, or so many times its stride, all made smaller alike where the
    largest were larger than the image.

    Raises:
        ValueError: not as many are asked for as there are maps.
    """
    if asked is not None:
        if len(asked) != len(strides) or not all(each > 0 for each in asked):
            raise ValueError(f"anchor_sizes must be {len(strides)} pixels, one a map, the finest first, not {[*asked]}")
        return [float(each) for each in asked]
    share = min(1.0, side / (times * max(strides)))
    return [times * each * share for each in strides]


def canvas(maps: Sequence[Tensor], height: int, width: int) -> tuple[ImageList, list[Tensor]]:
    """What torchvision's anchors are made from, images and maps: of their sizes, in a type that holds every pixel."""
    nothing = torch.zeros((), dtype=wide(maps[0].dtype), device=maps[0].device)
    count = len(maps[0])
    images = ImageList(nothing.expand(count, 1, height, width), [(height, width)] * count)
    return images, [nothing.expand(each.shape) for each in maps]


def wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def widened(values: Tensor) -> Tensor:
    """Not in half precision, in which a place of a large image is not exact."""
    return values.to(wide(values.dtype))


def objects(targets: Targets, first: int, masks: bool = False) -> list[Objects]:
    """Those of each image that are learned: ``boxes`` [n, 4], ``labels`` int64 [n], perhaps ``masks`` uint8 [n, height,
    width].

    Args:
        first: the number that the network gives the first class.
    """
    found = []
    for number, labels in enumerate(targets["labels"]):
        kept = (labels >= 0) & ~targets["ignored"][number]
        each = {"boxes": targets["boxes"][number][kept], "labels": labels[kept] + first}
        if masks:
            numbers = kept.nonzero()[:, 0] + 1
            each["masks"] = (targets["instances"][number][None] == numbers[:, None, None]).to(torch.uint8)
        found.append(each)
    return found


def rows(found: Sequence[Objects], first: int, most: int) -> Tensor:
    """Detections of each image, as `Detected.boxes` has them.

    Args:
        first: see `objects`.
        most: rows an image.
    """
    return torch.stack([_table(each, first)[torch.arange(most).clamp(max=each["boxes"].shape[0])] for each in found])


def _table(found: Objects, first: int) -> Tensor:
    """Detections, and behind them a row of none."""
    like = found["boxes"]
    parts = [(found["labels"] - first)[:, None].to(like), found["scores"][:, None].to(like), like]
    return torch.cat([torch.cat(parts, 1), like.new_tensor([[NONE, *[0.0] * (COLUMNS - 1)]])])


def outlined(values: Tensor, most: int, training: bool) -> Detected:
    """Without values, by which layers are counted: of as many images as `values`, with so many rows each."""
    count = len(values)
    boxes = None if training else values.new_empty(count, most, COLUMNS)
    return Detected(lambda targets: values.new_empty(count), boxes)


@contextmanager
def drawing(training: bool, device: torch.device) -> Iterator[None]:
    """What is drawn in training comes from torch's generators; in an evaluation it is the same for each image, whatever
    came before, and the generators stay as they were."""
    if training:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(EVERY_IMAGE)
        yield
