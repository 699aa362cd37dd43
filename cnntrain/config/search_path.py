"""Where YAML is looked for: the user's folders, the package's own, and timm's registry of models.

A user's folder adds options to groups, and commands of code of his own; the roots of our commands stay ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from filecmp import cmp
from functools import cache
from pathlib import Path
from typing import NoReturn

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.resolvers import oc

from cnntrain.config import imports
from cnntrain.config.groups import ABSTRACT, builtin_dir
from cnntrain.core import plain_yaml
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.paths import expanded
from cnntrain.models import registry

USER = "cnntrain-user"  # what Hydra calls the user's folders

# Hydra reads these whenever it composes; set by `looking_in`
_user_dirs: tuple[Path, ...] = ()
_is_looking = False


@contextmanager
def looking_in(config_dir: str | None) -> Iterator[None]:
    """Within the block the user's folders come before ours, and every timm model is a choice of ``model=``.

    Enter it after the user's code is imported: the ``configs/`` beside it belongs to it.

    Args:
        config_dir: the value of ``--config-dir``.

    Raises:
        ConfigError: there is no such folder.
    """
    global _user_dirs, _is_looking
    before = _user_dirs, _is_looking
    found = []
    if config_dir is not None:
        folder = expanded(config_dir).absolute()
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {config_dir}: there is no such folder")
        found.append(folder)
    local = Path("configs").absolute()
    if local.is_dir() and not _is_copy(local):
        found.append(local)
    _user_dirs = tuple(dict.fromkeys([*found, *imports.config_dirs()]))
    _groups.cache_clear()
    OmegaConf.register_new_resolver("own", _own, replace=True)
    OmegaConf.register_new_resolver("oc.env", _no_environment, replace=True)
    for plugin in (UserDirs, UserYaml, TimmModels):
        Plugins.instance().register(plugin)
    _is_looking = True
    try:
        yield
    finally:
        _user_dirs, _is_looking = before
        if not _is_looking:
            OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def looking() -> AbstractContextManager[None]:
    """Where the block around this looks; outside of any beside the user's code and in the package alone."""
    return nullcontext() if _is_looking else looking_in(None)


def _own(group: str, name: str, otherwise: str) -> str:
    """For defaults lists: the choice of `group` called `name` where a YAML offers it, else `otherwise`."""
    return name if name in groups().get(group, ()) else otherwise


def _no_environment(name: str, *default: object) -> NoReturn:
    """What a run is told is written down in its folder and its checkpoints, where a secret must not be."""
    raise ConfigError(f"${{oc.env:{name}}} is not offered, since it would be written down: type key=${name}")


class UserDirs(SearchPathPlugin):
    """Puts the user's config folders before the package's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in _user_dirs:  # each goes right before ours, after those before it
            search_path.prepend(provider=USER, path=f"{UserYaml.scheme()}://{folder}", anchor="main")
        search_path.append(provider="cnntrain-models", path="timm://registry")


class UserYaml(FileConfigSource):
    """A user's folder of YAML: of plain size, with nothing in the places that are ours."""

    @staticmethod
    def scheme() -> str:
        return "cnntrain"

    def load_config(self, config_path: str) -> ConfigResult:
        """Raises InputError where the file is broken, or no group of keys."""
        path = Path(self.path) / self._normalize_file_name(config_path)
        if path.is_file() and not isinstance(plain_yaml.load(path), dict | None):
            raise InputError(f"{path} holds no keys: a configuration is lines of the form key: value")
        return super().load_config(config_path)

    def is_config(self, config_path: str) -> bool:
        return not _is_ours(config_path) and super().is_config(config_path)


def _is_ours(config_path: str) -> bool:
    """Whether a file at the top of a folder has the name of one of our roots."""
    name = f"{config_path.strip('/').removesuffix('.yaml')}.yaml"
    return "/" not in name and (builtin_dir() / name).is_file()


def _yaml(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.yaml")


def _is_copy(folder: Path) -> bool:
    """Whether a folder holds nothing but what ours does: where ours lies, and in the clone that was installed."""
    files = list(_yaml(folder))
    return bool(files) and all(_is_same_as_ours(each, folder) for each in files)


def _is_same_as_ours(file: Path, folder: Path) -> bool:
    """Whether a file is what we have at its place."""
    try:
        return cmp(file, builtin_dir() / file.relative_to(folder), shallow=False)
    except OSError:  # we have none there, or it cannot be read, which whoever asks for it is told
        return False


def notes() -> list[str]:
    """Lines on the user's files that nobody has typed: a folder that is read, files that are not."""
    local = Path("configs").absolute()
    lines = [f"note: configurations of {local} are used"] if local in _user_dirs else []
    for folder in _user_dirs:
        for file in sorted(folder.glob("*.yaml")):
            if _is_ours(file.name) and not _is_same_as_ours(file, folder):
                lines.append(
                    f"note: {file} is not read: the top of a configuration is cnntrain's own; a folder adds groups"
                )
    return lines


class TimmModels(ConfigSource):
    """``model/<name>`` for every name that timm, cnntrain or the user's own code registers and that has no YAML."""

    @staticmethod
    def scheme() -> str:
        return "timm"

    def load_config(self, config_path: str) -> ConfigResult:
        name = config_path.removeprefix("model/").removesuffix(".yaml")
        node = OmegaConf.create({"defaults": ["timm", "_self_"], "name": name})
        return ConfigResult(provider=self.provider, path=self.full_path(), config=node, header={"package": None})

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path.strip("/") == "model"

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.strip("/").removesuffix(".yaml").partition("/")
        return group == "model" and is_model(name)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []  # 1,400 names would drown the help text; completion offers the ones with a YAML


def is_model(name: str) -> bool:
    """Whether a network is registered by this name, a pretrained tag apart."""
    return name.split(".", 1)[0] in model_names()


def model_names() -> frozenset[str]:
    """Every name of a network, the user's own included."""
    return registry.names() | imports.model_names()


def folders() -> list[Path]:
    """Where YAML is looked for, in this order."""
    return [*_user_dirs, builtin_dir()]


def groups() -> dict[str, tuple[str, ...]]:
    """Config groups and the choices that a YAML offers for each, over all folders."""
    return _groups(tuple(folders()))


@cache
def _groups(dirs: tuple[Path, ...]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for folder in dirs:
        for file in _yaml(folder):
            path = file.relative_to(folder).with_suffix("")
            if path.name == ABSTRACT:
                continue
            for group in path.parents[:-1]:  # model/mine/net.yaml is model=mine/net and model/mine=net
                found.setdefault(group.as_posix(), set()).add(path.relative_to(group).as_posix())
    return {group: tuple(sorted(names)) for group, names in sorted(found.items())}
