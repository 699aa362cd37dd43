"""YAML of plain values and of plain size, read safely."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cnntrain.core.errors import InputError

MERGE = "<<"
MOST_NODES, DEEPEST = 100_000, 60  # a class a line for ImageNet-21k is 22,000 nodes


def load(path: Path) -> Any:
    """What a file holds: dicts, lists and scalars.

    Aliases are counted as what they stand for: a few lines can stand for gigabytes.

    Raises:
        InputError: the file cannot be read, is broken, gives a key twice, names code, or stands for too much.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None and _size(root, 1, {}) > MOST_NODES:
            raise InputError(f"{path}: its aliases stand for more than {MOST_NODES:,} values")
        return yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise InputError(f"{path}{where}: broken YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:  # a character that YAML has not; a date that is none
        raise InputError(f"{path}: broken YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested more than {DEEPEST} deep") from error


def _size(node: yaml.Node, depth: int, known: dict[yaml.Node, int]) -> int:
    """How many values a node stands for."""
    if depth > DEEPEST:
        raise RecursionError
    if node not in known:
        known[node] = MOST_NODES + 1  # for one that holds itself
        _refuse_twice(node)
        parts = [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
        inner = parts if isinstance(node, yaml.CollectionNode) else []
        known[node] = 1 + sum(_size(each, depth + 1, known) for each in inner)
    return known[node]


def _refuse_twice(node: yaml.Node) -> None:
    """PyYAML would take the last value of a key that is given twice."""
    keys = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode) and key.value in keys and key.value != MERGE:
            raise yaml.MarkedYAMLError(problem=f"found duplicate key {key.value}", problem_mark=key.start_mark)
        keys.add(key.value if isinstance(key, yaml.ScalarNode) else None)
