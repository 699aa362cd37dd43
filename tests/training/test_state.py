"""What a state makes of another's: what is taken over, and what stays as it was configured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cnntrain.core import dist
from cnntrain.core.digest import digest
from cnntrain.core.errors import InputError, RunError

MakeRun = Callable[..., Any]
GRADUAL = ("transfer=gradual", "transfer.every=1", "model.pretrained=false")


def test_what_was_frozen_in_the_phase_of_a_checkpoint_is_frozen_again(make_run: MakeRun) -> None:
    run = make_run(*GRADUAL, "trainer.epochs=4")
    run.progress.epoch = 2
    run.begin_phase()
    assert (run.progress.phase, run.progress.hash_start) == (2, run.freezing.digest())
    first = make_run(*GRADUAL, "trainer.epochs=4")
    assert first.freezing.names > run.freezing.names
    before = run.progress.hash_start
    first.load_state_dict(run.state_dict())
    assert first.freezing.names == run.freezing.names and first.progress.hash_start == before
    assert first.prove_frozen() == before


def test_what_stood_still_is_proven_before_something_else_is_frozen(make_run: MakeRun) -> None:
    run = make_run(*GRADUAL)
    with torch.no_grad():
        next(iter(run.freezing.frozen_parameters().values())).add_(1)
    run.progress.epoch = 1
    with pytest.raises(RunError, match="frozen parameters or buffers have changed"):
        run.begin_phase()


def test_the_proof_is_renewed_where_what_is_frozen_or_its_type_is_another(make_run: MakeRun) -> None:
    saved = make_run(*GRADUAL).state_dict()
    saved["progress"]["hash_start"] = "of the saved"
    for more, hash_start in (
        ((), "of the saved"),
        (("trainer.precision=float64",), None),
        (("transfer.groups=1",), ""),
    ):
        run = make_run(*GRADUAL, *more)
        run.load_state_dict(saved | ({"frozen": []} if hash_start == "" else {}))
        assert run.progress.hash_start == (hash_start or run.freezing.digest()), more


def test_an_average_begins_with_the_weights_of_a_run_that_had_none(make_run: MakeRun) -> None:
    averaged, plain = make_run("trainer.ema_decay=0.9"), make_run()
    with torch.no_grad():
        for each in averaged.ema.module.parameters():
            each.fill_(3.0)
        for each in plain.model.parameters():
            each.fill_(5.0)
    again = make_run("trainer.ema_decay=0.9")
    again.load_state_dict(averaged.state_dict())
    assert {value for each in again.eval_model.parameters() for value in each.flatten().tolist()} == {3.0}
    again.load_state_dict(plain.state_dict())
    assert {value for each in again.eval_model.parameters() for value in each.flatten().tolist()} == {5.0}
    assert plain.eval_model is plain.model and plain.state_dict()["ema"] is None


@pytest.mark.parametrize(
    ("batch", "done", "here"),
    [(16, 2, 2), (8, 2, 4), (8, 3, 6), (12, 1, 1), (48, 2, 0), (6, 3, 8)],  # steps of 16 that are done
)
def test_an_epoch_under_way_goes_on_at_the_same_sample_or_just_before(
    batch: int, done: int, here: int, make_run: MakeRun
) -> None:
    saved = make_run().state_dict()
    saved["progress"]["step_in_epoch"] = done
    run = make_run(f"data.batch_size={batch}")
    run.load_state_dict(saved)
    assert run.progress.step_in_epoch == here


def test_every_rank_has_the_first_ones_statistics_of_the_network_and_of_its_average(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[nn.Module] = []
    monkeypatch.setattr(dist, "share_buffers", shared.append)
    run, plain = make_run("trainer.ema_decay=0.9"), make_run()
    run.share_buffers(), plain.share_buffers()
    assert shared == [run.model, run.ema.module, plain.model]
    shared.clear()
    run.train_epoch()
    assert shared == [run.model, run.ema.module]  # before the evaluation


def test_what_is_frozen_is_averaged_as_it_is(make_run: MakeRun) -> None:
    run = make_run("transfer=linear_probe", "model.pretrained=false", "trainer.ema_decay=0.9")
    saved = run.state_dict()
    saved["ema"] = {name: value + 1 for name, value in saved["ema"].items()}
    run.load_state_dict(saved)
    average, still = run.ema.module.state_dict(), run.freezing.values()
    for name, value in run.model.state_dict().items():
        assert torch.equal(average[name], value) == (name in still), name


def test_everything_that_has_a_state_goes_on_with_it(make_run: MakeRun) -> None:
    words = ("schedule=plateau", "trainer.precision=float64", "trainer.ema_decay=0.5", "data.num_classes=7")
    first, run = make_run(*words, "seed=1"), make_run(*words)
    first.train_epoch()
    first.progress.epoch, first.schedule.bad_epochs, first.schedule.best = 1, 2, 0.25
    saved = first.state_dict()
    assert saved["schedule"]["bad_epochs"] == 2 and saved["frozen"] == [] and saved["transfer"] == {}
    run.load_state_dict(saved)
    again = run.state_dict()
    for key in ("model", "ema", "optimizer", "schedule", "scaler", "frozen", "transfer"):
        assert digest(again[key]) == digest(saved[key]), key
    assert run.progress.epoch == 1 and run.progress.step == 3


def test_a_scale_that_is_saved_is_taken_over(make_run: MakeRun) -> None:
    first, run = make_run("trainer.precision=float16"), make_run("trainer.precision=float16")
    saved = first.state_dict()
    assert run.scaler.get_scale() != 3.0
    saved["scaler"]["scale"] = 3.0
    run.load_state_dict(saved)
    assert run.scaler.get_scale() == 3.0
    saved["optimizer"]["param_groups"] = []
    with pytest.raises(InputError, match="the checkpoint does not fit this configuration"):
        run.load_state_dict(saved)
