"""Tables as text: for people, as markdown, as CSV, as a page."""

from __future__ import annotations

import base64
import csv
import io
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cnntrain.core.words import CELL, LINE, printable

BAR = r"\|"
STYLE = (
    "body{font:15px sans-serif;margin:2em}table{border-collapse:collapse;margin:0 0 2em}th,td{padding:.3em .8em;"
    "border-bottom:1px solid #ddd;text-align:right}.left{text-align:left}img{max-width:100%}"
)


@dataclass(frozen=True)
class Grid:
    """A table; `left` are the columns that stand to the left."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[str] = ()


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


def page(title: str, grids: Sequence[Grid], lines: Sequence[str], picture: bytes | None = None) -> str:
    """An HTML page that needs no other file.

    Args:
        lines: below the tables.
        picture: the content of a PNG file.
    """
    parts = [f"<h1>{_shown(title, LINE)}</h1>"]
    if picture is not None:
        parts.append(f'<img alt="" src="data:image/png;base64,{base64.b64encode(picture).decode()}">')
    for grid in grids:
        marks = [' class="left"' if name in grid.left else "" for name in grid.columns]
        head = "".join(f"<th{m}>{_shown(each)}</th>" for m, each in zip(marks, grid.columns, strict=True))
        parts += [f"<h2>{_shown(grid.title, LINE)}</h2>", f"<table><tr>{head}</tr>"]
        for row in grid.rows:
            cells = "".join(f"<td{m}>{_shown(each, LINE)}</td>" for m, each in zip(marks, row, strict=True))
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</table>")
    parts += [f"<p>{_shown(line, LINE)}</p>" for line in lines]
    head = f'<meta charset="utf-8"><title>{_shown(title)}</title><style>{STYLE}</style>'
    return "\n".join([f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>', *parts, "</body></html>"])


def _shown(text: str, most: int = CELL) -> str:
    return escape(printable(text, most))
