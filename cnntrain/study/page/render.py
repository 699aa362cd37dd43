"""From values to a page. Names of files and classes are text of others: every value is escaped where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from cnntrain.core import plain_json
from cnntrain.core.words import LINE, printable

TEMPLATES = Path(__file__).parent / "templates"
# what could end a script element, or be a line's end to older readers of JavaScript
UNSAFE = {each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}

JOINT = re.compile(r"[/_=]+|\.(?!\d)")  # no escaped character has one of these


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inlined": inlined, "breakable": breakable}
    return environment


def _shown(value: Any) -> Any:
    """Text without control characters, and not too long; what is markup already stays."""
    return printable(value, LINE) if type(value) is str else value


def breakable(value: str) -> Markup:
    """A name that a narrow column breaks at its joints, and not within its words; copied, it is as it was."""
    return Markup(JOINT.sub(r"\g<0><wbr>", str(escape(_shown(value)))))


def inlined(value: Any) -> Markup:
    """JSON that can stand in a script element."""
    text = plain_json.text(value)
    for character, escaped in UNSAFE.items():
        text = text.replace(character, escaped)
    return Markup(text)


def page(template: str, values: Mapping[str, Any]) -> str:
    return _environment().get_template(template).render(values)
