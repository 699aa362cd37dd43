"""What is seen, in which order and how: functions of (seed, epoch, index) and of nothing else."""

from __future__ import annotations

import time
import traceback
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from augments import OFF
from hypothesis import example, given
from hypothesis import strategies as st

from cnntrain.augment.base import Augment
from cnntrain.augment.flip_crop import FlipCrop
from cnntrain.augment.imagenet import ImageNet
from cnntrain.core.draws import Draws
from cnntrain.core.errors import InputError
from cnntrain.data.batches.loader import Loader
from cnntrain.data.batches.plan import RUNS, WHOLE, Plan, Share, Steps, eval_plan, step_batch, train_plan
from cnntrain.data.batches.preprocess import Preprocess
from cnntrain.data.batches.resident import Resident
from cnntrain.data.batches.samples import Samples, Varied
from cnntrain.data.sets.dataset import Part

CPU = torch.device("cpu")
PLAIN = Preprocess(3, 8, "center", 1.0, "bilinear", [0.0] * 3, [1.0] * 3, "white")
shares = st.tuples(st.integers(1, 3), st.integers(1, 3))  # ranks, pieces


def part(count: int = 20, size: int = 8) -> Part:
    images = torch.randint(
        0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return Part(images, np.arange(count), [str(i) for i in range(count)])


def loader(samples: Samples, workers: int = 0) -> Loader:
    return Loader(samples, workers, PLAIN, CPU, torch.float32)


def augmented(augment: Augment, seed: int = 3, workers: int = 0, count: int = 20) -> Loader:
    samples = Samples(part(count), untouched, None)
    if not augment.reads_alike:
        samples = Samples(part(count), augment.drawn_transform(PLAIN), seed)
    steps, mixing = augment.whole_transform(PLAIN), augment.mixing(count)
    return Loader(samples, workers, PLAIN, CPU, torch.float32, varied=Varied(seed, steps, mixing))


def seen(source: Loader, epoch: int, *positions: int) -> torch.Tensor:
    plan = Plan(epoch, torch.tensor(positions), torch.tensor([0]), torch.tensor([len(positions)]))
    (batch,) = source.batches(plan)
    if source.varied is None or source.varied.mixing is None:
        assert batch.targets.tolist() == [*positions]
    return batch.inputs


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("augment", "share"),  # of the values that may differ by rounding
    [
        (FlipCrop("", "auto", 2, 0.5, "constant", False, **OFF), 0.0),
        (
            FlipCrop(
                "", "auto", 2, 0.5, "constant", False, **OFF | {"erasing": 0.5, "greyscale": 0.5, "auto": "autoaugment"}
            ),
            0.02,
        ),
        (
            FlipCrop(
                "", "auto", 0, 0.5, "constant", False, **OFF | {"colour_jitter": [0.4, 0.4, 0.4, 0.1], "auto": "rand"}
            ),
            0.02,
        ),
        (FlipCrop("", "auto", 0, 0.0, "constant", False, **OFF | {"mixup": 0.2, "cutmix": 1.0}), 0.0),
    ],
)
def test_a_gpu_sees_what_a_cpu_sees(augment: Augment, share: float) -> None:
    on_cpu, on_gpu = augmented(augment, count=400), augmented(augment, count=400)
    on_gpu.device = torch.device("cuda")
    plan = Plan(1, torch.arange(400), torch.tensor([0]), torch.tensor([400]))
    (here,), (there,) = on_cpu.batches(plan), on_gpu.batches(plan)
    torch.testing.assert_close(there.targets.cpu(), here.targets)
    differ = (there.inputs.cpu() - here.inputs).abs() > 1e-5
    assert differ.double().mean() <= share


@pytest.mark.parametrize(
    ("augment", "at_once"),
    [
        (FlipCrop("", "auto", 2, 0.5, "constant", False, **OFF | {"erasing": 0.5, "greyscale": 0.5, "mixup": 0.2}), 4),
        (FlipCrop("", "auto", 0, 0.5, "constant", False, **OFF), 7),
        (
            FlipCrop("", "auto", 2, 0.5, "constant", False, **OFF | {"auto": "rand"}),
            1,
        ),  # what it does depends on what is beside
    ],
)
def test_batches_that_are_made_at_once_are_what_each_is_alone(
    augment: Augment, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    each, several = augmented(augment), augmented(augment)
    several.source = Resident(several.samples.part.images, torch.arange(20), None, False, CPU)
    several.source.on_gpu = True
    pairs = 2 if augment.mixing(20) else 1
    monkeypatch.setattr("cnntrain.data.batches.loader.AT_ONCE", at_once * 3 * pairs * PLAIN.image_size**2 * 3 * 4)
    asked = []
    read = several.source.batches
    monkeypatch.setattr(several.source, "batches", lambda plan: asked.append(len(plan)) or read(plan))
    plan = Plan(
        1, torch.arange(20), torch.tensor([0, 3, 3, 6, 9, 12, 15, 18]), torch.tensor([3, 3, 6, 9, 12, 15, 18, 20])
    )
    for part_of_it in (plan, plan[3:]):  # as after a resume
        for one, same in zip(each.batches(part_of_it), several.batches(part_of_it), strict=True):
            assert one.count == same.count
            if one.count:
                assert torch.equal(one.inputs, same.inputs) and torch.equal(one.targets, same.targets)
    assert asked == [-(-8 // at_once), -(-5 // at_once)]


def untouched(image: torch.Tensor, target: Any) -> tuple[torch.Tensor, Any]:
    return image, target


def plans(count: int, batch: int, epoch: int, ranks: int, pieces: int, seed: int = 0) -> list[Plan]:
    steps = Steps(count, batch, ranks * pieces, 1)
    return [train_plan(steps, seed, epoch, Share(rank, ranks, pieces)) for rank in range(ranks)]


def alone(count: int, batch: int, seed: int, epoch: int) -> Plan:
    return train_plan(Steps(count, batch, 1, 1), seed, epoch, WHOLE)


@given(st.integers(1, 60), st.integers(1, 4), shares, st.integers(1, 3), st.integers(0, 5))
@example(9, 4, (1, 1), 2, 0)  # the last of one image is merged
@example(10, 4, (1, 1), 2, 0)  # that of two is not
@example(17, 2, (2, 2), 1, 0)  # one image cannot be shared by four
@example(29, 2, (2, 2), 2, 0)  # four can, but of one image each
def test_an_epoch_is_every_image_once_whoever_takes_which_part(
    count: int, per_share: int, share: tuple[int, int], least: int, epoch: int
) -> None:
    ranks, pieces = share
    parts = ranks * pieces
    batch = per_share * parts
    if count < batch:
        return  # `step_batch` makes the batch smaller
    steps = Steps(count, batch, parts, least)
    several = [train_plan(steps, 3, epoch, Share(rank, ranks, pieces)) for rank in range(ranks)]
    whole = train_plan(replace(steps, batch=batch, shares=1, least=least * parts), 3, epoch, WHOLE)
    assert all(plan.epoch == epoch and len(plan) == len(steps.ends) * pieces for plan in several)
    taken = []
    for step in range(len(steps.ends)):
        each = [[piece.tolist() for piece in plan[step * pieces : (step + 1) * pieces]] for plan in several]
        sizes = {len(piece) for plan in each for piece in plan}
        assert len(sizes) == 1  # equal shares, so that the mean of their means is the step's
        if step < len(steps.ends) - 1:
            assert sizes == {per_share}
        else:
            assert sizes <= set(range(min(least, per_share), per_share + max(least, 1)))
        taken.append(sorted(index for plan in each for piece in plan for index in piece))
    seen = [index for step in taken for index in step]
    assert len(set(seen)) == len(seen) == count - steps.left and steps.left < parts
    assert set(seen) <= set(range(count))
    assert taken[:-1] == [sorted(each.tolist()) for each in whole][: len(taken) - 1]  # as one process takes them


def test_every_epoch_and_seed_has_another_order() -> None:
    orders = [
        tuple(index for step in alone(50, 10, seed, epoch) for index in step.tolist())
        for seed in range(3)
        for epoch in range(3)
    ]
    assert len(set(orders)) == 9
    assert orders[4] == tuple(index for step in alone(50, 10, 1, 1) for index in step.tolist())


@pytest.mark.parametrize(("count", "window"), [(1000, 100), (1003, 64), (50, 7), (20, 20), (20, 99)])
def test_a_window_of_an_order_is_of_few_runs_of_neighbours(count: int, window: int) -> None:
    steps = Steps(count, 10, 1, 1)
    orders = [train_plan(steps, 0, epoch, WHOLE, window).order for epoch in (0, 1, 0)]
    assert torch.equal(orders[0], orders[2]) and not torch.equal(orders[0], orders[1])
    assert all(sorted(each.tolist()) == list(range(count)) for each in orders)
    if window >= count:
        assert torch.equal(orders[0], train_plan(steps, 0, 0, WHOLE).order)
        return
    for each in orders[0].split(window):
        breaks = int((each.sort().values.diff() > 1).sum())
        # those that two windows share are cut, so is the one that the shift lays over the end, and one is shorter
        assert breaks <= -(-window // max(1, window // RUNS)) + 3
        assert len(each) < 10 or breaks > 0
        assert not torch.equal(each, each.sort().values) or len(each) < 3
    halves = [train_plan(replace(steps, shares=2), 0, 0, Share(rank, 2, 1), window).order for rank in (0, 1)]
    together = orders[0][: count // 2 * 2]
    assert torch.equal(together[0::2], halves[0]) and torch.equal(together[1::2], halves[1])


def test_what_cannot_be_shared_has_its_turn_in_another_epoch() -> None:
    steps = Steps(10, 4, 4, 1)
    epochs = [train_plan(steps, 0, epoch, Share(0, 1, 4)).order.tolist() for epoch in range(12)]
    assert all(len(each) == 8 for each in epochs)
    assert {index for each in epochs for index in each} == set(range(10))
    assert [len(each) for each in alone(10, 4, 0, 0)] == [4, 4, 2]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 20), st.integers(0, 20), st.integers(1, 4))
def test_a_part_of_a_plan_is_a_plan(count: int, batch: int, start: int, end: int, step: int) -> None:
    plan = eval_plan(count, batch, WHOLE, epoch=3)
    whole = [each.tolist() for each in plan]
    for part in (slice(start, end), slice(start, None), slice(start, None, step)):
        assert [each.tolist() for each in plan[part]] == whole[part]
        assert len(plan[part]) == len(whole[part])
        assert plan[part].epoch == 3


@given(st.integers(1, 120), st.integers(1, 40), st.integers(1, 3))
def test_an_evaluation_sees_each_sample_once_over_all_ranks(count: int, batch: int, ranks: int) -> None:
    plans = [eval_plan(count, batch, Share(rank, ranks, 1)) for rank in range(ranks)]
    seen = [index for plan in plans for step in plan for index in step.tolist()]
    assert sorted(seen) == list(range(count))
    assert all(plan.epoch == 0 for plan in plans)
    assert all(len(step) <= max(1, batch // ranks) for plan in plans for step in plan)
    assert len({len(plan) for plan in plans}) == 1  # so that ranks can agree between batches
    sizes = [[len(step) for step in plan] for plan in plans]
    assert sizes == [sorted(each, reverse=True) for each in sizes]  # whole ones first, empty ones last
    assert all(len(step) > 0 for step in plans[0])  # never a batch more than needed


@given(st.integers(1, 100), st.integers(1, 100), shares)
def test_a_steps_batch_is_shared_equally_and_fits_the_part(count: int, wanted: int, share: tuple[int, int]) -> None:
    ranks, pieces = share
    parts = ranks * pieces
    batch = wanted * parts
    if count < parts:
        with pytest.raises(InputError, match=f"the training part has {count} samples, too few for .* = {parts} shares"):
            step_batch(batch, count, Share(0, ranks, pieces))
    else:
        found = step_batch(batch, count, Share(0, ranks, pieces))
        assert found % parts == 0
        assert 0 < found <= min(batch, count)
        assert found == batch or found + parts > count


AUGMENTS = [
    FlipCrop("", "auto", 2, 0.5, "constant", False, **OFF),
    ImageNet("", "auto", 0.2, 0.5, **OFF),
    FlipCrop("", "auto", 2, 0.5, "constant", False, **OFF | {"auto": "trivial", "mixup": 0.4, "cutmix": 1.0}),
]
augments = pytest.mark.parametrize("augment", AUGMENTS)


@augments
def test_worker_processes_change_nothing(augment: Any) -> None:
    by_workers = []
    for workers in (0, 2):
        source = augmented(augment, workers=workers)
        epochs = [list(source.batches(alone(20, 5, 3, epoch))) for epoch in (0, 1)]
        by_workers.append(epochs)
        assert source.waited > 0
    for one, other in zip(chain(*by_workers[0]), chain(*by_workers[1]), strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
        assert one.count == other.count == len(one.inputs) == 5
    first, second = (epoch[0].targets for epoch in by_workers[0])
    assert not torch.equal(first.sort(0).values, second.sort(0).values)


@augments
def test_ranks_and_pieces_change_no_samples_augmentation(augment: Augment) -> None:
    source = augmented(augment)

    def shared_out(ranks: int, pieces: int) -> dict[int, torch.Tensor]:
        found = {}
        for plan in plans(20, 12, 1, ranks, pieces):
            for batch, positions in zip(source.batches(plan), plan, strict=True):
                seen = [
                    torch.cat([each.flatten() for each in pair])
                    for pair in zip(batch.inputs, batch.targets, strict=True)
                ]
                found |= dict(zip(positions.tolist(), seen, strict=True))
        return found

    whole = shared_out(1, 1)
    for ranks, pieces in ((2, 1), (3, 1), (1, 2), (2, 3)):
        shared = shared_out(ranks, pieces)
        assert len(shared) == 20 - 20 % (ranks * pieces)
        assert all(torch.equal(image, whole[label]) for label, image in shared.items())


@augments
def test_a_sample_is_seen_differently_in_another_epoch_or_run_and_the_same_in_the_same(augment: Augment) -> None:
    source, other = augmented(augment, seed=0), augmented(augment, seed=1)
    assert torch.equal(seen(source, 2, 5), seen(source, 2, 5))
    epochs = [seen(source, epoch, 5) for epoch in range(6)]
    assert any(not torch.equal(epochs[0], each) for each in epochs)
    assert any(not torch.equal(seen(source, epoch, 5), seen(other, epoch, 5)) for epoch in range(6))


@augments
def test_a_batch_is_its_samples(augment: Augment) -> None:
    source = augmented(augment)
    images = seen(source, 2, 7, 0, 11)
    for image, position in zip(images, (7, 0, 11), strict=True):
        assert torch.equal(image, seen(source, 2, position)[0])
    assert source.samples[2, []] is None
    assert torch.equal(source.first(4), seen(source, 0, 0, 1, 2, 3))


def test_a_mix_is_of_what_both_would_be_seen_as_and_from_memory_the_same() -> None:
    """A partner is augmented by its own numbers."""
    more = {**OFF, "mixup": 0.4, "cutmix": 1.0}
    mixed, alone = (
        augmented(FlipCrop("", "auto", 2, 0.5, "constant", False, **more)),
        augmented(FlipCrop("", "auto", 2, 0.5, "constant", False, **OFF)),
    )
    positions = torch.tensor([4, 9, 2])
    draws = Draws(3, 1, positions)
    partners = mixed.varied.mixing.partners(draws, 20)
    ours, theirs = seen(alone, 1, *positions.tolist()), seen(alone, 1, *partners.tolist())
    expected, _ = mixed.varied.mixing(ours, positions, theirs, partners, draws)
    assert torch.equal(seen(mixed, 1, *positions.tolist()), expected)
    images = part().images
    mixed.source = Resident(images, torch.arange(20), None, False, CPU)
    assert torch.equal(seen(mixed, 1, *positions.tolist()), expected)
    whole = seen(mixed, 1, *range(20))
    assert torch.equal(whole[positions], expected)
    nothing = torch.empty(0, dtype=torch.int64)
    assert list(mixed.batches(Plan(1, nothing, nothing, nothing))) == []  # as behind an epoch's last step


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_of_nothing_has_nothing(workers: int) -> None:
    plan = eval_plan(3, 2, Share(1, 2, 1))  # of the three samples this rank has one
    first, second = loader(Samples(part(3), untouched, None), workers).batches(plan)
    assert (first.count, first.targets.tolist()) == (1, [1])
    assert (second.count, second.inputs, second.targets) == (0, None, None)


def test_reading_samples_leaves_the_models_randomness_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    batches = augmented(ImageNet("", "auto", 0.2, 0.5, **OFF)).batches(alone(20, 5, 3, 0))
    next(batches)
    next(batches)
    assert torch.equal(torch.rand(3), expected)


def test_images_are_normalised_a_channel_and_come_back() -> None:
    preprocess = replace(PLAIN, image_size=4, mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 2.0])
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    kept = images.clone()
    mean, std = (torch.tensor(each, dtype=torch.float64).view(3, 1, 1) for each in (preprocess.mean, preprocess.std))
    for memory_format in (torch.contiguous_format, torch.channels_last):
        shown = preprocess(images.contiguous(memory_format=memory_format), CPU, torch.float64)
        assert shown.dtype == torch.float64 and shown.is_contiguous(memory_format=memory_format)
        torch.testing.assert_close(shown, (images.double() / 255 - mean) / std, rtol=0, atol=1e-14)
        torch.testing.assert_close(preprocess.undo(shown), images.float() / 255, rtol=0, atol=1e-6)
    assert torch.equal(images, kept)


class Bad:
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 4:
            raise InputError("/data/x.png: cannot be read as an image (the file is empty): repair or remove it")
        return torch.zeros(3, 8, 8, dtype=torch.uint8)


def complaint(source: Loader) -> str:
    """What the loader raises; clears the frames that hold the loader, whose workers would take seconds to go."""
    try:
        list(source.batches(eval_plan(6, 2, WHOLE)))
    except InputError as error:
        if error.__context__ is not None:
            traceback.clear_frames(error.__context__.__traceback__)
        return str(error)
    raise AssertionError("no error")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_is_a_plain_error_from_a_worker_process_too(workers: int) -> None:
    bad = Part(Bad(), np.zeros(6, dtype=np.int64), list("abcdef"))
    source = loader(Samples(bad, untouched, None), workers)
    assert complaint(source) == "/data/x.png: cannot be read as an image (the file is empty): repair or remove it"


def test_a_damaged_file_in_a_folder_is_named(make: Any, draw: Any, tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            for number in range(3):
                draw(tmp_path / split / name / f"{number}.png")
    broken = tmp_path / "train" / "dog" / "1.png"
    broken.write_bytes(broken.read_bytes()[:40])
    data = make("imagefolder", root=str(tmp_path)).load()
    said = complaint(loader(Samples(data.train, untouched, None), workers=1))
    assert said.startswith(f"{broken}: cannot be read as an image")
    assert "\n" not in said


def test_worker_processes_go_with_their_loader() -> None:
    source = loader(Samples(part(), untouched, None), workers=1)
    list(source.batches(eval_plan(20, 5, WHOLE)))
    (worker,) = source.source._loader._iterator._workers
    start = time.monotonic()
    del source
    assert not worker.is_alive()
    assert time.monotonic() - start < 4


def test_the_time_spent_waiting_is_only_the_loaders() -> None:
    source = loader(Samples(part(), untouched, None))
    batches = source.batches(eval_plan(20, 10, WHOLE))
    next(batches)
    before = source.waited
    torch.randn(400, 400).matmul(torch.randn(400, 400))
    assert source.waited == before
    next(batches)
    assert source.waited > before
