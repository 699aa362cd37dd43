"""Forms of a network answer alike, and are timed in turns."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import pytest
import torch
from composing import composed
from torch import nn

from cnntrain.build.trained import Trained
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.export import latency, program, subject, variants
from cnntrain.export.latency import SETTLED, TURN
from cnntrain.export.variants import Variant

SEEN = Preprocess(1, 8, "center", 1.0, "bilinear", mean=[0.5], std=[0.5], background="white")
WORDS = (
    "data=fake", "data.train_size=32", "data.val_size=24", "data.test_size=0", "data.batch_size=16",
    "trainer.device=cpu", "data.num_classes=10",
)  # fmt: skip


class Clock:
    """Goes on by what is computed alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self) -> float:
        return self.now

    def variant(self, name: str, *seconds: float) -> Variant:
        """Takes so long for each image, one call after the other, with half the time for twice the threads."""

        clock = self

        class Network(nn.Module):
            def forward(self, seen: torch.Tensor) -> torch.Tensor:
                assert seen.shape[1:] == (1, 8, 8) and torch.is_inference_mode_enabled()
                turn = sum(each == name for each, *_ in clock.calls) % len(seconds)
                clock.calls.append((name, len(seen), torch.get_num_threads()))
                clock.now += seconds[turn] * len(seen) / torch.get_num_threads()
                return seen

        return Variant(name, torch.channels_last, Network)


def test_times_are_medians_of_turns() -> None:
    clock = Clock()
    made = [clock.variant("slow", 0.02), clock.variant("fast", 0.008)]
    found = latency.measure(made, SEEN, [1, 4], [1, 2], rounds=3, clock=clock)
    assert [(each.variant, each.threads, each.batch_size) for each in found] == [
        (name, threads, size) for threads in (1, 2) for size in (1, 4) for name in ("slow", "fast")
    ]
    for each in found:
        expected = (20 if each.variant == "slow" else 8) * each.batch_size / each.threads
        assert each.ms == pytest.approx(expected) and each.fastest_ms == pytest.approx(expected)
        assert each.images_per_second == pytest.approx(1000 * each.batch_size / expected)
        assert each.ratio == pytest.approx(1 if each.variant == "slow" else 2.5)
    assert torch.get_num_threads() == 1  # as before


def test_one_slow_call_changes_nothing_and_all_have_their_turn() -> None:
    clock = Clock()
    made = [clock.variant("eager", 0.015), clock.variant("other", *[0.0075] * 9, 0.5)]
    _, other = latency.measure(made, SEEN, [1], [1], rounds=4, clock=clock)
    assert other.ms == pytest.approx(7.5) and other.ratio == pytest.approx(2)
    turns = [name for i, (name, *_) in enumerate(clock.calls) if i == 0 or clock.calls[i - 1][0] != name]
    assert turns == ["eager", "other"] * 5  # the first warms up
    calls = sum(name == "eager" for name, *_ in clock.calls)
    assert calls == 5 * (ceil(SETTLED / 0.015) + ceil(TURN / 0.015))


def test_the_first_round_and_what_comes_before_a_turn_are_not_counted() -> None:
    clock = Clock()
    large = clock.variant("large", 9.0, 9.0, 8.0, 1.0, 8.0, 2.0, 8.0, 3.0)
    (found,) = latency.measure([large], SEEN, [1], [1], rounds=3, clock=clock)
    assert len(clock.calls) == 8
    assert (found.ms, found.fastest_ms) == (pytest.approx(2000), pytest.approx(1000))


class SideBySide(nn.Module):
    """Two networks, of which the second is meant."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.network(x)
        return torch.stack([-logits, logits])


def trained(folder: Path, network: nn.Module, setting: int | None) -> Trained:
    config = check(composed(WORDS), Train)
    seen = Preprocess(3, 32, "center", 1.0, "bilinear", mean=[0.5] * 3, std=[0.3] * 3, background="white")
    best = None if setting is None else {"val/setting": float(setting)}
    network = network if setting is None else SideBySide(network)
    classes = [str(each) for each in range(10)]
    return Trained(folder / "some.ckpt", config, network, seen, classes, 1, best, "f", [], torch.device("cpu"))


class Net(nn.Module):
    """A norm that is folded, and channels that are shuffled, which layouts of memory may disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.last = nn.Linear(4 * 64, 10)
        nn.init.uniform_(self.norm.running_mean, -1, 1)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)
        nn.init.uniform_(self.norm.weight, 0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(nn.functional.avg_pool2d(x, 4))).relu()
        return self.last(x.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2).flatten(1))


@pytest.mark.parametrize("setting", [None, 1])
def test_forms_answer_alike(setting: int | None, tmp_path: Path) -> None:
    torch.manual_seed(0)
    found = trained(tmp_path, Net().eval(), setting)
    val = subject.val_of(found, 20)
    made = variants.variants(found, val, tmp_path, in_onnx=True)
    assert [each.name for each in made] == ["eager", "folded", "onnx", "int8"]
    images = torch.randn(5, 3, found.seen.image_size, found.seen.image_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = found.network(images) if setting is None else found.network(images)[setting]
        answers = [each.opened()(images.contiguous(memory_format=each.memory_format)) for each in made]
    for each in answers[:3]:
        torch.testing.assert_close(each, expected, rtol=1e-4, atol=1e-4)
    assert expected.std(0).min() > 1e-3  # images matter
    spread = expected.std()
    assert 0 < (answers[3] - expected).abs().max() < spread  # of 8 bits
    folded: Any = made[1].opened()
    assert program.BATCH_NORM not in {each.target for each in folded.graph.nodes}
    proofs = variants.proofs(found, val, made)
    assert all(each.count == 20 for each in proofs.values())
    assert proofs["eager"].largest == 0 and max(proofs["folded"].largest, proofs["onnx"].largest) < 1e-5
