"""Tables as text: for people, as markdown, as CSV."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

BAR = r"\|"
PIPED_WIDTH = 240  # characters, where the output is no terminal


def console(file: IO[str] | None = None, **settings: Any) -> Console:
    """Where text is shown as it is: square brackets in a folder's or a class's name are no markup.

    In a notebook too it is text: rich would show each line as a page of its own, even of what goes to a file, and move
    a cursor that is not there.
    """
    from rich.console import Console

    is_terminal = (file or sys.stdout).isatty()
    return Console(
        file=file,
        markup=False,
        highlight=False,
        emoji=False,
        force_jupyter=False,
        force_terminal=is_terminal,
        **settings,
    )


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> str:
    """Aligned columns, those named in `left` to the left, in the terminal's width."""
    from rich import box
    from rich.table import Table

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPED_WIDTH
    text_only = console(file=io.StringIO(), width=width)
    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        words = name in left
        grid.add_column(name, justify="left" if words else "right", overflow="fold", no_wrap=not words)
    for row in rows:
        grid.add_row(*row)
    with text_only.capture() as captured:
        text_only.print(grid)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def markdown(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> str:
    """A table in GitHub's markdown under a heading."""
    rules = [":--" if name in left else "--:" for name in columns]
    lines = [f"| {' | '.join(cell.replace('|', BAR) for cell in line)} |" for line in (columns, rules, *rows)]
    return "\n".join([f"## {title}", "", *lines, ""])


def comma_separated(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """CSV with a header; None is an empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()
