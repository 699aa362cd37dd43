"""Hydra's loader under one law: a configuration chooses values and names no code, no file to write and no folder.

Hydra instantiates what ``hydra.callbacks``, ``hydra.launcher`` and ``hydra.sweeper`` name, and logs to, writes into and
moves to what other settings of its own say. Whatever it composes goes through `Loader.load_configuration`, a sweep's
jobs and what is only composed to be checked included, so the law stands there and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import PurePath
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.utils import create_config_search_path
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cnntrain.config import sweeping
from cnntrain.config.groups import builtin_dir
from cnntrain.config.search_path import USER
from cnntrain.core.errors import ConfigError
from cnntrain.core.keys import flat, is_within

SETTINGS = "hydra_settings"  # our YAML of Hydra's own settings
TARGET = "_target_"  # which class Hydra makes a plug-in of
SILENT = "hydra/job_logging=disabled"  # a run's log is ours
PLUGINS = ("hydra.launcher", "hydra.sweeper")
PLUGIN_GROUPS = ("hydra/launcher", "hydra/sweeper")
# what may be typed; a YAML may set less
TYPED = (*PLUGINS, "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.job.name")
# what Hydra fills in itself, whatever a YAML says
FILLED = ("hydra.mode", "hydra.runtime", "hydra.overrides", "hydra.job.override_dirname", "hydra.job.config_name")
# what a YAML may set for a plug-in: it cannot carry a command, a module or a path. Others are typed.
VALUES = re.compile(
    r"(timeout_min|cpus_per_task|gpus_per_node|tasks_per_node|mem_gb|nodes|name|partition|qos|account|constraint|gres"
    r"|exclude|exclusive|cpus_per_gpu|gpus_per_task|mem_per_gpu|mem_per_cpu|array_parallelism|signal_delay_s"
    r"|max_num_timeout|stderr_to_stdout|n_jobs|max_batch_size|n_trials|sampler|pruner|seed|against|direction|study_name|max_failure_rate"
    r"|params\..+|sampler\.(seed|n_startup_trials|multivariate|group|constant_liar))"
)
WORD = re.compile(r"[\w.,:%@+=-]*")
INSIDE = re.compile(r"(\$\{now:[%\w.-]+\}|[\w.=,-]+)(/(\$\{now:[%\w.-]+\}|[\w.=,-]+))*")  # of the working folder

ADVICE = {
    "hydra.run": "a run's folder is <output>/<name>/<date>-<time>: set output and name",
    "hydra.output_subdir": "a run's configuration is in its folder",
    "hydra.job.name": "in a YAML it is a word; another can be typed",
    "hydra.job.chdir": "a command stays where it was started",
    "hydra.job_logging": "a run's log is train.log in its folder",
    "hydra.mode": "-m runs one job for each value",
    "hydra.searchpath": "--config-dir adds a folder of your own",
    "hydra.callbacks": "a configuration cannot name code; --import brings code of your own",
    "hydra.sweep": "in a YAML it is a folder inside the working folder; another can be typed",
}


class Loader(ConfigLoaderImpl):
    """Composes configurations, from the user's folders and ours.

    Args:
        typed: the overrides of the command line, of which those of Hydra's settings may say more than a YAML may.
    """

    def __init__(self, typed: Sequence[str] = ()):
        version.setbase("1.3")
        sweeping.register(TARGET)
        super().__init__(create_config_search_path(str(builtin_dir().absolute())))
        keys = [each.lstrip("+~").partition("=")[0] for each in typed]
        self.typed = [key for key in keys if is_within(key, TYPED)]

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """As Hydra does.

        Raises:
            ConfigError: what was composed would let Hydra do more than compose and start jobs.
        """
        given = overrides if SILENT in overrides else [*overrides, SILENT]
        try:
            composed = super().load_configuration(config_name, given, run_mode, from_shell, validate_sweep_overrides)
        except KeyError as error:  # of hydra.job.env_copy
            raise ConfigError(f"hydra.job: the environment has no {error}") from error
        _name_own_set(composed, given)
        problems = [
            *self._forbidden(composed, given, _untouched(None if config_name is None else SETTINGS)),
            *_targets(composed),
        ]
        if problems:
            origin = self.origins(config_name, overrides)
            raise ConfigError(*(f"{key}{origin(key)}: {reason}" for key, reason in problems))
        return composed

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        composed = super()._compose_config_from_defaults_list(defaults, repo)
        if composed.hydra is None:  # Hydra itself would end in a traceback
            raise ConfigError("hydra: a configuration cannot empty Hydra's own settings: delete this line of the YAML")
        return composed

    def _forbidden(
        self, composed: DictConfig, given: Sequence[str], expected: Mapping[str, Any]
    ) -> Iterator[tuple[str, str]]:
        """Which of Hydra's settings are not as they come with it and with us, and why each must be."""
        found = _settings(composed)
        said = {*composed.hydra.overrides.task, *composed.hydra.overrides.hydra}
        if not said <= set(given):
            yield "hydra.overrides", "a configuration cannot type"
        for key in sorted({*found, *expected}):
            may_say_more = is_within(key, self.typed) and not key.endswith("._target_")
            was_empty = expected.get(key) == {} and key not in found  # what is in it now is found by its own key
            if may_say_more or was_empty or is_within(key, FILLED) or found.get(key) == expected.get(key):
                continue
            if is_within(key, PLUGINS):
                reason = _plugin_problem(key, found)
            else:
                is_harmless = HARMLESS.get(key)
                reason = None if is_harmless is not None and is_harmless(found.get(key)) else advice(key)
            if reason is not None:
                yield key, reason

    def origins(self, config_name: str | None, overrides: Sequence[str]) -> Origins:
        """Which of the user's files sets a key."""
        files: list[tuple[str, str, dict[str, Any]]] = []
        try:
            defaults = self.compute_defaults_list(config_name, [*overrides], RunMode.MULTIRUN).defaults
        except HydraException:
            return Origins(files)
        for each in defaults:
            loaded = self.repository.load_config(each.config_path) if each.config_path else None
            if loaded is None or loaded.provider != USER:
                continue
            package = (each.package or "").removeprefix("_global_").strip(".")
            keys = _flat(loaded.config, f"{package}." if package else "")
            files.append((f"{loaded.path.partition('://')[2]}/{each.config_path}.yaml", package, keys))
        return Origins(files)


class Origins:
    """Says which of the user's files set a key: `` (in <file>)``, or nothing where it is none of them.

    Args:
        files: path, the group that it fills, and its keys; a later one wins.
    """

    def __init__(self, files: Sequence[tuple[str, str, Mapping[str, Any]]] = ()):
        self.files = files[::-1]

    def __call__(self, key: str) -> str:
        for file, _, keys in self.files:
            if any(is_within(each, (key,)) or is_within(key, (each,)) for each in keys):
                return f" (in {file})"
        group = key.rpartition(".")[0]
        return next((f" (in {file})" for file, package, _ in self.files if group and package == group), "")


def typed_problems(overrides: Sequence[Override]) -> list[str]:
    """What of Hydra's own settings is typed and cannot be set."""
    keys = [(each.input_line, each.key_or_group.replace("/", ".").partition("@")[0]) for each in overrides]
    return [
        f"{line}: {advice(key)}"
        for line, key in keys
        if is_within(key, ("hydra",)) and (not is_within(key, TYPED) or "_target_" in str(line))
    ] + [
        f"{each.input_line}: give the name of one of Hydra's plug-ins"
        for each in overrides
        if each.key_or_group in PLUGIN_GROUPS and not each.is_delete() and not isinstance(each.value(), str)
    ]


def advice(key: str) -> str:
    """Why a setting of Hydra's is not offered."""
    return next((why for name, why in ADVICE.items() if is_within(key, (name,))), "cnntrain sets this itself")


def _name_own_set(composed: DictConfig, given: Sequence[str]) -> None:
    """A data set in a YAML that inherits another's is called as its file: ``data=stamps`` is no ``imagefolder``."""
    data, choice = composed.get("data"), composed.hydra.runtime.choices.get("data")
    typed = any(each.lstrip("+").startswith("data.name=") for each in given)
    if choice is None or typed or not isinstance(data, DictConfig) or data.get("source", "") is not None:
        return
    name = str(choice).replace("/", "-")
    if data.get("name") not in (None, name):
        data.source, data.name = data.name, name


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys to values, interpolations left as they are; none of a node that holds no keys."""
    tree = OmegaConf.to_container(node, resolve=False)
    return flat(tree, prefix) if isinstance(tree, dict) else {}  # type: ignore[arg-type]


def _settings(composed: DictConfig) -> dict[str, Any]:
    """Hydra's own settings."""
    return _flat(composed.hydra, "hydra.")


@cache
def _untouched(root: str | None) -> dict[str, Any]:
    """Hydra's settings as Hydra and our own YAML have them; as Hydra alone has them where `root` is none."""
    search_path = create_config_search_path(str(builtin_dir().absolute()))
    search_path.get_path()[:] = [
        each for each in search_path.get_path() if each.provider in ("hydra", "main", "schema")
    ]
    return _settings(ConfigLoaderImpl(search_path).load_configuration(root, [SILENT], RunMode.RUN))


def _plugin_problem(key: str, found: Mapping[str, Any]) -> str | None:
    """Why a YAML may not set this of a launcher or a sweeper; None where it may."""
    plugin = ".".join(key.split(".")[:2])
    defaults = _registered().get(str(found.get(f"{plugin}._target_")))
    if defaults is None:
        return "no installed plug-in of Hydra's is called so: a configuration cannot name code"
    name, value = key.removeprefix(f"{plugin}."), found.get(key)
    part, _, last = name.rpartition(".")
    own = _registered().get(str(found.get(f"{plugin}.{part}._target_")), {}) if part else defaults  # a sampler's
    if key not in found or own.get(last) == value or (last == "_target_" and value in _registered()):
        return None
    if VALUES.fullmatch(name) and (_is_word(value) or name.startswith("params.")):
        return None
    return f"a YAML cannot set this to {value!r}, which could run code: type it, {key}=..."


@cache
def _registered() -> dict[str, dict[str, Any]]:
    """What installed plug-ins register: the class of each launcher, sweeper and sampler, and its settings."""
    found: dict[str, dict[str, Any]] = {}
    store = ConfigStore.instance().repo.get("hydra", {})
    nodes = [store.get(group, {}) for group in ("launcher", "sweeper")]
    while nodes:
        node = nodes.pop()
        if not isinstance(node, ConfigNode):
            nodes.extend(node.values())
        elif isinstance(node.node, DictConfig) and "_target_" in node.node:
            values = _flat(node.node)
            found[str(values["_target_"])] = values
    return found


def _targets(composed: DictConfig) -> Iterator[tuple[str, str]]:
    """Where the configuration outside Hydra's own settings names code."""
    for key in _flat(composed):
        if key.rpartition(".")[2] == "_target_" and not is_within(key, ("hydra",)):
            yield key, ADVICE["hydra.callbacks"]


def _is_word(value: Any) -> bool:
    """Whether this is a number or a word, with which a script or a shell can do nothing else."""
    return value is None or isinstance(value, bool | int | float) or bool(WORD.fullmatch(str(value)))


def _is_inside(path: Any) -> bool:
    """Whether a path of a YAML leads into the working folder; of interpolations only the time is known."""
    return isinstance(path, str) and bool(INSIDE.fullmatch(path)) and ".." not in PurePath(path).parts


HARMLESS: dict[str, Callable[[Any], bool]] = {"hydra.sweep.dir": _is_inside, "hydra.job.name": _is_word}  # in a YAML
