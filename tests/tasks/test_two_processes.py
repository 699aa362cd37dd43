"""Each task on two processes against one with the same batches: the same weights, the very same evaluation.

What a process draws by itself is left out or made a function of the images: dropout, a choice of regions (all are
taken), a generator's numbers. Norms are of single images.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slow import slow_if

from cnntrain import cli
from cnntrain.runs import checkpoint

PLAIN = ("trainer.device=cpu", "report.html=false", "trainer.epochs=1", "model.pretrained=false", "schedule=constant")
EXACT = (*PLAIN, "trainer.precision=float64")
SCENES = (
    "data=digit_scenes", "data.train_size=8", "data.val_size=3", "data.test_size=3", "data.canvas=32",
    "data.batch_size=4", "augment=flip_crop", "optim.lr=0.01",
)  # fmt: skip
PIXELS = ("task=segment", *SCENES, *EXACT, "model=fcn", "model.drop_rate=0", "model.norm=group")
BOXES = ("task=detect", *SCENES, *PLAIN, "model.backbone=resnet20", "model.norm=group")
ALL = "box_batch_size_per_image: 2000"
ANCHORS = "channels: 16, hidden: 16, rpn_batch_size_per_image: 100000, rpn_post_nms_top_n_train: 40"
STILL = """
from timm.models import register_model
from cnntrain.models.dcgan import Dcgan

class Still(Dcgan):
    def draw(self, images):
        return images.flatten(1)[:, : self.latent]

@register_model
def still(pretrained=False, num_classes=0, in_chans=1, img_size=16, **kwargs):
    net = Still(num_classes, in_chans, img_size, latent=6, width=8)
    net.pretrained_cfg = net.default_cfg = dict(input_size=(1, 16, 16), num_classes=0, mean=(0.5,), std=(0.5,))
    return net
"""
GAN = (
    "task=generate", "task.samples=12", "data=fake", "data.train_size=16", "data.val_size=5", "data.test_size=5",
    "data.image_size=16", "data.channels=1", "augment=none", "data.batch_size=8", "optim.lr=0.01",
    "model.name=still", "model.norm=layer", *EXACT,
)  # fmt: skip
CASES = {
    "segment": (*PIXELS, "model.backbone=resnet20"),
    "segment, kept": (
        *PIXELS, "model.backbone=resnet20", "transfer=linear_probe", "augment=none", "transfer.cache=ram",
    ),
    "faster_rcnn": (*BOXES, "model=faster_rcnn", f"model.args={{{ANCHORS}, {ALL}}}"),
    "fast_rcnn": (*BOXES, "model=fast_rcnn", f"model.args={{hidden: 16, proposals: 20, {ALL}}}"),
    "rcnn": (*BOXES, "model=rcnn", f"model.args={{proposals: 12, crop: 8, pooled: 2, {ALL}}}"),
    "generate": GAN,
    "signals": ("model=lenet1d", "data=mnist1d", "data.train_per_class=8", "data.batch_size=16", *EXACT),
    "volumes": (
        "model=lenet3d", "data=moving_digits", "data.length=4", "data.image_size=16", "data.train_size=16",
        "data.val_size=8", "data.test_size=8", "data.batch_size=8", *EXACT,
    ),
}  # fmt: skip


def results_of(output: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    (path,) = output.glob("*/*/result.json")
    return json.loads(path.read_text()), checkpoint.load(path.parent / checkpoint.LAST)["model"]


def compared(words: tuple[str, ...], ranks: Callable[..., Any], tmp_path: Path) -> None:
    assert cli.main([*words, f"output={tmp_path / 'one'}"]) == 0
    ranks(*words, f"output={tmp_path / 'two'}")
    (one, weights), (two, others) = (results_of(tmp_path / name) for name in ("one", "two"))
    exact = "trainer.precision=float64" in words
    assert weights.keys() == others.keys()
    assert max((weights[key] - others[key]).abs().max().item() for key in weights) <= (1e-10 if exact else 1e-6)
    assert one["steps"] == two["steps"] > 0 and one["frozen"] == two["frozen"]
    assert two["test"] == pytest.approx(one["test"], rel=1e-9 if exact else 1e-4, nan_ok=True)


@pytest.mark.parametrize("name", slow_if(("segment, kept", "fast_rcnn", "rcnn", "volumes"), CASES))
def test_two_processes_train_as_one_does(name: str, ranks: Callable[..., Any], tmp_path: Path) -> None:
    words = CASES[name]
    (tmp_path / "still.py").write_text(STILL)
    own = ("--import", str(tmp_path / "still.py")) if "model.name=still" in words else ()
    compared((*own, *words), ranks, tmp_path)


@pytest.mark.slow
def test_parameters_that_no_map_depends_on_are_not_waited_for(ranks: Callable[..., Any], tmp_path: Path) -> None:
    """HRNet's last layers lead to maps that are not taken."""
    compared((*PIXELS, "model.backbone=hrnet_w18_small", "model.args.skips=1"), ranks, tmp_path)
