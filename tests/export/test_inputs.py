"""What a network is given within a graph is what an evaluation gives it, of signals and of volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.export import inputs

PLAIN: dict[str, Any] = {"crop": "center", "crop_fraction": 0.875, "interpolation": "bilinear", "background": "white"}
# as many frames as are seen, more, fewer, one; larger, smaller, longer
VOLUMES = ((4, 16, 16), (9, 40, 30), (3, 11, 50), (1, 16, 16))


def test_signals_are_normalised_as_an_evaluation_does() -> None:
    seen = Preprocess(2, 40, **PLAIN, mean=[0.4, -3.0], std=[0.2, 7.0], depth=32, sides=[40])
    module, signals = inputs.of(seen), torch.randn(5, 2, 40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(module(signals), seen(signals, torch.device("cpu"), torch.float32))
    assert (module.name, tuple(module.sizes)) == ("signals", ("batch",))
    assert np.array_equal(inputs.laid_out(signals[0]), signals[0].numpy())


@pytest.mark.parametrize("channels", [1, 3])
def test_volumes_are_seen_as_an_evaluation_sees_them(channels: int) -> None:
    seen = Preprocess(channels, 16, **PLAIN, mean=[0.4] * channels, std=[0.2] * channels, sides=[4, 16, 16])
    module = inputs.of(seen)
    for number, size in enumerate(VOLUMES):
        generator = torch.Generator().manual_seed(number)
        volume = torch.randint(0, 256, (channels, *size), dtype=torch.uint8, generator=generator)
        expected = seen(seen.fit(volume, 0)[0][None], torch.device("cpu"), torch.float32)
        given = inputs.laid_out(volume)
        assert given.shape == (*size, channels) and (given[..., 0] == volume[0].numpy()).all()
        found = module(torch.from_numpy(given)[None])
        assert found.shape == expected.shape == (1, channels, 4, 16, 16)
        assert float((found - expected).abs().max()) * 255 * 0.2 < 1e-4  # grey levels


@pytest.mark.parametrize("sides", [None, [5], [3, 5, 5]])
def test_no_two_sides_of_an_example_that_may_differ_are_alike(sides: list[int] | None) -> None:
    depth: Any = 32 if sides == [5] else 8
    module = inputs.of(Preprocess(3, 5, **PLAIN, mean=[0.5] * 3, std=[0.3] * 3, depth=depth, sides=sides))
    free = module.example().shape[: len(module.sizes)]
    assert len(set(free)) == len(free) and min(free) > 1
    assert module(module.example()).shape[1:] == (3, *(sides or [5, 5]))
