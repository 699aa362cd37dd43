"""Seconds an image that R-CNN, Fast R-CNN and Faster R-CNN take for the same scenes, over the same trunk, with the same
number of proposals at most: rounds in turn, by medians.

python scripts/bench_detectors.py [--rounds 5] [--images 16] [--proposals 50] [--backbone resnet20] [--crop 32]

Weights are random and no detection is sure enough to be one, so that what is timed are proposals and networks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np
import timm
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from cnntrain.data.sets.scenes import Canvas, scene
from cnntrain.models import registry
from cnntrain.models.proposals import Proposals

SIDE, CLASSES = 64, 10


def scenes(count: int) -> Tensor:
    """[count, 1, side, side] from 0 to 1."""
    digits, canvas = load_digits(), Canvas(SIDE, 1, 4, 16, 28)
    images = (digits.images * (255 / 16)).astype(np.uint8)
    made = [scene(images, digits.target, canvas, 0, 0, number).image for number in range(count)]
    return torch.from_numpy(np.stack(made))[:, None].float() / 255


def networks(args: argparse.Namespace) -> dict[str, Any]:
    registry.register()
    given: dict[str, dict[str, Any]] = {
        "rcnn": dict(proposals=args.proposals, crop=args.crop),
        "fast_rcnn": dict(proposals=args.proposals, hidden=128),
        "faster_rcnn": dict(
            channels=64, hidden=128, rpn_post_nms_top_n_test=args.proposals, rpn_pre_nms_top_n_test=10 * args.proposals
        ),
    }
    torch.manual_seed(0)
    common = dict(backbone=args.backbone, num_classes=CLASSES, in_chans=1, img_size=SIDE, box_score_thresh=0.99)
    return {name: timm.create_model(name, **common, **more).eval() for name, more in given.items()}


@torch.inference_mode()
def timed(nets: Mapping[str, Any], images: Tensor, proposals: int, rounds: int) -> dict[str, float]:
    """Median seconds of each and of the search for proposals, after a round that warms up."""
    seconds: dict[str, list[float]] = {"selective search": [], **{name: [] for name in nets}}
    for _ in range(rounds + 1):
        for name, times in seconds.items():
            search = Proposals(proposals)  # that remembers nothing
            if hasattr(nets.get(name), "propose"):
                nets[name].propose = search
            start = time.perf_counter()
            nets.get(name, search)(images)
            times.append(time.perf_counter() - start)
    return {name: median(times[1:]) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("rounds", 5), ("images", 16), ("proposals", 50), ("crop", 32)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--backbone", default="resnet20")
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = scenes(args.images)
    found = (Proposals(args.proposals)(images)[..., 0] >= 0).sum() / len(images)
    took = timed(networks(args), images, args.proposals, args.rounds)
    search = took.pop("selective search")
    print(
        f"{args.images} scenes of {SIDE}x{SIDE}, {args.backbone}, {found:.0f} of {args.proposals} proposals, one core"
    )
    print(f"selective search: {1000 * search / len(images):.1f} ms an image")
    for name, each in took.items():
        share = 0.0 if name == "faster_rcnn" else search / each
        print(f"{name:>11}: {1000 * each / len(images):7.1f} ms an image, {share:.0%} of it selective search")
    last = took["faster_rcnn"]
    print("ratios: " + " : ".join(f"{each / last:.1f}" for each in took.values()))
    alone = [each - search for name, each in took.items() if name != "faster_rcnn"]
    print("without the search: " + " : ".join(f"{each / last:.1f}" for each in [*alone, last]))


if __name__ == "__main__":
    main()
