from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnntrain.core.errors import ConfigError


def test_sizes_and_shapes(make: Callable[..., Any]) -> None:
    source = make("fake", num_classes=3, train_size=7, val_size=4, test_size=5, image_size=9, channels=1)
    data = source.load()
    assert [len(part) for part in (data.train, data.val, data.test)] == [7, 4, 5]
    assert (data.native_size, data.classes) == (9, ["0", "1", "2"])
    assert data.train.images[6].shape == (1, 9, 9)
    assert list(data.train.labels) == [0, 1, 2, 0, 1, 2, 0]


def test_size_defaults_and_no_test_part(make: Callable[..., Any]) -> None:
    data = make("fake", image_size=None, test_size=0).load()
    assert (data.native_size, data.test) == (32, None)


def test_it_can_be_learned(make: Callable[..., Any]) -> None:
    data = make("fake", num_classes=4, train_size=80, val_size=40).load()
    train, val = (part.images.tensor.numpy().astype(float) for part in (data.train, data.val))
    means = np.stack([train[data.train.labels == label].mean(0) for label in range(4)])
    nearest = np.square(val[:, None] - means).sum(axis=(2, 3, 4)).argmin(1)
    np.testing.assert_array_equal(nearest, data.val.labels)


def test_the_seed_is_the_content(make: Callable[..., Any]) -> None:
    one, same, other = (make("fake", split_seed=seed).load().fingerprint for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize(
    "change", [{"root": "x"}, {"download": True}, {"split": [0.5, 0.5]}, {"num_classes": 1}, {"val_size": 0}]
)
def test_what_has_no_meaning_is_refused(make: Callable[..., Any], change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        make("fake", **change)
