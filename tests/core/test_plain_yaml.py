"""YAML of others: what it stands for is counted before any of it is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.core import plain_yaml
from cnntrain.core.errors import InputError

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]\n" for number in range(1, 30)
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.yaml"


def test_plain_values_come_through(file: Path) -> None:
    file.write_text("a: &a [1, 2.5, true, null, café]\nb: *a\nbase: &base {c: 1}\nd: {<<: *base, e: 2}\n")
    found = plain_yaml.load(file)
    assert found["b"] == [1, 2.5, True, None, "café"] and found["d"] == {"c": 1, "e": 2}


@pytest.mark.no_cover
def test_as_many_values_as_a_large_set_has_classes(file: Path) -> None:
    file.write_text("\n".join(f"- class {number}" for number in range(22_000)))
    assert len(plain_yaml.load(file)) == 22_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "its aliases stand for more than 100,000 values"),
        ("a: &a [*a]", "its aliases stand for more than 100,000 values"),
        ("a: &a {b: *a}", "its aliases stand for more than 100,000 values"),
        ("[" * 2000, "is nested more than 60 deep"),
        ("[" * 61 + "]" * 61, "is nested more than 60 deep"),
        ("a: 1\nb: 2\na: 3", ", line 3, column 1: broken YAML: found duplicate key a"),
        ("x: {a: 1, a: 2}", ", line 1, column 11: broken YAML: found duplicate key a"),
        ("a: !!python/object/apply:os.system [touch written]", "could not determine a constructor"),
        ("a: 2024-13-45", "broken YAML"),
        ("a: \x00", "broken YAML"),
        ("? [a]\n: 1", "broken YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_named(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        plain_yaml.load(file)
    assert str(caught.value).startswith(str(file)) and said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nope\.yaml: No such file or directory"):
        plain_yaml.load(tmp_path / "nope.yaml")
