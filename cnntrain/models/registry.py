"""Every model by name: timm's zoo and, one architecture family per file, the nets that timm lacks.

Importing this module registers nothing and imports neither torch nor timm: `names` reads source files, so
that a wrong `model=` is answered at once, and `register` is called when a model is really built.
"""

import functools
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Collection, Iterable
from pathlib import Path

_ENTRYPOINT = re.compile(r"^@(?:timm\.models\.)?register_model\s*\ndef (\w+)", re.MULTILINE)
_DEPRECATIONS = re.compile(r"^register_model_deprecations\(__name__, \{(.*?)\}\)", re.MULTILINE | re.DOTALL)
_DEPRECATED_NAME = re.compile(r"""^\s*['"](\w+)['"]\s*:""", re.MULTILINE)


@functools.cache
def names() -> frozenset[str]:
    """Every value that `model.name` can take (without a pretrained tag such as `.a1_in1k`), timm's deprecated
    names included. A test holds it equal to timm's registry.

    Raises ModuleNotFoundError without timm.
    """
    spec = importlib.util.find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("cnntrain needs timm: python -m pip install timm", name="timm")
    folder = Path(spec.submodule_search_locations[0]) / "models"
    return registered_in(folder.glob("*.py")) | local_names()


@functools.cache
def local_names() -> frozenset[str]:
    """The names defined in this package."""
    return registered_in(Path(__file__).parent.glob("*.py"))


def register() -> None:
    """Import every family in this package, which puts its models into timm's registry; once is enough."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")


def defined_in(name: str) -> str:
    """The module that has registered a network, a pretrained tag apart. Brings in timm, and registers ours."""
    from timm.models import model_entrypoint

    register()
    return model_entrypoint(name.split(".", 1)[0]).__module__


def forget(modules: Collection[str]) -> None:
    """Take what these modules have registered out of timm's registry, which offers no way to do so."""
    timms = sys.modules.get("timm.models._registry")
    if timms is None:
        return
    gone = {name for name, function in timms._model_entrypoints.items() if function.__module__ in modules}
    tagged = {each for name in gone for each in timms._model_with_tags.get(name, ())} | gone
    for table in (
        timms._model_entrypoints,
        timms._model_to_module,
        timms._model_default_cfgs,
        timms._model_with_tags,
        timms._model_pretrained_cfgs,
    ):
        for name in tagged & table.keys():
            del table[name]
    for names in (timms._model_has_pretrained, *timms._module_to_models.values()):
        names -= tagged


def registered_in(files: Iterable[Path]) -> frozenset[str]:
    """The names that source files give to networks, read and not executed."""
    found: set[str] = set()
    for path in files:
        source = path.read_text(encoding="utf-8", errors="replace")  # a user's may have another
        found.update(_ENTRYPOINT.findall(source))
        for table in _DEPRECATIONS.findall(source):
            found.update(_DEPRECATED_NAME.findall(table))
    return frozenset(found)
