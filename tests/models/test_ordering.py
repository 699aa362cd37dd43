"""Tensors told by their places: what is taken, and what gives away that the order is another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cnntrain.models.ordering import in_order


def own() -> dict[str, Tensor]:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, bias=False), nn.Linear(4, 2))
    return dict(net.state_dict())


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"_layers_{key}": value for key, value in state.items()}


def taken(file: dict[str, Tensor]) -> dict[str, Tensor]:
    state = own()
    return in_order(file, state, lambda name, value: value.shape == state[name].shape)


def test_other_names_in_the_same_order_are_taken() -> None:
    file = renamed(own())
    found = taken(file)
    assert list(found) == list(own())
    assert all(found[key] is file[f"_layers_{key}"] for key in found)


def test_counts_of_batches_may_be_missing() -> None:
    file = {key: value for key, value in renamed(own()).items() if not key.endswith("num_batches_tracked")}
    assert list(taken(file)) == [key for key in own() if key != "1.num_batches_tracked"]


def bias_first(file: dict[str, Tensor]) -> dict[str, Tensor]:
    keys = list(file)
    keys[2:4] = reversed(keys[2:4])
    return {key: file[key] for key in keys}


def known_elsewhere(file: dict[str, Tensor]) -> dict[str, Tensor]:
    file = {("3.bias" if key == "_layers_0.bias" else key): value for key, value in file.items()}
    return file


def whole_numbers(file: dict[str, Tensor]) -> dict[str, Tensor]:
    return file | {"_layers_2.weight": file["_layers_2.weight"].to(torch.int8)}


def turned(file: dict[str, Tensor]) -> dict[str, Tensor]:
    return file | {"_layers_0.weight": file["_layers_0.weight"].permute(2, 3, 1, 0)}


def cut(file: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(list(file.items())[:-1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (bias_first, "the file's _layers_1.bias would be the model's 1.weight, which is another kind of tensor"),
        (known_elsewhere, "the file's 3.bias would be the model's 0.bias, which has a 3.bias at another place"),
        (whole_numbers, "but their types are torch.int8 and torch.float32"),
        (turned, r"but their shapes are \[3, 3, 3, 4\] and \[4, 3, 3, 3\]"),
        (cut, "the file has 9 tensors, the model 10"),
        (lambda file: file | {"_layers_0.weight": 3}, "_layers_0.weight is a int, not a tensor"),
    ],
)
def test_another_order_is_refused(change: Callable[[dict[str, Tensor]], dict[str, Tensor]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        taken(change(renamed(own())))
