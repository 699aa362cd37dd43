"""`data.jpeg_draft`: a run's images are decoded alike in training, eval, predict, embed, explain and on its page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cnntrain
from cnntrain.augment.batched.crops import boxes, smallest
from cnntrain.build.data import _holder, _train_loader, eval_loader, load_data
from cnntrain.build.images import part_of
from cnntrain.build.trained import read
from cnntrain.commands.train import Train
from cnntrain.config.check import check, plain
from cnntrain.config.compose import compose_config
from cnntrain.core.draws import Draws
from cnntrain.core.errors import ConfigError
from cnntrain.data.base import Reading
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import WHOLE, eval_plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.samples import Samples
from cnntrain.data.sets.dataset import Part
from cnntrain.data.sets.decode import decode
from cnntrain.data.sets.files import FileImages
from cnntrain.data.sets.subset import SomeImages
from cnntrain.runs import predictions
from cnntrain.study.evaluation.corruptions import Corrupted

SIDE = 32
SEEN = Preprocess(3, SIDE, "center", 0.8, "bilinear", [0.5] * 3, [0.5] * 3, "white", jpeg_draft=True)
WORDS = (
    "data=imagefolder", f"data.image_size={SIDE}", "data.batch_size=8", "data.num_workers=0", "model=lenet5",
    "trainer.device=cpu", "trainer.epochs=2", "data.jpeg_draft=true", "report.html=false",
)  # fmt: skip


def draw(path: Path, index: int, size: tuple[int, int] = (300, 200), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(index).integers(0, 256, (14, 20, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode).save(path, quality=95)
    return path


def folder(root: Path) -> tuple[str, ...]:
    """Words for a set of six images of each of two classes."""
    for name in "ab":
        for index in range(6):
            draw(root / name / f"{index}.jpg", index)
    return "data=imagefolder", f"data.root={root}", "augment=none"


def of_words(*words: str) -> Train:
    last = {each.partition("=")[0]: each for each in words}  # of each key
    return check(plain(compose_config("train", ["model=lenet5", *last.values()])), Train)


def train_loader(*words: str) -> Loader:
    config = of_words(*words)
    seen = replace(SEEN, image_size=24, jpeg_draft=config.data.jpeg_draft)
    return _train_loader(config, load_data(config.data), seen, torch.device("cpu"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    for number, name in enumerate(("ant", "bee")):
        for part, count in (("train", 8), ("val", 3), ("test", 3)):
            for index in range(count):
                draw(root / part / name / f"{index}.jpg", 100 * number + 10 * count + index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        return Path(cnntrain.train(*WORDS, f"data.root={root}", f"output={root / 'runs'}")["run_dir"])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    ("least", "scale"), [(None, 1), (201, 1), (101, 1), (100, 2), (51, 2), (50, 4), (25, 8), (1, 8)]
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_leaves_enough(
    tmp_path: Path, mode: str, least: int | None, scale: int
) -> None:
    for path, size in ((tmp_path / "wide.jpg", (300, 200)), (tmp_path / "tall.jpg", (200, 300))):
        draw(path, 1, size, mode)
        found = decode(str(path), Reading(3, "white", least=least))
        with Image.open(path) as image:
            image.draft(None, (size[0] // scale, size[1] // scale))
            assert found.numpy().tobytes() == np.moveaxis(np.asarray(image.convert("RGB")), 2, 0).tobytes()
        assert tuple(found.shape) == (3, -(-size[1] // scale), -(-size[0] // scale))
        assert torch.equal(found, decode(str(path), Reading(3, "white", least=least), path.read_bytes()))


def test_what_turns_a_jpeg_and_files_of_other_formats_stay(tmp_path: Path) -> None:
    path = draw(tmp_path / "turned.jpg", 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif, quality=95)
    assert tuple(decode(str(path), Reading(3, "white", least=60)).shape) == (3, 150, 100)
    draw(tmp_path / "x.png", 1)
    whole = decode(str(tmp_path / "x.png"), Reading(3, "white"))
    assert torch.equal(decode(str(tmp_path / "x.png"), Reading(3, "white", least=1)), whole) and whole.shape == (
        3,
        200,
        300,
    )


@pytest.mark.parametrize("crop", ["center", "pad", "squash"])
def test_samples_are_decoded_with_twice_what_is_seen_and_look_alike(tmp_path: Path, crop: Any) -> None:
    ids = [draw(tmp_path / f"{index}.jpg", index).name for index in range(3)]
    images = FileImages(tmp_path, ids, Reading(3, "white"))
    seen = replace(SEEN, crop=crop)
    assert seen.fit.least == 2 * SIDE / 0.8
    for some in (images, SomeImages(images, np.arange(3)), Corrupted(images, "contrast", 1)):
        part = Part(some, np.zeros(3, dtype=np.int64), ids)
        drafted = Samples(part, seen.fit, None)
        assert drafted.part.images[0].shape == (3, 100, 150) and part.images[0].shape == (3, 200, 300)
        whole = Samples(part, replace(seen, jpeg_draft=False).fit, None)
        gaps = [(drafted.sample(0, i)[0].int() - whole.sample(0, i)[0].int()).abs() for i in range(3)]
        assert 0 < max(int(gap.max()) for gap in gaps) <= 24 and max(gap.float().mean() for gap in gaps) < 1.5
    assert replace(seen, interpolation="nearest").fit.least is None


def test_packed_images_and_crops_have_their_own_needs(tmp_path: Path) -> None:
    words = (*folder(tmp_path), "augment=imagenet", "data.image_size=24")
    packed = train_loader(*words, "data.jpeg_draft=true", "data.pack_size=40")
    assert packed.packing is not None and packed.packing.least == 80
    assert Samples(packed.samples.part, packed.packing, None).part.images[0].shape == (3, 100, 150)
    crops = train_loader(*words, "data.jpeg_draft=true").samples
    assert crops.part.images.how.least == pytest.approx(2 * 24 / np.sqrt(0.08 * 3 / 4), abs=1)  # type: ignore[attr-defined]
    assert train_loader(*words).samples.part.images.how.least is None  # type: ignore[attr-defined]


def test_no_crop_is_smaller_than_the_smallest() -> None:
    draws, sides = Draws(0, 0, torch.arange(4000)), torch.tensor([[3000] * 4000, [4500] * 4000])
    _, _, height, width = boxes(sides, 0.08, draws)
    found = torch.minimum(height, width).min().item() / 3000
    assert smallest(0.08) <= found < smallest(0.08) * 1.5


def test_one_run_sees_its_images_alike_everywhere(run: Path, typed: Callable[..., Any]) -> None:
    found = read(run / "best.ckpt", torch.device("cpu"))
    assert found.seen.jpeg_draft and found.config.data.jpeg_draft
    data = load_data(found.config.data)
    assert data.test is not None
    paths = [str(run.parents[2] / each) for each in data.test.ids]
    (batch,) = eval_loader(found.config, data.test, found.seen, torch.device("cpu")).batches(eval_plan(6, 6, WHOLE))
    alone = torch.cat([found.preprocess(path) for path in paths])
    assert torch.equal(batch.inputs, alone)
    whole = torch.cat([replace(found, seen=replace(found.seen, jpeg_draft=False)).preprocess(path) for path in paths])
    assert not torch.equal(whole, alone)
    assert torch.equal(found.preprocess(Image.open(paths[0]).convert("RGB")), whole[:1])  # pixels are what they are
    embedded = torch.cat(
        [rows for rows, _ in found.through(lambda seen: seen, FileImages("", paths, Reading(3, "white")))]
    )
    (explained,) = found.shown(paths, print).batches()
    assert torch.equal(embedded, alone) and torch.equal(explained[1], alone)
    left = predictions.read(run / "test" / predictions.PREDICTIONS)
    with torch.inference_mode():
        np.testing.assert_allclose(found.network(alone).numpy(), left.logits, atol=1e-5)
    assert part_of(run, "test", left.ids).images[0].shape == (3, 100, 150)


@pytest.mark.parametrize(("words", "same"), [((), True), (("data.jpeg_draft=false",), False)])
def test_eval_keeps_to_the_run_but_for_what_is_typed(
    run: Path, typed: Callable[..., Any], tmp_path: Path, words: tuple[str, ...], same: bool
) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(run, copied)
    done = typed("eval", f"run={copied}", "device=cpu", "pictures=0", *words)
    assert done.returncode == 0, done.stderr
    answers = predictions.read(Path(done.stdout.strip().splitlines()[-1]) / predictions.PREDICTIONS).logits
    before = predictions.read(run / "test" / predictions.PREDICTIONS).logits
    gap = np.abs(answers - before).max()
    assert (gap < 1e-5) if same else (1e-4 < gap < inf)


def test_an_export_with_its_preprocessing_is_refused(run: Path, typed: Callable[..., Any], tmp_path: Path) -> None:
    done = typed("export", f"run={run}", "format=torch", f"output={tmp_path / 'made'}")
    assert done.returncode == 2 and not (tmp_path / "made").exists()
    assert "was trained with data.jpeg_draft=true" in done.stderr and "format=safetensors" in done.stderr
    weights = typed("export", f"run={run}", "format=safetensors", f"output={tmp_path / 'weights'}")
    assert weights.returncode == 0 and (tmp_path / "weights").is_dir()


def test_what_was_kept_without_it_is_found_and_not_taken_for_what_is_kept_with_it() -> None:
    without = replace(SEEN, jpeg_draft=False)
    assert "jpeg_draft" not in without.depends_on and SEEN.depends_on == {**without.depends_on, "jpeg_draft": True}


def test_it_is_in_the_key_of_what_is_kept(tmp_path: Path) -> None:
    keys, files = set(), folder(tmp_path)
    for words in ([], ["augment=imagenet", "data.pack_size=40"]):
        for drafted in ("false", "true"):
            config = of_words(*files, "data.image_size=24", f"data.jpeg_draft={drafted}", *words)
            data = load_data(config.data)
            seen = replace(SEEN, image_size=24, jpeg_draft=config.data.jpeg_draft)
            holder = _holder(config, data, seen)
            keys.add(holder._entry("train", _train_loader(config, data, seen, torch.device("cpu"))).key)
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=digits"], "jpeg_draft has no meaning for data=digits, which has no JPEG files"),
        (["data=imagefolder", "data.root=x", "data.interpolation=nearest"], "interpolation=nearest takes single ones"),
    ],
)
def test_it_is_refused_where_it_means_nothing(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        of_words("augment=none", *words, "data.jpeg_draft=true")
