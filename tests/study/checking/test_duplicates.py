"""The same image several times, and nearly the same one, against every pair compared with every other."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from looked import seen
from PIL import Image

from cnntrain.study.checking import duplicates
from cnntrain.study.checking.looks import SIDE


def pictures(count: int) -> np.ndarray:
    """uint8 [count, SIDE, SIDE, 3], smooth as small pictures of photographs are."""
    random = np.random.default_rng(5)
    rough = random.integers(0, 256, (count, 5, 5, 3), dtype=np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for each in rough]
    )


def test_candidates_are_all_pairs_up_to_the_distance() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, 2**16, (600, duplicates.BANDS)).astype(np.uint16)
    for row, bits in enumerate(np.arange(400) % 11):  # so many bits away from the row 200 before it
        codes[row + 200] = codes[row]
        for bit in random.permutation(64)[:bits]:
            codes[row + 200, bit // 16] ^= np.uint16(1 << (bit % 16))
    whole = [int.from_bytes(each.tobytes()) for each in codes]
    expected = [
        [left, right]
        for left, right in combinations(range(len(whole)), 2)
        if (whole[left] ^ whole[right]).bit_count() <= duplicates.DISTANCE
    ]
    pairs, crowded = duplicates._candidates(codes)
    assert len(expected) > 200
    assert pairs.tolist() == expected
    assert crowded == 0


def test_a_crowd_with_one_band_is_counted_and_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "CROWD", 5)
    codes = np.arange(7 * duplicates.BANDS, dtype=np.uint16).reshape(7, -1) * 500
    codes[:, 0] = 9
    pairs, crowded = duplicates._candidates(codes)
    assert (len(pairs), crowded) == (0, 7)


@pytest.mark.parametrize("size", [224, 112])
def test_compressed_and_smaller_copies_are_found_and_others_are_not(size: int) -> None:
    originals = [Image.fromarray(each).resize((224, 224), Image.Resampling.BICUBIC) for each in pictures(80)]
    small = []
    for number, image in enumerate(originals + originals[:10]):
        file = io.BytesIO()
        quality, side = (90, 224) if number < 80 else (50, size)
        image.resize((side, side)).save(file, "JPEG", quality=quality)
        small.append(np.asarray(Image.open(file).resize((SIDE, SIDE), Image.Resampling.BOX)))
    parts = ["train"] * 80 + ["train"] * 5 + ["test"] * 5
    labels = [0] * 89 + [1]
    found, crowded = duplicates.near(seen(np.stack(small), labels, parts))
    expected = [
        (f"near_{'duplicate' if row < 5 else 'leak'}", [f"train/{row}", f"{parts[80 + row]}/{80 + row}"])
        for row in range(10)
    ]
    assert sorted((each.kind.name, list(each.ids)) for each in found) == sorted(expected)
    assert crowded == 0
    (torn,) = [each for each in found if "train/9" in each.ids]
    assert torn.words == "train and test; labels ant and bee"


def test_a_near_copy_of_one_of_two_exact_copies_names_all_three() -> None:
    small = pictures(2)
    near = (small[0].astype(int) + np.arange(SIDE)[:, None, None] % 2).clip(0, 255).astype(np.uint8)
    looks = seen(np.stack([small[0], small[1], small[0], near]), [0] * 4, ["train"] * 3 + ["val"], [1, 2, 1, 3])
    (found,), _ = duplicates.near(looks)
    assert (found.kind.name, list(found.ids)) == ("near_leak", ["train/0", "train/2", "val/3"])


def test_pictures_without_any_contrast_are_not_alike() -> None:
    small = np.stack([np.full((SIDE, SIDE, 3), value, np.uint8) for value in (100, 101, 102)])
    small[:, 0, 0] += 1
    assert duplicates.near(seen(small, [0] * 3, ["train"] * 3)) == ([], 0)


def test_copies_are_leaks_contradictions_or_duplicates() -> None:
    parts = ["train", "train", "train", "test", "train", "val", "train"]
    looks = seen(pictures(7), [0, 0, 1, 1, 0, 1, 0], parts, [1, 1, 2, 2, 3, 3, 4])
    found = [(each.kind.name, list(each.ids), each.words) for each in duplicates.exact(looks)]
    assert found == [
        ("duplicate", ["train/0", "train/1"], "train"),
        ("leak", ["train/2", "test/3"], "train and test"),
        ("contradiction", ["train/4", "val/5"], "labels ant and bee"),
        ("leak", ["train/4", "val/5"], "train and val"),
    ]
