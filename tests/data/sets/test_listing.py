from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnntrain.core.errors import InputError
from cnntrain.data.sets.files import file_set
from cnntrain.data.sets.listing import Listing, Sample

SAMPLES = [
    Sample(f"{label}/{number}\udce9.png", label, 10 * number, 2**60 - number, (2**63 + 7, 10 * place + number + 1))
    for place, label in enumerate(("b", "a", "é"))
    for number in range(10)
]


def rows(found: Listing) -> list[tuple[Any, ...]]:
    columns = found.ids, found.labels, found.sizes.tolist(), found.modified.tolist(), map(tuple, found.files.tolist())
    return [*zip(*columns, strict=True)]


def test_columns_of_samples_and_some_of_them() -> None:
    found = Listing.of(iter(SAMPLES))
    assert rows(found) == [each[:5] for each in SAMPLES]
    assert found.groups is None and found.used == {"a", "b", "é"} and Listing.of(found) is found
    few = found.take(np.array([29, 0]))
    assert rows(few) == [SAMPLES[29][:5], SAMPLES[0][:5]] and few.used == {"b", "é"}


def test_groups_of_all_samples_or_of_none() -> None:
    grouped = [each._replace(group=each.id[-1]) for each in SAMPLES]
    found = Listing.of(grouped).take(np.array([3, 1]))
    assert found.groups == [grouped[3].group, grouped[1].group]
    with pytest.raises(AssertionError, match="some samples have a group"):
        Listing.of([*SAMPLES, grouped[0]])


@pytest.mark.parametrize("found", [SAMPLES, {"val": SAMPLES[::3], "train": SAMPLES}])
def test_fingerprints_are_the_sha256_of_the_json_that_they_have_always_been(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, found: Any
) -> None:
    monkeypatch.setattr("cnntrain.core.plain_json.AT_ONCE", 4)
    source = make("imagefolder", root="/none")
    if isinstance(found, dict):  # no file in two parts
        found = {"val": found["val"], "train": [each for each in found["train"] if each not in found["val"]]}
    made = file_set(source, "/none", found if isinstance(found, dict) else {"all": found})
    by_id = {each.id: each for each in SAMPLES}
    digest = hashlib.sha256(json.dumps([["a", "b", "é"], 3]).encode())
    parts = made.parts()
    for name in ("train", "val", "test"):
        listed = [[id_, by_id[id_].label, by_id[id_].size] for id_ in parts[name].ids] if name in parts else None
        digest.update(json.dumps([name, listed]).encode())
    assert made.fingerprint == digest.hexdigest()
    times = [[by_id[id_].modified for id_ in part.ids] for part in parts.values()]
    assert made.modified == hashlib.sha256(json.dumps(times).encode()).hexdigest()


def test_the_first_file_in_two_parts_is_named(make: Callable[..., Any]) -> None:
    val = [SAMPLES[0]._replace(id="x"), SAMPLES[20]._replace(id="y"), SAMPLES[10]._replace(id="z", file=(1, 0))]
    train = [*SAMPLES[:20], SAMPLES[20], SAMPLES[11]._replace(id="none", file=(1, 0))]
    test = [SAMPLES[1]._replace(id="w"), SAMPLES[12]._replace(file=(9, 9)), SAMPLES[21]]
    with pytest.raises(InputError, match=r"/none: b/0.udce9.png \(train\) and x \(val\) are one file"):
        file_set(make("imagefolder", root="/none"), "/none", {"test": test, "val": val, "train": train})
    val = [SAMPLES[25]._replace(file=(6, 6)), val[2], SAMPLES[26]._replace(label="b", file=(5, 5))]
    with pytest.raises(InputError, match=r"b/1.udce9.png \(train\) and w \(test\) are one file"):
        file_set(make("imagefolder", root="/none"), "/none", {"test": test, "val": val, "train": train})
