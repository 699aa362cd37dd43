"""Tables and lines as they are, whatever is in a name and wherever they are shown."""

from __future__ import annotations

import io

import pytest
import rich.console
from rich.table import Table

from cnntrain.core import tables


def test_square_brackets_in_a_name_are_no_markup() -> None:
    text = tables.table("runs/[/old]/best.ckpt", ["[b]", ":smile:"], [["[red]x[/red]", "1"]], ["[b]"])
    for each in ("runs/[/old]/best.ckpt", "[b]", ":smile:", "[red]x[/red]"):
        assert each in text
    shown = io.StringIO()
    tables.console(file=shown, width=80).print(Table("a column", title="[/old]", title_justify="left"))
    assert "[/old]" in shown.getvalue()


def test_in_a_notebook_what_goes_to_a_file_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    file = io.StringIO()
    tables.console(file=file).print("kept")
    tables.console().print("shown")
    assert (file.getvalue(), capsys.readouterr().out) == ("kept\n", "shown\n")
