"""How far RoIPool and RoIAlign are off where boxes move by parts of a stride: on a map that is a ramp, what is pooled
of a box must move as the box does, so that the exact answer is known.

python scripts/roi_misalignment.py [--boxes 500] [--stride 16]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.ops import roi_align, roi_pool

SIDE, BINS, PARTS = 32, 7, 8  # of the map, of what is pooled, of a stride
Pooling = Callable[[Tensor, list[Tensor]], Tensor]
WAYS: dict[str, Pooling] = {
    "RoIPool": lambda maps, boxes: roi_pool(maps, boxes, BINS),
    "RoIAlign": lambda maps, boxes: roi_align(maps, boxes, BINS, sampling_ratio=2, aligned=True),
}


def ramp() -> Tensor:
    """[1, 1, side, side]: the place of each pixel's middle from left to right."""
    return (torch.arange(SIDE, dtype=torch.float64) + 0.5).expand(1, 1, SIDE, SIDE).contiguous()


def drawn(count: int) -> Tensor:
    """[count, 4]: boxes of 3 to 12 pixels a side of the map, anywhere that a stride more is inside."""
    draws = torch.Generator().manual_seed(0)
    sides = 3 + 9 * torch.rand(count, 2, generator=draws, dtype=torch.float64)
    corners = 1 + (SIDE - 4 - sides) * torch.rand(count, 2, generator=draws, dtype=torch.float64)
    return torch.cat([corners, corners + sides], 1)


def off(pooling: Pooling, boxes: Tensor, shift: float) -> Tensor:
    """[boxes, bins, bins]: how far what is pooled moves, less `shift`, in pixels of the map."""
    maps = ramp()
    before, after = (pooling(maps, [each])[:, 0] for each in (boxes, boxes + shift))
    return after - before - shift


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=500)
    parser.add_argument("--stride", type=int, default=16)
    args = parser.parse_args()
    boxes = drawn(args.boxes)
    print(f"{args.boxes} boxes, stride {args.stride}: pixels of the image that a pooled value is off, mean (worst)")
    print(f"{'shift / stride':>14}" + "".join(f"{name:>18}" for name in WAYS))
    for part in range(1, PARTS):
        line = f"{part / PARTS:14.3f}"
        for pooling in WAYS.values():
            wrong = args.stride * off(pooling, boxes, part / PARTS).abs()
            line += f"{f'{wrong.mean():.2f} ({wrong.max():.2f})':>18}"
        print(line)


if __name__ == "__main__":
    main()
