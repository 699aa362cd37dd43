from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cnntrain.core.errors import ConfigError


def test_the_1797_digits(make: Callable[..., Any]) -> None:
    data = make("digits").load()
    sizes = [len(part) for part in (data.train, data.val, data.test)]
    assert sizes == [1437, 180, 180]
    assert (data.classes, data.channels, data.native_size) == (list("0123456789"), 1, 8)
    bunch = load_digits()
    seen = []
    for part in (data.train, data.val, data.test):
        for index in (0, len(part) - 1):
            origin = int(part.ids[index].removeprefix("digits/"))
            assert bunch.target[origin] == part.labels[index]
            np.testing.assert_allclose(part.images[index][0].numpy() / 255, bunch.images[origin] / 16, atol=0.002)
        seen += list(part.ids)
    assert len(set(seen)) == 1797


def test_the_split_is_the_seeds_and_the_fingerprint_tells(make: Callable[..., Any]) -> None:
    one, same, other = (make("digits", split_seed=seed).load() for seed in (0, 0, 1))
    assert list(one.val.ids) == list(same.val.ids) != list(other.val.ids)
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_split_null_is_the_yamls(make: Callable[..., Any]) -> None:
    assert make("digits", split=None).load().fingerprint == make("digits").load().fingerprint


def test_two_fractions_leave_no_test_part(make: Callable[..., Any]) -> None:
    assert make("digits", split=[0.8, 0.2]).load().test is None


@pytest.mark.parametrize("change", [{"root": "data"}, {"download": True}])
def test_what_has_no_meaning_is_refused(make: Callable[..., Any], change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="has no meaning for data=digits"):
        make("digits", **change)
