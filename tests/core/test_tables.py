"""Tables and lines as they are, whatever is in a name and wherever they are shown."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
import rich.console
from rich.table import Table

from cnntrain.core import tables
from cnntrain.core.console import console
from cnntrain.core.words import CELL
from cnntrain.runs.screen import Screen


def test_square_brackets_in_a_name_are_no_markup() -> None:
    text = tables.table("runs/[/old]/best.ckpt", ["[b]", ":smile:"], [["[red]x[/red]", "1"]], ["[b]"])
    for each in ("runs/[/old]/best.ckpt", "[b]", ":smile:", "[red]x[/red]"):
        assert each in text
    shown = io.StringIO()
    console(file=shown, width=80).print(Table("a column", title="[/old]", title_justify="left"))
    assert "[/old]" in shown.getvalue()


def test_a_cell_is_short_and_has_nothing_hidden_and_a_row_is_a_row() -> None:
    rows = [["\x1b[2J", "a\nb|c"], ["x" * 100_000, "1"]]
    for shown in (tables.table("t\x1b", ["n\x1b", "v"], rows), tables.markdown("t\x1b\n", ["n\x1b", "v"], rows)):
        assert "\x1b" not in shown and r"\x1b[2J" in shown and r"a\nb" in shown
        assert max(map(len, shown.splitlines())) < 2 * CELL
    assert tables.markdown("t", ["n", "v"], rows).splitlines()[4] == r"| \x1b[2J | a\nb\|c |"


def test_off_a_terminal_a_table_is_as_wide_as_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns, cells = [f"random {number}" for number in range(40)], [f"91.6{number}%" for number in range(40)]
    wide = Table(*columns, title="t" * 300)
    wide.add_row(*cells)
    screen = Screen(tmp_path / "log")
    screen.say(wide)
    screen.close()
    for shown in (capsys.readouterr().out, (tmp_path / "log").read_text(), tables.table("t" * 300, columns, [cells])):
        assert all(any(each in line for line in shown.splitlines()) for each in (*columns, *cells, "t" * 300))
        assert "…" not in shown


def test_in_a_notebook_what_goes_to_a_file_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    file = io.StringIO()
    console(file=file).print("kept")
    console().print("shown")
    assert (file.getvalue(), capsys.readouterr().out) == ("kept\n", "shown\n")


def test_a_page_is_whole_and_holds_text_as_text() -> None:
    opened: list[str] = []
    cells: list[str] = []

    class Read(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            opened.extend([tag] if tag not in ("meta", "img") else [])

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

        def handle_data(self, data: str) -> None:
            cells.extend([data] if opened and opened[-1] in ("td", "th", "p", "h1") else [])

    grid = tables.Grid("a table", ["n", "<v>"], [["\x1b[2J", "<b>1</b> & 2"]], left=["n"])
    page = tables.page("t<i>", [grid], ["a line"], b"png")
    Read().feed(page)
    assert opened == [] and cells == ["t<i>", "n", "<v>", r"\x1b[2J", "<b>1</b> & 2", "a line"]
    assert page.count('class="left"') == 2 and "base64,cG5n" in page and "<img" not in tables.page("t", [], [])
