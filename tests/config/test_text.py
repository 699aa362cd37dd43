"""What is typed for a key of text is that text, through Hydra's grammar and the schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.config import compose
from cnntrain.config.check import check, plain
from cnntrain.config.schema import TrainConfig
from cnntrain.config.text import as_text
from cnntrain.core.errors import ConfigError

SOURCE = ("data=imagefolder", "data.root=photos")


def value(override: str, command: str = "train") -> Any:
    (parsed,) = compose.parse(as_text(command, [override]))
    return list(parsed.sweep_string_iterator()) if parsed.is_sweep_override() else parsed.value()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("data.root=data/été", "data/été"),
        ("data.root=a=b", "a=b"),
        ("data.root=a=b,c=d", "a=b,c=d"),
        ("data.root=a#b", "a#b"),
        ("+data.root=a(1)", "a(1)"),
        ("data.root=it's", "it's"),
        (r"data.root=C:\été", r"C:\été"),
        ("data.root=007", "007"),
        ("data.root='1e3'", "1e3"),
        ("data.root=null", None),
        ("name=1e3", "1e3"),
        ("name=true", "true"),
        ("name=null", None),
        ("name=nan", "nan"),
        ("name=a,1e3", ["a", '"1e3"']),
        ("name=choice(a,b)", ["a", "b"]),
        ("name=été,'x,y',[1]", ['"été"', "'x,y'", "[1]"]),
        ("data.classes=[1e3,10]", ["1e3", "10"]),
        ("data.classes=[true,10]", ["true", "10"]),
        ("data.classes=[null,10]", ["null", "10"]),
        ("data.classes=[ b(1), 'a,b' ,\"c\", é ]", ["b(1)", "a,b", "c", "é"]),
        ("data.classes=null", None),
        ("data.classes=1e3", "1e3"),
        ("data.classes=[a,1],[b,2]", ['[a,"1"]', '[b,"2"]']),
        ("optim.lr=1e3", 1000.0),
        ("data.split=[0.5,0.5]", [0.5, 0.5]),
        ("data.batch_size=8", 8),
        ("model.args.x=1e3", 1000.0),
        ("model.weights=1", "1"),
        ("transfer.until=3", "3"),
    ],
)
def test_a_value_is_what_was_typed(typed: str, expected: Any) -> None:
    assert value(typed) == expected


def test_other_commands_have_keys_of_text_too() -> None:
    assert value("run=1e3", "eval") == value("data.root=1e3", "eval") == value("runs=1e3", "plot") == "1e3"
    assert value("run=[1e3,a=b]", "eval") == ["1e3", "a=b"]
    assert value("data.batch_size=8", "eval") == 8
    assert value("y=[1,val/top1]", "plot") == ["1", "val/top1"]


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters=",$'\"\\[]{}()"), min_size=1)
)
def test_any_text_stays_itself(text: str) -> None:
    expected = None if text.lower() == "null" else text
    assert value(f"name={text}") == expected


def test_what_no_quotes_mend_is_said_with_the_form_that_works() -> None:
    for override in ("optim.lr=a=b", "data.root='x", "nope=é"):
        with pytest.raises(ConfigError, match=r"""quote values that .*: 'key="..."'$"""):
            value(override)
    with pytest.raises(ConfigError, match=r"""add -m, or quote a comma: 'data.root="..."'$"""):
        compose.check_overrides("train", compose.parse(as_text("train", ["data.root=é,b"])), multirun=False)


def test_the_home_is_put_for_a_tilde_in_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def composed(*overrides: str) -> TrainConfig:
        lines = compose.force(compose.parse(as_text("train", [*SOURCE, *overrides])))
        return check(plain(compose.compose_config("train", lines)), TrainConfig)

    monkeypatch.setenv("HOME", "/home/me")
    config = composed("data.root=~/pets", "model.weights=~/w.pt", "output=~/runs", "name=~x", "data.classes=[~a,~b]")
    assert (config.data.root, config.model.weights, config.output) == (
        "/home/me/pets",
        "/home/me/w.pt",
        "/home/me/runs",
    )
    assert (config.name, config.data.classes) == ("~x", ["~a", "~b"])
    assert composed("transfer=linear_probe", "transfer.cache_dir=~/c").transfer.cache_dir == "/home/me/c"  # type: ignore[attr-defined]


def test_a_run_is_called_as_typed_down_to_its_result(typed: Any, tmp_path: Path) -> None:
    words = ("data=fake", "data.train_size=8", "data.val_size=8", "data.test_size=0", "data.batch_size=8")
    done = typed(*words, "trainer.epochs=1", "model=lenet5", "name=1e3", "output=a=b(é)", "trainer.device=cpu")
    assert done.returncode == 0, done.stderr
    place = Path(done.stdout.splitlines()[-1])
    assert place.parent == Path("a=b(é)/1e3")
    command = json.loads((tmp_path / place / "result.json").read_text())["command"]
    assert """'name="1e3"' 'output="a=b(é)"'""" in command
