"""Some classes of a set, and so many training images of each: which, how many, and that a fingerprint tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from composing import composed
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.build.data import load_data
from cnntrain.commands.eval import Eval
from cnntrain.commands.train import Train
from cnntrain.config.check import check
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.data.sets.dataset import DataSet, Labelled, Part
from cnntrain.data.sets.subset import known, of_classes, reduced, val_limited
from cnntrain.study.anatomy.network import Network

Configure = Callable[..., Train]


def part(labels: np.ndarray, name: str) -> Part:
    """Images [1, 1, 1] that show their position."""
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return Part(images, labels.astype(np.int64), [f"{name}/{i}" for i in range(len(labels))])


def made(counts: list[int]) -> DataSet:
    """So many training images of the classes a, b, ..., shuffled; two of each in val and test."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    twice = np.repeat(np.arange(len(counts)), 2)
    return DataSet(
        list("abcdefgh"[: len(counts)]), 1, 1, part(labels, "train"), part(twice, "val"), part(twice, "test"), "f"
    )


def names_of(data: DataSet, name: str = "train") -> dict[str, str]:
    """Each sample's class, by its id."""
    chosen = getattr(data, name)
    return {key: data.classes[label] for key, label in zip(chosen.ids, chosen.labels, strict=True)}


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(1, 25), min_size=2, max_size=6),
    data=st.data(),
    few=st.integers(1, 30),
    more=st.integers(0, 30),
    seed=st.integers(0, 2**40),
)
def test_what_is_taken(counts: list[int], data: st.DataObject, few: int, more: int, seed: int) -> None:
    whole = made(counts)
    classes = data.draw(st.none() | st.lists(st.sampled_from(whole.classes), min_size=2, unique=True))
    kept = [name for name in whole.classes if classes is None or name in classes]
    small, large = (reduced(whole, classes, count, seed) for count in (few, few + more))
    for chosen, most in ((small, few), (large, few + more)):
        assert chosen.classes == kept
        taken = list(names_of(chosen).values())
        assert {name: taken.count(name) for name in kept} == {
            name: min(most, counts[whole.classes.index(name)]) for name in kept
        }
        assert names_of(chosen).items() <= names_of(whole).items()
        for name in ("val", "test"):
            assert names_of(chosen, name) == {key: each for key, each in names_of(whole, name).items() if each in kept}
        for index, key in enumerate(chosen.train.ids):
            assert chosen.train.images[index].item() == int(key.removeprefix("train/"))
    assert names_of(small).items() <= names_of(large).items()
    alike = names_of(small) == names_of(large)
    assert (small.fingerprint == large.fingerprint) == alike
    assert (small.fingerprint == whole.fingerprint) == (names_of(small) == names_of(whole))


def test_a_limit_of_validation_draws_the_same_of_every_order_and_fewer_are_among_more() -> None:
    whole = made([3, 4, 5, 6])
    assert val_limited(whole, None) is val_limited(whole, 8) is whole
    few, more = val_limited(whole, 3), val_limited(whole, 5)
    assert names_of(few, "val").items() <= names_of(more, "val").items() <= names_of(whole, "val").items()
    assert (len(few.val), few.val_of, len(more.val), few.train, few.test) == (3, 8, 5, whole.train, whole.test)
    assert [few.val.images[i].item() for i in range(3)] == [int(each.removeprefix("val/")) for each in few.val.ids]
    assert few.fingerprint == whole.fingerprint
    turned = replace(whole, val=Part(whole.val.images, whole.val.labels[::-1], list(whole.val.ids)[::-1]))
    assert set(val_limited(turned, 3).val.ids) == set(few.val.ids)


def test_without_a_wish_the_set_and_its_fingerprint_stay() -> None:
    whole = made([3, 4])
    for classes, count in ((None, None), (["b", "a"], None), (None, 4), (["a", "b"], 9)):
        same = reduced(whole, classes, count, 0)
        assert same.fingerprint == "f"
        assert same.train is whole.train
        assert same.test is whole.test


def test_what_changes_the_selection_changes_the_fingerprint() -> None:
    whole = made([9, 9, 9])
    wishes: list[tuple[Any, ...]] = [
        (None, None, 0), (["a", "b"], None, 0), (["a", "c"], None, 0), (None, 3, 0), (None, 4, 0), (None, 3, 1),
        (["a", "b"], 3, 0),
    ]  # fmt: skip
    assert len({reduced(whole, *wish).fingerprint for wish in wishes}) == len(wishes)
    assert reduced(replace(whole, fingerprint="g"), None, 3, 0).fingerprint != reduced(whole, None, 3, 0).fingerprint


def test_the_images_of_a_class_are_drawn_whatever_the_other_classes() -> None:
    whole = made([20, 20, 20])
    everything = names_of(reduced(whole, None, 5, 3))
    some = names_of(reduced(whole, ["c", "b"], 5, 3))
    assert some == {key: name for key, name in everything.items() if name in ("b", "c")}


def test_a_seed_is_a_draw() -> None:
    whole = made([40, 40])
    draws = [tuple(reduced(whole, None, 8, seed).train.ids) for seed in (0, 0, 1, 2)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3


def test_the_draw_of_the_digits_is_what_it_was(make: Callable[..., Any]) -> None:
    """A change here changes what runs of before trained on."""
    data = reduced(make("digits").load(), ["5", "6"], 2, 0)
    assert list(data.train.ids) == ["digits/196", "digits/490", "digits/1018", "digits/1578"]
    assert data.train.labels.tolist() == [1, 1, 0, 0]


def test_classes_with_fewer_images_are_named() -> None:
    whole = made([3, 9, 5])
    assert reduced(whole, None, 5, 0).notes == [
        "fewer training images than data.train_per_class=5, all are taken: a has 3"
    ]
    assert reduced(whole, None, 9, 0).notes[0].endswith("a has 3, c has 5")
    assert reduced(whole, ["b", "c"], 4, 0).notes == []


def test_an_unknown_class_is_named_with_those_near_and_all() -> None:
    whole = replace(made([3, 3, 3]), classes=["cat", "dog", "frog"])
    with pytest.raises(InputError) as caught:
        reduced(whole, ["cat", "frg"], None, 0)
    assert str(caught.value) == (
        "data.classes: the set has no class 'frg'; did you mean 'frog'?; it has cat, dog, frog"
    )
    many = replace(whole, classes=[f"class{i}" for i in range(30)])
    with pytest.raises(InputError, match=r"class19 and 10 more$"):
        reduced(many, ["x", "class1"], None, 0)


@pytest.mark.parametrize("name", ["val", "test"])
def test_a_part_without_the_classes_is_named(name: str) -> None:
    whole = made([3, 3, 3])
    lacking = replace(whole, **{name: part(np.array([0, 0]), name)})
    with pytest.raises(InputError, match=rf"the {name} part has no image of data.classes=\['b', 'c'\]"):
        reduced(lacking, ["b", "c"], None, 0)
    assert reduced(replace(whole, test=None), ["b", "c"], None, 0).test is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": ["1"]}, "classes needs at least two classes"),
        ({"classes": []}, "classes needs at least two classes"),
        ({"classes": ["1", "2", "1"]}, "classes must name each class once, not 1 twice"),
        ({"train_per_class": 0}, "train_per_class=0 must be an integer at least 1 or null"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[..., Any], change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make("digits", **change)


def test_files_are_decoded_on_access(make: Callable[..., Any], draw: Callable[..., Path], tmp_path: Path) -> None:
    for grey, name in ((10, "ant"), (20, "bee"), (30, "cat")):
        for number in range(6):
            draw(tmp_path / "train" / name / f"{number}.png", grey + number)
            draw(tmp_path / "val" / name / f"{number}.png", grey)
    data = reduced(make("imagefolder", root=str(tmp_path)).load(), ["cat", "bee"], 2, 0)
    (tmp_path / "train" / "ant" / "0.png").write_bytes(b"is not read")
    for index, key in enumerate(data.train.ids):
        name, number = key.split("/")[1:]
        grey = {"bee": 20, "cat": 30}[name] + int(number.removesuffix(".png"))
        assert data.train.images[index].unique().tolist() == [grey]
    assert data.train.labels.tolist() == [0, 0, 1, 1]


# as a user meets it


def test_a_run_trains_on_the_classes_asked_for_given_as_numbers(make_run: Callable[..., Any]) -> None:
    run = make_run("data.classes=[0,1,2,3,4]", "data.train_per_class=5", "data.channels=1")
    assert run.data.classes == list("01234")
    assert np.bincount(run.data.train.labels).tolist() == [5] * 5
    assert run.model(torch.zeros(2, 1, 32, 32)).shape == (2, 5)
    seen = torch.stack([run.data.train.images[i] for i in range(25)]).double() / 255
    assert run.loaders.preprocess.mean == pytest.approx([seen.mean().item()])  # of the 25, not of all


def test_the_note_is_shown(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    assert configure("data.train_per_class=7", "trainer.epochs=1").execute([]).code == 0
    assert "\nnote: fewer training images than data.train_per_class=7, all are taken: 6 has 6\n" in (
        capsys.readouterr().out
    )


def test_eval_takes_the_same_part_of_the_set(configure: Configure, result_of: Any) -> None:
    overrides = ("data.classes=[4,1,6]", "data.train_per_class=4", "trainer.epochs=1")
    path = Path(str(configure(*overrides).execute([]).made))
    wanted = composed([f"run={path}", "device=cpu", "pictures=false"], "eval")
    for name, count in (("test", 7), ("train", 12)):
        assert check({**wanted, "part": name}, Eval).execute([]).made == str(path / f"eval-fake-{name}")
        found = result_of_eval(path, name)
        assert found["count"] == count
        assert found["data"]["fingerprint"] == result_of(path)["data"]["fingerprint"]
    assert result_of_eval(path, "test")["top1"] == result_of(path)["test"]["top1"]


def result_of_eval(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"eval-fake-{name}/eval.json").read_text())


def test_the_summary_has_as_many_outputs(configure: Configure) -> None:
    settings = configure("data.classes=[0,2,3]")
    assert Network(settings.model, settings.data, settings.transfer, classes=None, batch_size=4).classes == 3


def test_build_is_where_it_happens(configure: Configure) -> None:
    data = load_data(configure("data.classes=[0,2]").data)
    assert data.classes == ["0", "2"] and set(data.test.labels.tolist()) == {0, 1}  # type: ignore[union-attr]


# any number of labels an image


def several() -> Part:
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=bool)
    return replace(part(np.zeros(4, dtype=np.int64), "train"), labels=labels)


def test_of_several_labels_some_are_taken_and_all_images_stay() -> None:
    data = DataSet(["a", "b", "c"], 1, 2, several(), several(), None, "f")
    assert reduced(data, None, None, 0).train is data.train
    found = reduced(data, ["c", "a"], None, 0)
    assert found.classes == ["a", "c"] and found.fingerprint != "f"
    assert found.train.labels.tolist() == several().labels[:, [0, 2]].tolist() == found.val.labels.tolist()
    assert len(found.train.images) == 4


def test_several_labels_are_matched_with_a_networks_by_name() -> None:
    images = Labelled(["a", "b", "c"], several(), "val", "f", [])
    found, unknown = known(images, ["c", "new", "a", "b"])
    assert unknown == {} and found.classes == ["c", "new", "a", "b"]
    assert found.part.labels.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]]
    found, unknown = known(images, ["c", "a"])
    assert unknown == {"b": 2} and found.part.ids == [several().ids[0], several().ids[1]]
    assert found.part.labels.tolist() == [[1, 1], [0, 0]]


def test_an_evaluation_of_some_of_several_labels_leaves_the_others_out() -> None:
    images = Labelled(["a", "b", "c"], several(), "val", "f", [])
    assert of_classes(images, ["a", "b", "c"]) is images
    found = of_classes(images, ["b"])
    assert found.classes == ["b"] and found.part.labels[:, 0].tolist() == [0, 0, 1, 1] and len(found.notes) == 1
