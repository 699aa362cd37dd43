"""Runs on activations at the cut: kept or computed, they train what the whole network would."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from slow import slow_if

from cnntrain.core import store
from cnntrain.core.errors import ConfigError, RunError, StopError
from cnntrain.data.batches import filling
from cnntrain.data.batches.plan import WHOLE, eval_plan
from cnntrain.runs import checkpoint
from cnntrain.training import loop
from cnntrain.transfer.frozen.activations import Prefix
from cnntrain.transfer.frozen.phase import Phase

MakeRun = Callable[..., Any]
FROZEN = ("model.pretrained=false", "transfer=freeze_depth", "transfer.depth=2")


@pytest.fixture
def where(tmp_path: Path) -> str:
    return f"transfer.cache_dir={tmp_path / 'kept'}"


def fitted(make_run: MakeRun, folder: Path, *overrides: str) -> Any:
    run = make_run(*FROZEN, *overrides, folder=folder)
    assert run.fit() == loop.FINISHED
    return run


def weights(run: Any) -> torch.Tensor:
    return torch.cat([each.flatten().double() for each in run.model.state_dict().values()])


@pytest.mark.no_cover
@pytest.mark.parametrize("model", ["lenet5", "resnet20"])
def test_kept_activations_train_the_same_weights(make_run: MakeRun, tmp_path: Path, where: str, model: str) -> None:
    options = (f"model={model}", where, "trainer.precision=float64", "trainer.epochs=2")
    off = fitted(make_run, tmp_path / "off", *options, "transfer.cache=off")
    assert off.phase.reads == ["train", "val"]  # images, in each epoch
    for place in ("ram", "disk"):
        kept = fitted(make_run, tmp_path / place, *options, f"transfer.cache={place}")
        assert kept.phase.remembered["kept"] == {"train": place, "val": place}
        assert kept.phase.reads == []
        assert (weights(off) - weights(kept)).abs().max() < 1e-12
        assert off.progress.best == pytest.approx(kept.progress.best)


def test_the_frozen_part_is_computed_once(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    compute = Prefix.__call__
    monkeypatch.setattr(Prefix, "__call__", lambda self, images: seen.append(len(images)) or compute(self, images))
    fitted(make_run, tmp_path / "run", "trainer.epochs=3")
    assert sum(seen) == 48 + 16  # train and val, over all epochs
    seen.clear()
    fitted(make_run, tmp_path / "off", "trainer.epochs=3", "transfer.cache=off")
    assert sum(seen) == 3 * (48 + 16)


def test_a_second_run_finds_what_the_first_one_left(
    make_run: MakeRun, tmp_path: Path, where: str, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (where, "transfer.cache=disk", "trainer.epochs=1")
    first = fitted(make_run, tmp_path / "first", *options)
    made = sorted((tmp_path / "kept").iterdir())
    assert [each.name for each in made] == [folder.name for folder, _ in store.entries(tmp_path / "kept")]
    assert len(made) == 2
    compute = Prefix.__call__

    def only_checked(self: Prefix, images: torch.Tensor) -> Any:
        assert len(images) == filling.CHECKED, "computed again"
        return compute(self, images)

    monkeypatch.setattr(Prefix, "__call__", only_checked)
    second = fitted(make_run, tmp_path / "second", *options)
    fitted(make_run, tmp_path / "third", *options, "optim.lr=0.5")
    fitted(make_run, tmp_path / "fourth", where, "trainer.epochs=1")  # cache=auto looks on disk first
    assert torch.equal(weights(first), weights(second))
    assert any("kept in disk: found in" in line for line in lines)


@pytest.mark.parametrize(
    "change",
    ["seed=1", "data.split_seed=1", "transfer.depth=1", "transfer.cache_dtype=float16", "data.image_size=24",
     "augment.normalize=model", "data.train_size=32", "trainer.val_limit=8"],
)  # fmt: skip
def test_what_the_activations_depend_on_is_in_their_key(
    make_run: MakeRun, tmp_path: Path, where: str, change: str
) -> None:
    options = (where, "transfer.cache=disk", "trainer.epochs=1", "trainer.max_steps=1")
    fitted(make_run, tmp_path / "first", *options)
    before = {each.name for each in (tmp_path / "kept").iterdir()}
    fitted(make_run, tmp_path / "second", *options, change)
    new = [meta["about"]["part"] for folder, meta in store.entries(tmp_path / "kept") if folder.name not in before]
    assert ("train" if change != "trainer.val_limit=8" else "val") in new


@pytest.mark.no_cover
def test_what_a_network_does_besides_its_weights_is_in_the_key(make_run: MakeRun, tmp_path: Path, where: str) -> None:
    small = "+model.args.channels=[8,8,16,16]"
    options = (where, "model=resnet18", "model.stem=imagenet", small, "trainer.epochs=1")
    first = fitted(make_run, tmp_path / "first", *options, "transfer.cache=disk")
    for entries, change in ((4, "+model.args.act_layer=silu"), (6, "+model.args.output_stride=8")):
        kept = fitted(make_run, tmp_path / f"kept-{entries}", *options, change, "transfer.cache=disk")
        off = fitted(make_run, tmp_path / f"off-{entries}", *options, change, "transfer.cache=off")
        assert first.progress.best != pytest.approx(off.progress.best, rel=1e-4), change
        assert kept.progress.best == pytest.approx(off.progress.best, rel=1e-4), change
        assert len(list(store.entries(tmp_path / "kept"))) == entries


def test_an_entry_that_is_not_what_the_network_computes_is_computed_again(
    make_run: MakeRun, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if its key left something out."""
    options = (where, "transfer.cache=disk", "trainer.epochs=1")
    off = fitted(make_run, tmp_path / "off", "trainer.epochs=1", "transfer.cache=off")
    fitted(make_run, tmp_path / "first", *options)
    for folder, meta in list(store.entries(tmp_path / "kept")):
        shape = (meta["bytes"] // 4,)
        other = store.Entry(folder.name, [shape], [torch.float32], meta["about"])
        other.remove(tmp_path / "kept")
        unfinished = other.unfinished(tmp_path / "kept", "1a", 0)
        other.make_files(unfinished)
        other.mapped(unfinished, fill=True)[0].fill_(1.0)
        other.publish(unfinished, tmp_path / "kept")
    run = fitted(make_run, tmp_path / "second", *options)
    assert run.progress.best == pytest.approx(off.progress.best, rel=1e-4)


def test_image_files_that_changed_are_computed_again(make_run: MakeRun, tmp_path: Path, where: str) -> None:
    for modified in ("yesterday", "today"):
        run = make_run(*FROZEN, where, "transfer.cache=disk", folder=tmp_path / modified)
        run.data.modified = modified
        assert run.begin_epoch()
    assert len(list(store.entries(tmp_path / "kept"))) == 4


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "meta"])
def test_a_damaged_entry_is_computed_again(make_run: MakeRun, tmp_path: Path, where: str, damage: str) -> None:
    options = (where, "transfer.cache=disk", "trainer.epochs=1")
    first = fitted(make_run, tmp_path / "first", *options)
    for folder, _ in list(store.entries(tmp_path / "kept")):
        file = folder / "0.bin"
        content = bytearray(file.read_bytes())
        if damage == "flip":
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
        elif damage == "truncate":
            file.write_bytes(content[:-4])
        elif damage == "delete":
            file.unlink()
        else:
            (folder / store.META).write_text("{")
    second = fitted(make_run, tmp_path / "second", *options)
    assert torch.equal(weights(first), weights(second))
    assert len(list(store.entries(tmp_path / "kept"))) == 2


def test_the_seconds_of_training_hold_the_train_parts_filling_alone(make_run: MakeRun, where: str) -> None:
    """Not what tracing and hashing take, nor the val part, which alone is kept where the augmentation is random."""
    disk = (where, "transfer.cache=disk")
    seconds = []
    for options in (disk, disk, ("transfer.cache=off",), ("augment=flip_crop",)):
        run = make_run(*FROZEN, *options)
        assert run.begin_epoch().seconds == run.progress.seconds
        seconds.append(run.progress.seconds)
    assert seconds[0] > 0 and seconds[1:] == [0, 0, 0]


def test_half_precision_halves_the_size_and_says_so(
    make_run: MakeRun, tmp_path: Path, where: str, lines: list[str]
) -> None:
    run = fitted(make_run, tmp_path / "run", where, "transfer.cache=disk", "transfer.cache_dtype=float16")
    assert run.phase is not None
    batch = next(iter(run.phase.train.batches(eval_plan(2, 2, WHOLE))))
    values = batch.inputs
    assert values[0].dtype == torch.float32  # as the trained part takes it
    metas = [meta for _, meta in store.entries(tmp_path / "kept")]
    assert sum(meta["bytes"] for meta in metas) == 2 * (48 + 16) * values[0][0].numel()
    assert any("of float16 kept in disk" in line for line in lines)


# which place is chosen


@pytest.mark.parametrize(
    ("ram", "disk", "options", "place"),
    [
        (10**9, 10**9, (), "ram"),
        (10**4, 10**9, (), "disk"),
        (10**4, 10**4, (), "off"),
        (10**9, 10**9, ("transfer.cache_budget=1KB",), "off"),
        (10**9, 10**9, ("transfer.cache=off",), "off"),
        (10**9, 10**4, ("transfer.cache=ram",), "ram"),
        (10**4, 10**9, ("transfer.cache=disk",), "disk"),
    ],
)
def test_auto_takes_ram_then_disk_then_neither(
    make_run: MakeRun, tmp_path: Path, where: str, lines: list[str], ram: int, disk: int, options: tuple[str, ...],
    place: str,
) -> None:  # fmt: skip
    run = make_run(*FROZEN, where, *options, folder=tmp_path / "run").with_room(ram, disk)
    assert run.begin_epoch()
    assert run.phase.remembered["kept"] == {"train": place, "val": place}
    assert any(("not kept: " if place == "off" else f"kept in {place}: ") in line for line in lines)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("transfer.cache=ram", "transfer.cache_budget=1KB"),
            r"transfer.cache=ram: the activations take .* KiB, more th",
        ),
        (("transfer.cache=disk", "transfer.cache_budget=1KB"), r"more than transfer.cache_budget=1KB"),
    ],
)
def test_a_place_that_is_asked_for_must_fit(make_run: MakeRun, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_run(*FROZEN, *options).begin_epoch()


def test_a_folder_that_cannot_be_written_is_an_error_or_passed_over(
    make_run: MakeRun, tmp_path: Path, lines: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    where = f"transfer.cache_dir={tmp_path / 'file'}"
    with pytest.raises(ConfigError, match=r"transfer\.cache=disk: .*file cannot be written .*transfer\.cache_dir"):
        make_run(*FROZEN, where, "transfer.cache=disk").begin_epoch()
    assert make_run(*FROZEN, where).with_room(ram=0).begin_epoch()
    assert any("not kept: " in line and "file cannot be written" in line for line in lines)


def test_views_that_cannot_be_kept_are_an_error(make_run: MakeRun, configure: Callable[..., Any]) -> None:
    words = ("augment=flip_crop", "transfer.views=2")
    with pytest.raises(ConfigError, match=r"transfer\.views=2: .* more than transfer\.cache_budget"):
        make_run(*FROZEN, *words, "transfer.cache_budget=1KB").begin_epoch()
    for key in ("views=2", "cache_dtype=float16"):
        with pytest.raises(ConfigError, match=rf"transfer\.?.*{key} is of values that are kept: not with cache=off"):
            configure(*FROZEN, "augment=flip_crop", f"transfer.{key}", "transfer.cache=off")


@pytest.mark.parametrize("text", ["8", "GiB", "8 gigs", "-GiB", "-1GiB", "1e9999GiB"])
def test_a_budget_must_be_a_size(configure: Callable[..., Any], text: str) -> None:
    with pytest.raises(ConfigError, match=r"transfer\.cache_budget must be a size such as 500MB or 8GiB"):
        configure(*FROZEN, f"transfer.cache_budget='{text}'")


def test_a_full_disk_is_said_and_leaves_nothing(
    make_run: MakeRun, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(RunError, match=r"cannot keep the activations in .*No space left.*transfer\.cache_dir"):
        make_run(*FROZEN, where, "transfer.cache=disk").begin_epoch()
    assert not list((tmp_path / "kept").iterdir())


def test_a_network_that_is_trained_and_evaluated_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr(torch, "compile", lambda network: compiled.append(network) or f"compiled {network}")
    one, two, feed = "network", "average", None
    alone, averaged = Phase(one, one, feed, feed, []), Phase(one, two, feed, feed, [])  # type: ignore[arg-type]
    alone.compile()
    assert compiled == [one] and alone.network is alone.eval_network == "compiled network"
    averaged.compile()
    assert compiled == [one, one, two] and averaged.eval_network == "compiled average"


# random augmentation


@pytest.mark.no_cover
def test_random_images_are_computed_for_each_batch(make_run: MakeRun, tmp_path: Path, lines: list[str]) -> None:
    whole = make_run("model.pretrained=false", "augment=flip_crop", "model=resnet20", folder=tmp_path / "whole")
    run = make_run(*FROZEN, "augment=flip_crop", "model=resnet20", folder=tmp_path / "run")
    before = run.freezing.digest()
    assert run.fit() == loop.FINISHED
    assert run.phase.remembered["kept"] == {"train": "off", "val": "ram"} and run.phase.reads == ["train"]
    assert any("computed for each batch: augment=flip_crop is random" in line for line in lines)
    assert run.freezing.digest() == before and whole.freezing.digest() != before


def test_views_are_those_of_the_first_epochs_in_turn(make_run: MakeRun, tmp_path: Path, lines: list[str]) -> None:
    options = ("augment=flip_crop", "trainer.precision=float64")
    off = fitted(make_run, tmp_path / "off", *options, "trainer.epochs=2")
    kept = fitted(make_run, tmp_path / "views", *options, "transfer.views=2", "trainer.epochs=2")
    assert (weights(off) - weights(kept)).abs().max() < 1e-12
    assert any("transfer.views=2 is an approximation" in line for line in lines)
    assert kept.phase is not None
    plans = [eval_plan(5, 5, WHOLE, epoch) for epoch in range(4)]
    first, second, third, fourth = (batch.inputs[0] for plan in plans for batch in kept.phase.train.batches(plan))
    assert torch.equal(first, third) and torch.equal(second, fourth) and not torch.equal(first, second)


def test_views_of_what_is_not_random_are_refused(configure: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=r"transfer\.views=2 means nothing with augment=none"):
        configure(*FROZEN, "transfer.views=2")
    with pytest.raises(ConfigError, match=r"transfer\.views=2 keeps images as they are seen alone"):
        configure(*FROZEN, "transfer.views=2", "augment.mixup=0.2")


# interruptions


def stop_at(run: Any, step: int) -> Any:
    """The run, to which a signal comes in this step."""

    def heed() -> None:
        if run.progress.step == step:
            raise StopError

    run.run.heed = heed
    return run


def test_a_signal_while_activations_are_computed_saves_and_stops(make_run: MakeRun, tmp_path: Path, where: str) -> None:
    run = stop_at(make_run(*FROZEN, where, "transfer.cache=disk", folder=tmp_path / "run"), 0)
    assert run.fit() == loop.STOPPED
    assert run.progress.step == 0 and (tmp_path / "run" / checkpoint.LAST).exists()
    assert not list((tmp_path / "kept").iterdir())
    resumed = make_run(*FROZEN, where, "transfer.cache=disk", folder=tmp_path / "run")
    assert resumed.fit() == loop.FINISHED
    again = fitted(make_run, tmp_path / "again", where, "transfer.cache=disk")
    assert torch.equal(weights(resumed), weights(again))


GRADUAL = (
    "model.pretrained=false", "model=resnet20", "data.image_size=16", "transfer=gradual", "transfer.every=1",
    "trainer.epochs=4",
)  # fmt: skip


@pytest.mark.no_cover
@pytest.mark.parametrize("stops", slow_if([(1, 4, 7)], [(3, 9, 11), (1, 4, 7)], str))
def test_resume_in_every_phase_of_gradual(make_run: MakeRun, tmp_path: Path, stops: tuple[int, ...]) -> None:
    uninterrupted = make_run(*GRADUAL, folder=tmp_path / "uninterrupted")
    assert uninterrupted.fit() == loop.FINISHED
    assert len([p for p in uninterrupted.model.parameters() if p.requires_grad]) > 20
    for stop in stops:
        stopped = stop_at(make_run(*GRADUAL, folder=tmp_path / f"{stop}"), stop)
        assert stopped.fit() == loop.STOPPED
        resumed = make_run(*GRADUAL, folder=tmp_path / f"{stop}")
        assert resumed.fit() == loop.FINISHED
        assert torch.equal(weights(resumed), weights(uninterrupted)), stop


def test_kept_or_not_stays_as_it_was_on_resume(make_run: MakeRun, tmp_path: Path) -> None:
    first = stop_at(make_run(*FROZEN, folder=tmp_path / "run").with_room(0, 0), 2)
    assert first.fit() == loop.STOPPED
    again = make_run(*FROZEN, folder=tmp_path / "run")
    assert again.begin_epoch()
    assert again.phase.remembered["kept"] == {"train": "off", "val": "off"}


def test_frozen_weights_that_moved_fail_the_phase(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(*GRADUAL, folder=tmp_path / "run")
    assert run.begin_epoch()
    with torch.no_grad():
        next(p for p in run.model.parameters() if not p.requires_grad).add_(1)
    run.progress.epoch = 1
    with pytest.raises(RunError, match="frozen parameters or buffers have changed"):
        run.begin_epoch()


# the whole command


@pytest.mark.no_cover
def test_the_result_says_what_was_cut_and_kept(typed: Callable[..., Any], tmp_path: Path) -> None:
    words = ("experiment=smoke", "transfer=linear_probe", "model.pretrained=false", "transfer.cache=disk")
    done = typed(*words, f"transfer.cache_dir={tmp_path / 'kept'}")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.splitlines()[-1])
    frozen = json.loads((tmp_path / folder / "result.json").read_text())["frozen"]
    assert frozen["kept"] == {"train": "disk", "val": "disk"} and frozen["cut"]
    assert frozen["hash_start"] == frozen["hash_end"]
    listed = typed("cache", f"cache_dir={tmp_path / 'kept'}", "format=json")
    assert [row["model"] for row in json.loads(listed.stdout)] == ["lenet5", "lenet5"]
    assert "days old" in typed("cache", f"cache_dir={tmp_path / 'kept'}").stdout
    size = sum(row["bytes"] for row in json.loads(listed.stdout))
    done = typed(*words, f"transfer.cache_dir={tmp_path / 'kept'}", "seed=1", f"transfer.cache_budget={size}B")
    assert "deleted 2 entries that were not used for longest" in done.stdout and done.returncode == 0
    cleared = typed("cache", f"cache_dir={tmp_path / 'kept'}", "clear=true")
    assert "deleted 2 entries" in cleared.stdout
    assert not list((tmp_path / "kept").iterdir())
    shutil.rmtree(tmp_path / "kept")
    gone = typed("cache", f"cache_dir={tmp_path / 'kept'}")
    assert gone.returncode == 2 and "kept: there is no such folder" in gone.stderr
