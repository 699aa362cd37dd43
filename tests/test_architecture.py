"""The shape of the code, read from its source: who imports whom, how long things are, what must not be there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "cnntrain"
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {
    "torch", "torchvision", "timm", "sklearn", "scipy", "numpy", "PIL", "tensorboard", "huggingface_hub", "rich",
    "matplotlib",
}  # fmt: skip
LONGEST_FUNCTION, LONGEST_MODULE = 50, 300


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package(name: str) -> list[Path]:
    return sorted((PACKAGE / name).glob("*.py"))


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def statements(body: list[ast.stmt], inside: bool) -> Iterator[ast.stmt]:
    """The statements that run at import (with `inside`: of functions too), those for the type checker left out."""
    for each in body:
        yield each
        if isinstance(each, ast.If) and "TYPE_CHECKING" in ast.unparse(each.test):
            continue
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not inside:
            continue
        for part in ("body", "orelse", "finalbody"):
            yield from statements(getattr(each, part, []), inside)
        for handler in getattr(each, "handlers", []):
            yield from statements(handler.body, inside)


def imports(file: Path, inside: bool = True) -> set[str]:
    """Dotted names of what a file imports; of ``from cnntrain import x`` the module x."""
    found: set[str] = set()
    for each in statements(parsed(file).body, inside):
        if isinstance(each, ast.Import):
            found |= {alias.name for alias in each.names}
        elif isinstance(each, ast.ImportFrom):
            assert not each.level, f"{file}: relative import"
            names = {f"{each.module}.{alias.name}" for alias in each.names}
            found |= {name for name in names if is_module(name)} or {str(each.module)}
    return found


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def ours(file: Path, inside: bool = True) -> set[str]:
    return {each for each in imports(file, inside) if each.split(".")[0] == "cnntrain"}


def below(names: set[str], *packages: str) -> set[str]:
    """Those of `names` that are one of the packages or in one."""
    return {each for each in names if any(each == p or each.startswith(p + ".") for p in packages)}


def imported_at_start(file: Path, seen: set[Path] | None = None) -> set[str]:
    """What importing a file imports, through our own files too, and through the packages that they are in."""
    seen = seen if seen is not None else set()
    if file in seen:
        return set()
    seen.add(file)
    found: set[str] = set()
    for name in imports(file, inside=False):
        found.add(name.split(".")[0])
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            path = ROOT.joinpath(*parts[:end])
            for candidate in (path.with_suffix(".py"), path / "__init__.py"):
                if parts[0] == "cnntrain" and candidate.is_file():
                    found |= imported_at_start(candidate, seen)
    return found


def test_the_reader_of_imports_sees_them() -> None:
    assert "cnntrain.commands.train" not in imports(PACKAGE / "cli.py")
    assert "cnntrain.dist" in imports(PACKAGE / "cli.py") and "cnntrain.dist" not in imports(PACKAGE / "cli.py", False)
    assert "cnntrain.config" in imports(PACKAGE / "cli.py", inside=False)
    assert "torch" in imported_at_start(PACKAGE / "loop.py")


# who imports whom


def test_only_the_command_line_knows_the_commands() -> None:
    users = {name_of(file) for file in FILES if below(ours(file), "cnntrain.commands")}
    assert users <= {"cnntrain.commands.eval", "cnntrain.cli"}  # eval prints the versions that train writes


def test_nothing_imports_the_command_line() -> None:
    assert {name_of(file) for file in FILES if "cnntrain.cli" in ours(file)} == {"cnntrain.__main__"}


def test_the_loop_knows_neither_commands_nor_configuration_nor_plugins() -> None:
    known = ours(PACKAGE / "loop.py")
    assert not below(
        known, "cnntrain.commands", "cnntrain.cli", "cnntrain.build", "cnntrain.config", "cnntrain.compose"
    )
    assert not below(known, "cnntrain.models", "cnntrain.transfer", "cnntrain.optim", "cnntrain.schedule")


def test_build_is_used_by_commands_only() -> None:
    users = {name_of(file) for file in FILES if "cnntrain.build" in ours(file)}
    assert users and all(each.startswith("cnntrain.commands.") for each in users)


def test_transfer_imports_neither_data_nor_the_run() -> None:
    for file in package("transfer"):
        shared = ("cnntrain.errors", "cnntrain.paths", "cnntrain.models", "cnntrain.folder")
        assert below(ours(file), "cnntrain.transfer", *shared) == ours(file), file


def test_models_import_nothing_of_ours() -> None:
    for file in package("models"):
        assert below(ours(file), "cnntrain.models") == ours(file), file


@pytest.mark.parametrize("group", ["augment", "optim", "schedule", "data"])
def test_plugins_import_their_own_group_only(group: str) -> None:
    shared = {"cnntrain.errors", "cnntrain.seeds"}
    for file in package(group):
        assert ours(file) - shared == below(ours(file), f"cnntrain.{group}"), file


def test_only_dist_imports_torch_distributed() -> None:
    users = {name_of(file) for file in FILES if below(imports(file), "torch.distributed")}
    assert users == {"cnntrain.dist"}
    for file in FILES:
        named = {ast.unparse(each) for each in ast.walk(parsed(file)) if isinstance(each, ast.Attribute)}
        assert file.name == "dist.py" or not below(named, "torch.distributed"), file


@pytest.mark.parametrize("module", ["cli", "compose", "config", "schema", "resume", "folder", "errors"])
def test_what_runs_before_the_config_is_valid_imports_nothing_heavy(module: str) -> None:
    assert not imported_at_start(PACKAGE / f"{module}.py") & HEAVY


@pytest.mark.parametrize("group", ["augment", "data", "optim", "schedule", "transfer"])
def test_plugins_with_a_yaml_import_nothing_heavy(group: str) -> None:
    for file in package(group):
        if (ROOT / "configs" / group / f"{file.stem}.yaml").is_file() or file.stem in ("base", "__init__"):
            assert not imported_at_start(file) & HEAVY, file


def test_there_are_no_cycles_at_import() -> None:
    graph = {name_of(file): ours(file, inside=False) - {name_of(file), "cnntrain"} for file in FILES}
    while leaves := {name for name, needed in graph.items() if not needed & graph.keys()}:
        graph = {name: needed for name, needed in graph.items() if name not in leaves}
    assert not graph


# what must not be there


def test_a_config_cannot_name_code() -> None:
    for file in [*FILES, *(ROOT / "configs").rglob("*.yaml")]:
        text = file.read_text(encoding="utf-8")
        assert "_target_" not in text and "instantiate" not in text and "!!python" not in text, file


def test_nothing_read_can_run_code() -> None:
    for file in FILES:
        assert not imports(file) & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}, file
        assert not re.search(r"weights_only\s*=\s*(?!True)", file.read_text(encoding="utf-8")), file
        for each in ast.walk(parsed(file)):
            if isinstance(each, ast.Call):
                called, keywords = ast.unparse(each.func), {keyword.arg for keyword in each.keywords}
                assert called not in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "torch.hub.load"), file
                assert called != "torch.load" or "weights_only" in keywords, f"{file}: torch.load without weights_only"


def test_there_is_one_loop() -> None:
    """Only `Run.step` moves weights, and only the loop calls it."""
    movers = set()
    for file in FILES:
        calls = {ast.unparse(each.func) for each in ast.walk(parsed(file)) if isinstance(each, ast.Call)}
        if any(re.search(r"optimizer\.step$|scaler\.step$|\.backward$", each) for each in calls):
            movers.add(name_of(file))
    assert {each for each in movers if not each.startswith("cnntrain.explain")} == {"cnntrain.run"}


# how long things are


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_function_fits_a_screen_and_a_module_a_sitting(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE
    for each in ast.walk(parsed(file)):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (each.end_lineno or 0) - each.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{each.name} has {length} lines"
