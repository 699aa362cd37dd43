"""Where YAML is looked for: the user's folders, the package's own, and timm's registry of models."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from cnntrain import models
from cnntrain.config.groups import builtin_dir
from cnntrain.core.errors import ConfigError

# hydra.main and hydra.compose read these; `use` sets them once, before either
_user_dirs: list[Path] = []


def use(config_dir: str | None) -> None:
    """Register our part of Hydra: the user's folders come before ours, and every timm model is a choice of ``model=``.

    Args:
        config_dir: the value of ``--config-dir``.
    """
    _user_dirs.clear()
    if config_dir is not None:
        folder = Path(config_dir).absolute()
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {config_dir}: there is no such folder")
        _user_dirs.append(folder)
    local = Path("configs").absolute()
    if local.is_dir() and local.resolve() != builtin_dir().resolve():
        _user_dirs.append(local)
    groups.cache_clear()
    OmegaConf.register_new_resolver("own", _own, replace=True)
    Plugins.instance().register(UserDirs)
    Plugins.instance().register(TimmModels)


def _own(group: str, name: str, otherwise: str) -> str:
    """For defaults lists: the choice of `group` called `name` where a YAML offers it, else `otherwise`."""
    return name if name in groups().get(group, ()) else otherwise


class UserDirs(SearchPathPlugin):
    """Puts the user's config folders before the package's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in _user_dirs:  # each goes right before ours, after those before it
            search_path.prepend(provider="cnntrain-user", path=f"file://{folder}", anchor="main")
        search_path.append(provider="cnntrain-models", path="timm://registry")


class TimmModels(ConfigSource):
    """``model/<name>`` for every name that timm or cnntrain registers and that has no YAML of its own."""

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
        return group == "model" and name.split(".", 1)[0] in models.names()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []  # 1,400 names would drown the help text; completion offers the ones with a YAML


def folders() -> list[Path]:
    """Where YAML is looked for, in this order."""
    return [*_user_dirs, builtin_dir()]


@cache
def groups() -> dict[str, tuple[str, ...]]:
    """Config groups and the choices that a YAML offers for each, over all folders."""
    found: dict[str, set[str]] = {}
    for folder in folders():
        for file in folder.rglob("*.yaml"):
            path = file.relative_to(folder).with_suffix("")
            if path.parts[0] == "hydra":
                continue
            for group in path.parents[:-1]:  # model/mine/net.yaml is model=mine/net and model/mine=net
                found.setdefault(group.as_posix(), set()).add(path.relative_to(group).as_posix())
    return {group: tuple(sorted(names)) for group, names in sorted(found.items())}
