"""The shape of the code, read from its source: who imports whom, how long things are, what must not be there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Set
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
EXTRAS = {
    "pycocotools", "onnx", "onnxscript", "onnxruntime", "optuna", "cmaes", "webdataset", "braceexpand", "datasets",
    "captum", "umap", "h5py", "tifffile", "wandb", "mlflow",
}  # fmt: skip
WITH_AN_EXTRA = ("cnntrain.search", "cnntrain.tasks.detect")  # are imported where they are asked for
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
    """The statements that run at import; with `inside` those of functions and for the type checker too."""
    for each in body:
        yield each
        if isinstance(each, ast.If) and "TYPE_CHECKING" in ast.unparse(each.test) and not inside:
            continue
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not inside:
            continue
        for part in ("body", "orelse", "finalbody"):
            yield from statements(getattr(each, part, []), inside)
        for handler in getattr(each, "handlers", []):
            yield from statements(handler.body, inside)


@cache
def imports(file: Path, inside: bool = True) -> frozenset[str]:
    """Dotted names of what a file imports; of ``from cnntrain import x`` the module x."""
    found: set[str] = set()
    for each in statements(parsed(file).body, inside):
        if isinstance(each, ast.Import):
            found |= {alias.name for alias in each.names}
        elif isinstance(each, ast.ImportFrom):
            assert not each.level, f"{file}: relative import"
            found |= {name for alias in each.names if is_module(name := f"{each.module}.{alias.name}")} | {
                str(each.module)
            }
    return frozenset(found)


@cache
def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def ours(file: Path, inside: bool = True) -> set[str]:
    return {each for each in imports(file, inside) if each.split(".")[0] == "cnntrain"}


def below(names: Set[str], *packages: str) -> set[str]:
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
        for each in files_of(name):
            found |= imported_at_start(each, seen)
    return found


@cache
def files_of(name: str) -> list[Path]:
    """Those of ours that importing a module runs: its own, and those of the packages that it is in."""
    parts = name.split(".")
    paths = [ROOT.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)] if parts[0] == "cnntrain" else []
    return [each for path in paths for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()]


# the one ordered list of layers, the top first: an import, typing ones included, only goes down
LAYERS = (
    {"__main__"},
    {"cli"},
    {"commands"},
    {"search", "export"},
    {"build"},
    {"training", "study"},
    {"config"},
    {"runs", "transfer"},
    {"models", "data", "augment", "tasks"},
    {"optim", "schedule"},
    {"core"},
)
ROOMS = 19
BEFORE_TORCH = ("cli", "commands", "config", "runs.folder", "core.errors", "core.signals")
PLUGIN_GROUPS = ("augment", "data", "optim", "schedule", "transfer")


def room(name: str) -> str:
    """The room of a module: what stands below ``cnntrain``."""
    return name.split(".")[1] if "." in name else ""


def graph() -> dict[str, set[str]]:
    """Who imports whom, at import, in functions and for the type checker."""
    return {name_of(file): {each for each in ours(file) if each != name_of(file)} for file in FILES}


def test_the_reader_of_imports_sees_them() -> None:
    assert "cnntrain.core.launch" in imports(PACKAGE / "cli.py")
    assert "cnntrain.core.launch" not in imports(PACKAGE / "cli.py", inside=False)
    assert "cnntrain.config.check" in imports(PACKAGE / "cli.py", inside=False)
    assert "cnntrain.data.sets.dataset" in imports(PACKAGE / "data" / "base.py")  # for the type checker alone
    assert "torch" in imported_at_start(PACKAGE / "training" / "loop.py")


# who imports whom


@pytest.mark.no_cover
def test_imports_only_go_down() -> None:
    height = {name: -number for number, rooms in enumerate(LAYERS) for name in rooms}
    edges = {(room(user), room(used)) for user, all_used in graph().items() for used in all_used if room(user)}
    unknown = {name for edge in edges for name in edge} - height.keys() - {""}
    assert not unknown, f"no layer holds {unknown}"
    upward = {edge for edge in edges if edge[0] != edge[1] and height[edge[0]] <= height.get(edge[1], -99)}
    assert not upward


@pytest.mark.no_cover
def test_no_module_imports_in_a_circle() -> None:
    rest = graph()
    while leaves := {name for name, used in rest.items() if not used & rest.keys()}:
        rest = {name: used for name, used in rest.items() if name not in leaves}
    assert not rest, f"on a circle, or above one: {sorted(rest)}"


def test_the_house_has_few_rooms(capsys: pytest.CaptureFixture[str]) -> None:
    modules = {file.stem for file in PACKAGE.glob("*.py")}
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    arrows = {(room(user), room(used)) for user, all_used in graph().items() for used in all_used}
    with capsys.disabled():
        print(f"\n{len(rooms)} rooms, {len(modules)} modules at the root, {len(FILES)} modules, {len(arrows)} arrows")
    assert modules == {"__init__", "__main__", "cli"}
    assert len(rooms) + len(modules) <= ROOMS


def test_only_dist_and_launch_import_torch_distributed() -> None:
    users = {name_of(file) for file in FILES if below(imports(file), "torch.distributed")}
    assert users == {"cnntrain.core.dist", "cnntrain.core.launch"}
    for file in FILES:
        named = {ast.unparse(each) for each in ast.walk(parsed(file)) if isinstance(each, ast.Attribute)}
        assert not below(named, "torch.distributed"), file


def test_what_runs_before_the_config_is_valid_imports_nothing_heavy() -> None:
    for file in FILES:
        if any(below({name_of(file)}, f"cnntrain.{each}") for each in BEFORE_TORCH):
            assert not imported_at_start(file) & HEAVY, file


@pytest.mark.parametrize("group", PLUGIN_GROUPS)
def test_plugins_with_a_yaml_import_nothing_heavy(group: str) -> None:
    for file in package(group):
        if (ROOT / "configs" / group / f"{file.stem}.yaml").is_file() or file.stem in ("base", "__init__"):
            assert not imported_at_start(file) & HEAVY, file


def test_methods_import_nothing_heavy() -> None:
    for file in [*package("study/explain/methods"), PACKAGE / "study" / "explain" / "base.py"]:
        assert not imported_at_start(file) & HEAVY, file


def test_what_needs_an_extra_is_imported_where_it_is_asked_for() -> None:
    """A command that needs none must work without any."""
    for file in FILES:
        if not below({name_of(file)}, *WITH_AN_EXTRA) or file.name == "__init__.py":
            assert not imported_at_start(file) & EXTRAS, file


# what must not be there


def test_a_config_cannot_name_code() -> None:
    for file in [*FILES, *(ROOT / "configs").rglob("*.yaml")]:
        text = file.read_text(encoding="utf-8")
        if file != PACKAGE / "config" / "loader.py":  # which refuses it
            assert "_target_" not in text, file
        assert "instantiate(" not in text and "!!python" not in text, file


def test_nothing_read_can_run_code() -> None:
    for file in FILES:
        assert not imports(file) & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}, file
        assert not re.search(r"weights_only\s*=\s*(?!True)", file.read_text(encoding="utf-8")), file
        for each in ast.walk(parsed(file)):
            if isinstance(each, ast.Call):
                called, keywords = ast.unparse(each.func), {keyword.arg for keyword in each.keywords}
                assert called not in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "torch.hub.load"), file
                assert called != "torch.load" or "weights_only" in keywords, f"{file}: torch.load without weights_only"


def test_only_one_module_writes_json() -> None:
    """Python's own writer makes NaN of what is no number, which no other program reads."""
    for file in FILES:
        calls = {ast.unparse(each.func) for each in ast.walk(parsed(file)) if isinstance(each, ast.Call)}
        assert not calls & {"json.dump", "json.dumps"} or name_of(file) == "cnntrain.core.plain_json", file


SHOWN = re.compile(r"plain_json\.text\(|tables\.|draw\(")  # for scripts, or tables, whose cells are made printable
PRINTS = {"cnntrain.core.words", "cnntrain.cli"}
LAID_OUT = {
    ("cnntrain.commands.summary", "text"),
    ("cnntrain.commands.models", "CLEAR"),
}  # tables with more below; none


def test_what_is_shown_is_made_printable() -> None:
    """Lines go through `tell` or a screen, which let no control characters of a name or of a file pass."""
    for file in FILES:
        for each in ast.walk(parsed(file)):
            if isinstance(each, ast.Call) and ast.unparse(each.func) == "print" and name_of(file) not in PRINTS:
                shown = ast.unparse(each.args[0])
                assert SHOWN.match(shown) or (name_of(file), shown) in LAID_OUT, f"{file}: print({shown})"
        assert "rich.console" not in imports(file) or name_of(file) == "cnntrain.core.console", file


def test_there_is_one_loop() -> None:
    """Only `training.step` moves weights, and only the loop calls it; a rehearsal moves those of a copy, and a
    search those of its controller."""
    movers = set()
    for file in FILES:
        calls = {ast.unparse(each.func) for each in ast.walk(parsed(file)) if isinstance(each, ast.Call)}
        if any(re.search(r"optimizer\.step$|scaler\.step$|\.backward$", each) for each in calls):
            movers.add(name_of(file))
    assert movers == {"cnntrain.training.step", "cnntrain.training.rehearsal", "cnntrain.search.nas.controller"}


# how long things are


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_function_fits_a_screen_and_a_module_a_sitting(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE
    for each in ast.walk(parsed(file)):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (each.end_lineno or 0) - each.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{each.name} has {length} lines"
