"""Where lines and tables are shown: the terminal, or a file."""

from __future__ import annotations

import sys
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from cnntrain.core.words import LINE, close_output, printable

WIDE = 10_000  # characters: no cell is shortened for want of room


class Plain(Console):
    """Shows text as it is: square brackets in a folder's or a class's name are no markup. What no line of ours has is
    escaped (a line break within it, say), whoever shows it, in a line, a title or a cell."""

    def render_str(self, text: str, **settings: Any) -> Text:
        """Where rich turns every string into what it shows."""
        return super().render_str(printable(text, LINE), **settings)

    def on_broken_pipe(self) -> None:
        """Where rich would end the program: a run goes on, and has its log."""
        close_output()


def console(file: IO[str] | None = None, **settings: Any) -> Console:
    """A console on standard output, or on a file.

    In a notebook too it is text: rich would show each line as a page of its own, even of what goes to a file, and move
    a cursor that is not there. Off a terminal a table is as wide as it needs.
    """
    is_terminal = (file or sys.stdout).isatty()
    if not is_terminal:
        settings = {"width": WIDE, **settings}
    return Plain(
        file=file,
        markup=False,
        highlight=False,
        emoji=False,
        force_jupyter=False,
        force_terminal=is_terminal,
        **settings,
    )
