"""Folders of images and masks: what is ignored, what is refused, and how they are divided."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from composing import composed
from PIL import Image

from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core.errors import InputError
from cnntrain.core.targets import IGNORE
from cnntrain.data.masks import MaskFolder


def source(root: Path, **keys: object) -> MaskFolder:
    words = ["task=segment", "data=masks", f"data.root={root}", *(f"data.{key}={value}" for key, value in keys.items())]
    found = check(composed(words), Train).data
    assert isinstance(found, MaskFolder)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(10):
        Image.new("RGB", (9, 6), (number, 0, 0)).save(tmp_path / "images" / f"{number}.jpg")
        mask = np.zeros((6, 9), np.uint8)
        mask[0], mask[1] = 1 + number % 2, 99
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    (tmp_path / "classes.txt").write_text("ground\ncat\ndog\n")
    return tmp_path


def test_masks_go_with_their_images_and_one_number_is_ignored(root: Path) -> None:
    data = source(root, ignore=99).load()
    assert data.classes == ["ground", "cat", "dog"] and [len(each) for each in data.parts().values()] == [6, 2, 2]
    for part in data.parts().values():
        for position, name in enumerate(part.ids):
            image, mask = part.sample(position)
            number = int(Path(name).stem)
            assert abs(int(image[0].float().mean()) - number) <= 1
            assert mask[0].unique().tolist() == [1 + number % 2] and mask[1].unique().tolist() == [IGNORE]
            assert part.labels[position].tolist() == [True, number % 2 == 0, number % 2 == 1]


def test_a_mask_changes_the_fingerprint(root: Path) -> None:
    before = source(root, ignore=99).load().fingerprint
    Image.fromarray(np.random.default_rng(0).integers(0, 3, (6, 9)).astype(np.uint8)).save(root / "masks" / "3.png")
    assert source(root, ignore=99).load().fingerprint != before


def test_what_is_wrong_with_a_mask_is_named(root: Path) -> None:
    with pytest.raises(InputError, match=r"0\.png: has the number 99, and there are 3 classes"):
        source(root).load()
    Image.new("L", (6, 9)).save(root / "masks" / "0.png")
    data = source(root, ignore=99).load()
    part = next(each for each in data.parts().values() if "images/0.jpg" in each.ids)
    with pytest.raises(InputError, match=r"images/0\.jpg: is of 9x6 pixels, and its mask of 6x9"):
        part.sample([*part.ids].index("images/0.jpg"))
    Image.new("RGB", (9, 6)).save(root / "masks" / "0.png")
    with pytest.raises(InputError, match=r"0\.png: is of mode RGB"):
        source(root, ignore=99).load()
    (root / "masks" / "0.png").unlink()
    with pytest.raises(InputError, match=r"0\.jpg has no mask 0\.png"):
        source(root, ignore=99).load()
