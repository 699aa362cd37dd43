"""Tables as text: for people, as markdown, as CSV."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Sequence

from cnntrain.core.words import CELL, LINE, printable

BAR = r"\|"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> str:
    """Aligned columns, those named in `left` to the left, in the terminal's width, else as wide as they need."""
    from rich import box
    from rich.table import Table

    from cnntrain.core.console import WIDE, console

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
    text_only = console(file=io.StringIO(), width=width)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        words = name in left
        grid.add_column(printable(name, CELL), justify="left" if words else "right", overflow="fold", no_wrap=not words)
    for row in rows:
        grid.add_row(*(printable(cell, CELL) for cell in row))
    with text_only.capture() as captured:
        text_only.print(grid)
    lines = [printable(title, LINE), *captured.get().splitlines()]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def markdown(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> str:
    """A table in GitHub's markdown under a heading."""
    rules = [":--" if name in left else "--:" for name in columns]
    cells = [[printable(cell, CELL).replace("|", BAR) for cell in line] for line in (columns, rules, *rows)]
    return "\n".join([f"## {printable(title, LINE)}", "", *(f"| {' | '.join(line)} |" for line in cells), ""])


def comma_separated(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """CSV with a header; None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()
