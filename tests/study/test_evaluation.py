"""The figures of an evaluation against scikit-learn; intervals against their coverage; corruptions and views by
hand."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as sk

from cnntrain.core.errors import InputError
from cnntrain.data.sets.arrays import ArrayImages
from cnntrain.runs.predictions import Predictions
from cnntrain.study.evaluation import folder, resampling
from cnntrain.study.evaluation.corruptions import CORRUPTIONS, STRENGTHS, Corrupted
from cnntrain.study.evaluation.gain import gains, in_top
from cnntrain.study.evaluation.measures import measures
from cnntrain.study.evaluation.pictures import mistakes
from cnntrain.study.evaluation.views import Crops, Flips, Shifts, mean_logits
from cnntrain.tasks.base import Column
from cnntrain.tasks.classify.calibration import probabilities
from cnntrain.tasks.classify.scores import scores

CLASSES = ["ant", "b$e_e$", "cat", "dog"]


def drawn(count: int = 200, seed: int = 0) -> Predictions:
    draws = np.random.default_rng(seed)
    labels = draws.choice(4, size=count, p=[0.5, 0.3, 0.15, 0.05])
    logits = (draws.normal(size=(count, 4)) + 1.2 * np.eye(4)[labels]).astype(np.float32)
    losses = -np.log(probabilities(logits)[np.arange(count), labels])
    about = {"model": "lenet5", "data": {"name": "fake"}, "part": "test", "checkpoint": "best.ckpt"}
    return Predictions([f"test/{number}" for number in range(count)], labels, logits, losses, CLASSES, about)


def test_measures_are_scikit_learns() -> None:
    answers = drawn()
    found = measures(answers, 2.0)
    labels, guesses = answers.labels, answers.logits.argmax(1)
    assert found["top1"] == pytest.approx(sk.accuracy_score(labels, guesses))
    assert found["confusion"] == sk.confusion_matrix(labels, guesses).tolist()
    assert found["scores"]["macro_f1"] == pytest.approx(sk.f1_score(labels, guesses, average="macro"))
    assert found["baselines"] == {"majority": pytest.approx(np.bincount(labels).max() / 200), "random": 0.25}
    assert found["calibration"]["before"]["nll"] == pytest.approx(sk.log_loss(labels, probabilities(answers.logits)))
    assert found["calibration"]["after"]["nll"] == pytest.approx(sk.log_loss(labels, probabilities(answers.logits, 2)))
    worst = found["most_confused"][0]
    matrix = sk.confusion_matrix(labels, guesses)
    np.fill_diagonal(matrix, 0)
    row, column = np.unravel_index(matrix.argmax(), matrix.shape)
    assert (worst["label"], worst["answer"], worst["count"]) == (CLASSES[row], CLASSES[column], matrix.max())
    assert found["per_class"][1]["recall"] == pytest.approx(sk.recall_score(labels == 1, guesses == 1))
    assert json.loads(json.dumps(found)) == found  # plain values


def test_answers_that_are_surer_than_a_float_have_finite_losses_and_no_numbers_are_refused() -> None:
    answers = drawn(20)
    sure = np.where(np.arange(4) == 3, 1e6, 0.0).astype(np.float32)[None].repeat(20, 0)
    found = measures(replace(answers, logits=sure), None)
    assert found["calibration"]["before"]["nll"] == pytest.approx(1e6 * (answers.labels != 3).mean())
    assert np.isfinite(found["intervals"]["nll"]).all()
    sure[[3, 7], 1] = np.nan
    with pytest.raises(InputError, match=r"best.ckpt: to 2 of 20 images, such as test/3, its answers are no finite"):
        measures(replace(answers, logits=sure), None)


def test_a_bootstrap_counts_samples_as_scikit_learn_does() -> None:
    """A figure of resampled samples is that of the samples, each as often as it was drawn."""
    answers = drawn(60)
    found = probabilities(answers.logits)
    figures = resampling._figures(answers.labels, found, answers.losses)
    times = np.bincount(np.random.default_rng(3).integers(60, size=60), minlength=60)
    rows = np.repeat(np.arange(60), times)
    wanted = scores(
        ["balanced_accuracy", "macro_f1", "weighted_f1", "mcc", "kappa", "ece", "brier"],
        answers.labels[rows],
        found[rows],
    )
    ours = figures(times.astype(float))
    assert {name: ours[name] for name in wanted} == pytest.approx(wanted, abs=1e-12)
    assert ours["nll"] == pytest.approx(sk.log_loss(answers.labels[rows], found[rows], labels=range(4)))


def test_what_several_gain_is_counted_image_by_image() -> None:
    members = [drawn(300, seed=seed) for seed in (1, 2, 3)]
    members = [replace(each, labels=members[0].labels) for each in members]
    logits = np.log(np.mean([probabilities(each.logits) for each in members], axis=0))
    whole = replace(members[0], logits=logits)
    columns = [Column("top1", "", ""), Column("top2", "", ""), Column("macro_f1", "", ""), Column("loss", "", "")]
    found = gains(whole, members, columns)
    assert list(found) == ["top1", "top2"]
    for k, each in zip((1, 2), found.values(), strict=True):
        of = lambda one: sk.top_k_accuracy_score(one.labels, one.logits, k=k, labels=range(4))  # noqa: B023, E731
        assert each["together"] == pytest.approx(of(whole)) and each["mean"] == pytest.approx(
            np.mean(list(map(of, members)))
        )
        assert each["difference"] == pytest.approx(each["together"] - each["mean"])
        gaps = in_top(whole, k) - np.mean([in_top(one, k) for one in members], axis=0)
        reach = 1.96 * gaps.std() / 300**0.5
        assert each["interval"] == pytest.approx([gaps.mean() - reach, gaps.mean() + reach], abs=0.012)


@pytest.mark.no_cover
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 200 sets, for a figure whose truth is known: the balanced accuracy of all samples that sets are drawn from."""
    whole = drawn(20_000, seed=1)
    found = probabilities(whole.logits)
    truth = scores(["balanced_accuracy", "brier"], whole.labels, found)
    draws, held = np.random.default_rng(0), dict.fromkeys(truth, 0)
    for _ in range(200):
        rows = draws.integers(20_000, size=300)
        ends = resampling.intervals(whole.labels[rows], found[rows], whole.losses[rows], draws=200)
        for name, value in truth.items():
            held[name] += ends[name][0] <= value <= ends[name][1]
    assert all(0.9 <= each / 200 <= 0.99 for each in held.values()), held


@pytest.mark.no_cover
def test_the_folder_has_tables_that_other_programs_read(tmp_path: Path) -> None:
    answers = drawn()
    pixels = torch.randint(256, (200, 1, 8, 8), dtype=torch.uint8)
    result = {"model": "lenet5", "data": {"name": "fake", "part": "test"}, **measures(answers, 1.5)}
    folder.write(tmp_path / "e", result, answers, ArrayImages(pixels.numpy(), 1))
    rows = list(csv.reader((tmp_path / "e/confusion.csv").read_text().splitlines()))
    assert rows[0] == ["label", *CLASSES] and [row[0] for row in rows[1:]] == CLASSES
    assert [[int(each) for each in row[1:]] for row in rows[1:]] == result["confusion"]
    for name in ("confusion.png", "reliability.png", "mistakes.png"):
        with Image.open(tmp_path / "e" / name) as drawn_image:
            assert min(drawn_image.size) > 200
    right = replace(answers, logits=np.eye(4, dtype=np.float32)[answers.labels])
    folder.write(tmp_path / "e", {**result, **measures(right, None)}, right, ArrayImages(pixels.numpy(), 1))
    assert not (tmp_path / "e/mistakes.png").exists()


def test_mistakes_are_the_most_confident_first() -> None:
    answers = drawn()
    found = probabilities(answers.logits)
    chosen = mistakes(answers, 10)
    wrong = [i for i in range(200) if found[i].argmax() != answers.labels[i]]
    assert chosen.tolist() == sorted(wrong, key=lambda i: -found[i].max())[:10]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_is_always_alike_and_grows(kind: str, channels: int) -> None:
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    pattern = 128 + 100 * torch.sin(rows / 3) * torch.cos(columns / 5)
    images = ArrayImages(pattern.to(torch.uint8).expand(9, channels, 40, 40).numpy(), channels)

    def far(strength: int) -> float:
        worse = Corrupted(images, kind, strength)
        assert worse[1].shape == images[1].shape and worse[1].dtype == torch.uint8
        assert torch.equal(worse[1], Corrupted(images, kind, strength)[1])
        return float((worse[1].float() - images[1].float()).abs().mean())

    distances = [far(strength) for strength in range(1, STRENGTHS + 1)]
    assert distances[0] > 0 and (distances == sorted(distances) or kind == "patches")
    if kind in ("noise", "rotation", "patches"):  # another draw for each image
        assert any(not torch.equal(Corrupted(images, kind, 3)[0], Corrupted(images, kind, 3)[n]) for n in range(1, 9))


def test_shuffled_patches_are_the_same_in_another_order_and_what_is_left_over_stays() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 26, 35), dtype=np.uint8)
    images = ArrayImages(pixels, 3)
    for strength, side in enumerate((2, 3, 4, 6, 8), start=1):
        worse, high, wide = Corrupted(images, "patches", strength)[1].numpy(), 26 // side, 35 // side
        squares = [np.s_[:, y * high : (y + 1) * high, x * wide : (x + 1) * wide] for y, x in np.ndindex(side, side)]
        before, after = ([image[each].tobytes() for each in squares] for image in (pixels[1], worse))
        assert before != after and sorted(before) == sorted(after)
        rest = np.ones((26, 35), bool)
        rest[: side * high, : side * wide] = False
        assert np.array_equal(worse[:, rest], pixels[1][:, rest])


def test_views_are_averaged_as_probabilities() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    images = torch.randn(2, 3, 8, 8)
    wanted = (network(images).softmax(1) + network(images.flip(3)).softmax(1)) / 2
    assert torch.allclose(Flips(network)(images).softmax(1), wanted, atol=1e-6)
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1), "reflect")
    shown = [images, images, padded[:, :, :8, :8], padded[:, :, 2:, 2:]]
    eight = [network(each).softmax(1) for view in shown for each in (view, view.flip(3))]
    assert torch.allclose(Shifts(network)(images).softmax(1), torch.stack(eight).mean(0), atol=1e-6)
    large = torch.randn(2, 3, 10, 10)
    ten = []
    for y, x in [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]:
        crop = large[:, :, y : y + 8, x : x + 8]
        ten += [network(crop).softmax(1), network(crop.flip(3)).softmax(1)]
    assert torch.allclose(Crops(network, 8)(large).softmax(1), torch.stack(ten).mean(0), atol=1e-6)
    logits = torch.tensor([[[1000.0, 0.0]], [[0.0, 1000.0]]])
    assert mean_logits(logits).softmax(1).tolist() == [[0.5, 0.5]]


def test_an_evaluation_again_takes_its_own_place(tmp_path: Path) -> None:
    result: dict[str, Any] = {
        "checkpoint": "a/best.ckpt",
        "epoch": 3,
        "of": ["a"],
        "tta": "none",
        "data": {"name": "x"},
    }
    first = folder.place(tmp_path / "eval-x-test", result)
    assert first == tmp_path / "eval-x-test"
    first.mkdir()
    (first / folder.EVALUATION).write_text(json.dumps({**result, "checkpoint": "moved/best.ckpt", "top1": 0.5}))
    assert folder.place(tmp_path / "eval-x-test", result) == first
    for other in ({"tta": "flip"}, {"epoch": 4}, {"of": ["a", "b"]}, {"checkpoint": "a/last.ckpt"}):
        assert folder.place(tmp_path / "eval-x-test", {**result, **other}) == tmp_path / "eval-x-test-2"
    (first / folder.EVALUATION).write_text("{")
    assert folder.place(tmp_path / "eval-x-test", result) == tmp_path / "eval-x-test-2"
