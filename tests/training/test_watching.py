"""What is written of a step is what the step did, and watching it changes no bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnntrain.core.errors import ConfigError
from cnntrain.data.batches.feed import Batch
from cnntrain.training.watching import Watcher

Seen = list[tuple[Mapping[str, float], Mapping[str, Tensor]]]


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 36, 5)).train()


def stepped(network: nn.Module, pieces: int = 1, watched: Seen | None = None) -> torch.optim.Optimizer:
    """Two steps of so many batches."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    batches = iter([Batch(torch.randn(6, 3, 8, 8), torch.arange(6) % 5, 6) for _ in range(2 * pieces)])
    if watched is not None:
        batches = Watcher(network, optimizer, lambda *seen: watched.append(seen))(batches, pieces)
    for number, batch in enumerate(batches, 1):
        nn.functional.cross_entropy(network(batch.inputs), batch.targets).backward()
        if number % pieces == 0:
            optimizer.step()
            optimizer.zero_grad()
    return optimizer


@pytest.mark.parametrize("pieces", [1, 2])
def test_numbers_are_those_of_the_first_step(pieces: int) -> None:
    plain, network = net(), net()
    with torch.no_grad():
        network[0].bias[:] = torch.tensor([-9.0, 1, 1, 1])  # the first channel is dead
        plain.load_state_dict(network.state_dict())
    torch.manual_seed(5)
    found: Seen = []
    stepped(network, pieces, found)
    ((scalars, histograms),) = found
    torch.manual_seed(5)
    batches = [torch.randn(6, 3, 8, 8) for _ in range(2 * pieces)][:pieces]
    for inputs in batches:
        nn.functional.cross_entropy(plain(inputs), torch.arange(6) % 5).backward()
    for number in ("0", "3"):
        weight = plain[int(number)].weight
        assert scalars[f"gradient/{number}"] == pytest.approx(weight.grad.norm().item(), rel=1e-5)
        assert scalars[f"weight/{number}"] == pytest.approx(weight.norm().item(), rel=1e-5)
        ratio = 0.1 * weight.grad.norm() / weight.norm()
        assert scalars[f"update/{number}"] == pytest.approx(ratio.item(), rel=1e-3)
    assert scalars["dead/1"] == 0.25 and set(histograms) == {f"activations/{each}" for each in (0, 1, 3)}
    assert torch.equal(histograms["activations/1"], plain[:2](batches[-1]).flatten())  # not the convolution's
    assert torch.equal(histograms["activations/0"], plain[0](batches[-1]).flatten())  # before ReLU works in place


def test_hooks_are_there_for_one_step_and_no_longer() -> None:
    network: nn.Sequential = net()
    seen: Seen = []
    optimizer = stepped(network, 1, seen)
    assert not any(each._forward_hooks for each in network.modules())
    assert not optimizer._optimizer_step_pre_hooks and not optimizer._optimizer_step_post_hooks
    batches = Watcher(network, optimizer, lambda *told: None)(iter([Batch(None, None, 0)]), 1)
    next(batches)
    assert any(each._forward_hooks for each in network.modules())
    batches.close()  # as where the run is stopped within the step
    assert not any(each._forward_hooks for each in network.modules())


def test_a_watched_run_is_the_same_bit_for_bit(make_run: Callable[..., Any]) -> None:
    more = ("trainer.grad_accum=2", "trainer.ema_decay=0.9", "trainer.clip_norm=1")
    words = ("model=resnet20", "data.train_size=32", "data.image_size=8", "trainer.epochs=2", "augment=flip_crop")
    plain, watched = make_run(*words, *more), make_run(*words, *more)
    seen: Seen = []
    state = watched.run.state
    watched.run.watcher = Watcher(state.model, state.optimizer, lambda *told: seen.append(told))
    for each in (plain, watched):
        each.fit()
    expected = plain.run.state.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in state.model.state_dict().items())
    assert len(seen) == 2
    assert len([name for name in seen[0][0] if name.startswith("update/")]) == 20  # convolutions and the last layer


def test_what_is_compiled_is_not_watched(configure: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="watch=true looks at each layer"):
        configure("trainer.watch=true", "trainer.compile=on")
