from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.data.batches import statistics
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.statistics import mean_and_deviation
from cnntrain.data.sets.dataset import Part


def part(images: torch.Tensor) -> Part:
    return Part(images, np.zeros(len(images), dtype=np.int64), [str(i) for i in range(len(images))])


def untouched(image: torch.Tensor, target: int) -> tuple[torch.Tensor, int]:
    return image, target


def noise(count: int, channels: int, size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.sampled_from([1, 3]), st.integers(1, 7), st.integers(0, 99))
def test_they_are_numpys(count: int, channels: int, size: int, seed: int) -> None:
    images = noise(count, channels, size, seed)
    mean, deviation = mean_and_deviation(part(images), untouched)
    values = images.numpy().astype(np.float64) / 255
    assert mean == pytest.approx(values.mean(axis=(0, 2, 3)))
    expected = values.std(axis=(0, 2, 3))
    assert deviation == pytest.approx(np.where(expected > 1e-6, expected, 1.0), abs=1e-7)


def test_a_constant_channel_is_only_shifted() -> None:
    images = noise(4, 3, 5)
    images[:, 1] = 51
    mean, deviation = mean_and_deviation(part(images), untouched)
    assert mean[1] == pytest.approx(0.2)
    assert deviation[1] == 1.0


def test_images_count_as_an_evaluation_sees_them() -> None:
    images = torch.zeros(2, 1, 4, 8, dtype=torch.uint8)
    images[..., 2:6] = 255  # the central square
    seen = Preprocess(1, 4, "center", 1.0, "bilinear", [0.5], [1.0], "white")
    mean, deviation = mean_and_deviation(part(images), seen.fit)
    assert (mean, deviation) == ([1.0], [1.0])


def test_a_large_part_is_sampled_always_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_IMAGES", 300)
    seen: list[int] = []
    images = noise(900, 1, 4)

    def note(image: torch.Tensor, target: int) -> tuple[torch.Tensor, int]:
        seen.append(1)
        return image, target

    first = mean_and_deviation(part(images), note)
    assert len(seen) == 300
    torch.manual_seed(99)
    assert mean_and_deviation(part(images), note) == first
    assert first[0] == pytest.approx([images.double().mean().item() / 255], abs=0.02)


def test_processes_that_read_change_no_bit() -> None:
    images = noise(200, 3, 6)
    assert mean_and_deviation(part(images), untouched, 2) == mean_and_deviation(part(images), untouched)
