"""Which files a user's code consists of, read and not executed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cnntrain.config import sources

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def file(path: str, text: str = "") -> Path:
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    return file


def test_what_a_file_imports_from_its_folder_is_found_wherever_it_is_imported(write: Write) -> None:
    main = write(
        "main.py",
        """
import os, json, torch, plain as p
from tools import cut, join as j
from tools.deep.down import *
from cnntrain.core import seeds

if os.name == "nt":
    import conditional

class A:
    def load(self):
        from space.inner import value
        import tools.lazy, main
""",
    )
    for name in (
        "plain.py", "conditional.py", "unused.py", "tools/__init__.py", "tools/cut.py", "tools/lazy.py",
        "tools/deep/__init__.py", "tools/unused.py", "space/unused.py", "cnntrain/core/seeds.py", "second.py",
        "third.py",
    ):  # fmt: skip
        write(name)
    write("space/inner.py", "import second")  # in a folder without __init__
    write("second.py", "import third, main  # a circle")
    write("tools/deep/down.py", "from . import near\nfrom .. import up\nfrom ..far import f\nfrom ....beyond import x")
    for name in ("tools/deep/near.py", "tools/up.py", "tools/far.py"):
        write(name)
    root = main.parent
    found = sources.beside(main)
    assert found.pop("main") == main
    assert found == {
        "plain": root / "plain.py",
        "conditional": root / "conditional.py",
        "second": root / "second.py",
        "third": root / "third.py",
        "space.inner": root / "space/inner.py",
        "tools": root / "tools/__init__.py",
        "tools.cut": root / "tools/cut.py",
        "tools.lazy": root / "tools/lazy.py",
        "tools.up": root / "tools/up.py",
        "tools.far": root / "tools/far.py",
        "tools.deep": root / "tools/deep/__init__.py",
        "tools.deep.down": root / "tools/deep/down.py",
        "tools.deep.near": root / "tools/deep/near.py",
    }


@pytest.mark.parametrize("text", ["x = (", "\0", "# coding: no-such\n", b"\xff\xfe".decode("latin-1")])
def test_a_file_that_is_no_python_has_nothing_beside_it(write: Write, text: str) -> None:
    main = write("main.py", "import broken")
    write("broken.py", text)
    assert set(sources.beside(main)) == {"main", "broken"}


def test_a_digest_is_of_names_and_contents(write: Write) -> None:
    main, other = write("main.py", "import other"), write("other.py", "x = 1")
    before = sources.digest(sources.beside(main))
    assert len(before) == 64 and sources.digest(sources.beside(main)) == before
    other.write_text("x = 2")
    after = sources.digest(sources.beside(main))
    assert after != before
    assert sources.digest({"a": main, "b": other}) != sources.digest({"a": other, "b": main})
    assert sources.digest({}) == ""


def test_a_module_of_a_package_is_the_whole_package(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["pack_a/__init__.py", "pack_a/nets.py", "pack_a/deep/more.py", "space_a/pack/__init__.py", "lone_a.py"]
    paths = {name: write(name) for name in names}
    write("pack_a/weights.bin")
    monkeypatch.syspath_prepend(str(paths["lone_a.py"].parent))
    found = {}
    for name in ("pack_a.nets", "space_a.pack", "space_a", "lone_a"):
        found[name] = set(sources.package(importlib.import_module(name), sys.modules).values())
    for name in [each for each in sys.modules if each.split(".")[0] in ("pack_a", "space_a", "lone_a")]:
        del sys.modules[name]
    assert found == {
        "pack_a.nets": {paths[each] for each in names[:3]},
        "space_a.pack": {paths["space_a/pack/__init__.py"]},
        "space_a": set(),
        "lone_a": {paths["lone_a.py"]},
    }
