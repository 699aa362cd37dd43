"""`cnntrain diagnose`: planted faults are found and a healthy net is left alone; what it reads of a run and leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from composing import composed

import cnntrain
from cnntrain.build import diagnosis, trial
from cnntrain.commands.diagnose import Diagnose
from cnntrain.config.check import check
from cnntrain.config.imports import imported
from cnntrain.core.errors import ConfigError, RunError
from cnntrain.runs import predictions
from cnntrain.study.diagnosis import architecture, checks, gradients, images, outputs, steps, units
from cnntrain.study.diagnosis.subject import OK

ROOT = Path(__file__).parents[2]
FAULTS = str(ROOT / "scripts" / "faults" / "faults.py")
DIGITS = ("trainer.device=cpu", "augment=none", "data.resident=off", "steps=12", "images=256")
Perform = Callable[..., str]


@pytest.fixture(scope="module")
def faults() -> Iterator[None]:
    with imported([FAULTS]):
        yield


def subject_of(*words: str) -> Any:
    config = check(composed([*DIGITS, *words], "diagnose"), Diagnose)
    return diagnosis.subject(diagnosis.of_config(config), config.steps, config.images, {})


QUICK = [
    (images.normalised, ["model.name=faulty_raw", "augment.normalize=model"]),
    (outputs.initial_loss, ["model.name=faulty_loud"]),
    (outputs.last_activation, ["model.name=faulty_softmax"]),
    (units.units, ["model.name=faulty_dead"]),
    (gradients.gradients, ["model.name=faulty_exploding", "steps=1"]),
    (architecture.too_deep, ["model.name=faulty_deep"]),
    (steps.one_batch, ["model.name=faulty_blind", "steps=1"]),
    (architecture.regularised, ["optim.weight_decay=0"]),
]
SLOW = [  # rates and batches are judged without trials in tests/study/diagnosis/test_steps.py, too
    (steps.batch_size, ["data.batch_size=1437"]),
    (steps.rate, ["model.name=faulty_none", "optim.lr=100"]),
    (images.labels, ["model.name=faulty_none", "data.name=shuffled_digits", "data.source=shuffled_digits"]),
    (outputs.last_activation, ["model.name=faulty_sigmoid"]),
    (gradients.gradients, ["model.name=faulty_vanishing", "steps=2"]),
    (steps.rate, ["model.name=faulty_none", "optim.lr=1e-9"]),
]


@pytest.mark.parametrize(
    ("look", "words"),
    [*QUICK, *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW)],
    ids=lambda each: each.__name__ if callable(each) else " ".join(each),
)
def test_a_planted_fault_is_found(look: Any, words: list[str], faults: None) -> None:
    found = look(subject_of(*words))
    assert found.status != OK and found.advice and found.saw


def test_all_eleven_leave_a_healthy_net_alone(faults: None) -> None:
    found = list(checks.findings(subject_of("model.name=faulty_none")))
    assert len({each.check for each in found}) == 11
    assert {each.check: each.saw for each in found if each.status != OK} == {}
    assert not any(each.advice for each in found)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained run."""
    words = (
        "data=fake", "data.train_size=60", "data.val_size=20", "data.test_size=20", "data.num_classes=3",
        "data.batch_size=10", "model=lenet5", "trainer.device=cpu", "trainer.epochs=2", "optim.lr=0.02",
    )  # fmt: skip
    return Path(cnntrain.train(*words, f"output={tmp_path_factory.mktemp('runs')}")["run_dir"])


def words_of(run: Path, *words: str) -> tuple[Diagnose, list[str]]:
    typed = [f"run={run}", "trainer.device=cpu", "steps=1", "images=40", *words]
    return check(composed(typed, "diagnose"), Diagnose), typed


def test_a_runs_errors_are_those_of_its_answers_and_everything_is_left(run: Path, perform: Perform) -> None:
    shown = perform(*words_of(run, "human_error=0.01"))
    left = run / "diagnose"
    assert shown.splitlines()[-1] == str(left) and (left / "gradients.png").stat().st_size > 1000
    found = json.loads((left / "diagnose.json").read_text())
    assert len(found["checks"]) == 11 and found["curve"] is None and found["epoch"] in (1, 2)
    for part in ("val", "test"):
        answers = predictions.read(run / part / predictions.PREDICTIONS)
        error = float((np.asarray(answers.logits).argmax(1) != answers.labels).mean())
        assert found["bias_variance"]["errors"][part]["error"] == pytest.approx(error)
    net = cnntrain.load(run, device="cpu")
    data = diagnosis.of_folder(run, net.device, lambda tree: tree).run.data
    part = data.train
    wrong = [
        max(answer, key=lambda name: answer[name]) != data.classes[label]
        for answer, label in zip(net.predict(part.images), part.labels, strict=True)
    ]
    train = found["bias_variance"]["errors"]["train"]
    assert train["error"] == pytest.approx(np.mean(wrong)) and train["count"] == 60
    assert "people's: 1.00%" in shown and "avoidable bias" in shown


@pytest.mark.no_cover
def test_the_curve_trains_fractions_for_equally_many_steps(run: Path, perform: Perform, monkeypatch: Any) -> None:
    trained: list[tuple[int, int]] = []
    fit = trial.loop.fit

    def noted(run: Any, *rest: Any) -> str:
        trained.append((len(run.data.train), run.step.left))
        return fit(run, *rest)

    monkeypatch.setattr(trial.loop, "fit", noted)
    words = ("curve=true", "curve_epochs=1", "fractions=[0.5,0.25,1.0]", "format=json")
    shown = perform(*words_of(run, *words))
    assert trained == [(15, 8), (30, 6), (60, 6)]
    curve = json.loads(shown)["curve"]
    assert [each["images"] for each in curve["points"]] == [15, 30, 60] and len(curve["ahead"]) == 2
    assert (run / "diagnose" / "curve.png").stat().st_size > 1000


def test_a_run_that_failed_is_diagnosed_without_a_checkpoint(
    tmp_path: Path, perform: Perform, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "data=fake",
        "data.train_size=40",
        "data.val_size=10",
        "model=lenet5",
        "trainer.device=cpu",
        "optim.lr=1e30",
    )
    with pytest.raises(RunError):
        cnntrain.train(*words, f"output={tmp_path}")
    place = next(tmp_path.rglob("config.yaml")).parent
    assert f"what the cause may be: cnntrain diagnose run={place}" in capsys.readouterr().err
    shown = perform(*words_of(place, "steps=6"))
    found = json.loads((place / "diagnose" / "diagnose.json").read_text())
    assert {each["check"]: each["status"] for each in found["checks"]}["learning rate"] != OK
    assert "loss after 6 steps" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resume=latest"], "give run=<run folder>"),
        (["devices=2"], "one process"),
        (["human_error=0.1"], "give run=<run folder>, too"),
        (["fractions=[0.5,1.0]"], "at least three"),
        (["run=nowhere", "optim.lr=0.1"], "leave out optim.lr"),
        (["run=nowhere"], "nowhere does not exist"),
        (["transfer=probe_depths", "model.pretrained=false"], "side by side"),
    ],
)
def test_what_means_nothing_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(composed(words, "diagnose"), Diagnose).execute(words)
