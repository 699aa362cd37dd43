"""Signals: MNIST-1D against its author's numbers, and files of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.sets import drawn_signals, signal_files

# of the package mnist1d 0.0.2.post1, make_dataset(): labels and values of the first signal, values of the last
LABELS = [2, 6, 4, 5, 6, 6, 6, 0]
FIRST = [-0.3320056673693902, -0.4719103656557236, -0.778697076293495, -1.0097408265367047]
LAST = [0.4472328851428726, 0.6598756470890784, 0.8777343497528006, 1.193151836835276]
ROWS = "up,1,2,3\nup,2,3,4\ndown,3,2,1\ndown,4,3,2\n" * 5


def test_mnist1d_is_its_authors_to_the_last_digits() -> None:
    signals, labels = drawn_signals.mnist1d()
    assert signals.shape == (5000, 40) and labels[:8].tolist() == LABELS
    assert np.bincount(labels).tolist() == [500] * 10
    np.testing.assert_allclose(signals[0, :4], FIRST, rtol=1e-12)
    np.testing.assert_allclose(signals[4999, -4:], LAST, rtol=1e-12)


def test_its_parts(make: Callable[..., Any]) -> None:
    data = make("mnist1d").load()
    assert [len(part) for part in data.parts().values()] == [3600, 400, 1000]
    assert data.train.images[0].shape == (1, 40) and data.train.images[0].dtype == torch.float32


def test_a_table_an_array_and_parts_are_read_alike(make: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("label,a,b,c\n" + ROWS)
    (tmp_path / "all.tsv").write_text(ROWS.replace(",", "\t"))
    found = signal_files.read(tmp_path / "all.csv", True)
    np.save(tmp_path / "all.npy", found.values)
    np.save(tmp_path / "all_labels.npy", np.array(found.labels))
    sets = [
        make("signals", root=str(tmp_path / f"all.{end}"), split=[0.5, 0.25, 0.25]).load()
        for end in ("csv", "tsv", "npy")
    ]
    assert len({each.fingerprint for each in sets}) == 1
    assert sets[0].classes == ["down", "up"] and [len(each) for each in sets[0].parts().values()] == [10, 5, 5]
    place = sets[0].train.ids[0].removeprefix("all/")
    assert torch.equal(sets[0].train.images[0], torch.from_numpy(found.values[int(place)]))
    for part in ("train", "test"):
        (tmp_path / f"{part}.csv").write_text(ROWS)
    data = make("signals", root=str(tmp_path)).load()
    assert [len(each) for each in data.parts().values()] == [18, 2, 20]
    assert len(make("signals", root=str(tmp_path / "all.csv")).labelled("test").part) == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,1,2\nb,1,2,3\n", r"x\.csv:2: 3 values, and the signals before have 2"),
        ("a,1,2\nb,1,two\n", r"x\.csv:2: could not convert string to float: 'two'"),
        ("a,1,2\n ,1,2\n", r"x\.csv:2: the label, which is the first column, is empty"),
        ("a,1,2\nb,1,nan\n", r"x\.csv: signal 2 has values that are missing or no finite"),
        ("label,v\n", r"x\.csv: has no signals"),
        ("a,1,2\n", "needs signals of at least two classes, and has 'a'"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(make: Callable[..., Any], tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        make("signals", root=str(tmp_path / "x.csv")).load()


def test_what_is_wrong_with_an_array_or_a_folder_is_named(make: Callable[..., Any], tmp_path: Path) -> None:
    def load(name: str = "x.npy", **keys: Any) -> None:
        make("signals", root=str(tmp_path / name), **keys).load()

    with pytest.raises(InputError, match=r"has no train\.csv"):
        load("")
    np.save(tmp_path / "x.npy", np.zeros((4, 2, 5)))
    with pytest.raises(InputError, match=r"its labels must be beside it, in x_labels\.npy"):
        load()
    np.save(tmp_path / "x_labels.npy", np.array([0, 1, 0]))
    with pytest.raises(InputError, match="must hold 4 whole numbers or texts"):
        load()
    np.save(tmp_path / "x_labels.npy", np.array([0, 1, 0, 1]))
    with pytest.raises(InputError, match=r"have 2 channels, and data\.channels=1: data\.channels=2"):
        load()
    np.save(tmp_path / "x.npy", np.array([{}]))
    with pytest.raises(InputError, match="cannot be read as an array of numbers"):
        load()
    with pytest.raises(ConfigError, match="root is required"):
        make("signals")
