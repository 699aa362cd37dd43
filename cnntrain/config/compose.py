"""Hydra's side of the configuration: which overrides are forced, what a choice may be, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from cnntrain.config.check import check, plain
from cnntrain.config.groups import command_class
from cnntrain.config.loader import PLUGIN_GROUPS, Loader, typed_problems
from cnntrain.config.search_path import groups, is_model, model_names
from cnntrain.config.text import PARSER, takes_text
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.keys import is_within
from cnntrain.core.words import suggest

MOST = 100  # of the numbers of one key, that are checked before the first job starts
# which package brings a launcher or a sweeper
PACKAGES = {
    "submitit_slurm": "hydra-submitit-launcher, which is cnntrain's extra slurm",
    "submitit_local": "hydra-submitit-launcher, which is cnntrain's extra slurm",
    "joblib": "hydra-joblib-launcher, which is cnntrain's extra joblib",
    **{name: f"hydra-{name}-launcher" for name in ("ray", "rq")},
    **{name: f"hydra-{name}-sweeper" for name in ("ax", "nevergrad")},
}
MOST_LISTED = 20  # choices of a group that a message names


def parse(overrides: Sequence[str]) -> list[Override]:
    """Parse Hydra's override grammar.

    Raises:
        ConfigError: an override is malformed.
    """
    problems, parsed = [], []
    for text in overrides:
        try:
            parsed += PARSER.parse_overrides([text])
        except HydraException:
            problems.append(
                f"cannot read '{text}': write key=value, and quote values that hold , : {{ }} [ ] or spaces, once more "
                """for the shell: 'key="..."'"""
            )
    if problems:
        raise ConfigError(*problems)
    return parsed


def force(overrides: Sequence[Override]) -> list[str]:
    """The overrides for Hydra: a value is set whether or not the key exists, so that `check` sees every typo."""
    lines = []
    for each in overrides:
        line = each.input_line
        assert line is not None
        is_choice = _group(each) in groups()
        if each.is_delete() or each.key_or_group.startswith("hydra"):
            lines.append(line)
        elif is_choice and each.value() is None:
            lines.append(f"~{each.key_or_group}")  # Hydra's way to say that a group is left out
        elif is_choice:
            lines.append(line.lstrip("+"))
        else:
            lines.append("++" + line.lstrip("+"))
    return lines


def choice_problems(overrides: Sequence[Override]) -> list[str]:
    """What is wrong with the choices of config groups, such as ``model=vgg61``."""
    problems = []
    for each in overrides:
        group = _group(each)
        if group not in groups() or each.is_delete():
            continue
        for value in _values(each):
            if value is None:
                continue
            if value == "null" and each.is_sweep_override():
                problems.append(f"{group}=null cannot be one of several values to try: give it a command of its own")
                continue
            options = groups()[group]
            known = isinstance(value, str) and (value in options or (group == "model" and is_model(value)))
            if not known:
                candidates = {*options, *(model_names() if group == "model" else ())}
                hint = suggest(str(value), candidates)
                few = len(options) <= MOST_LISTED
                listed = f"; choose one of {', '.join(options)}" if few else "; cnntrain --help lists them"
                if group == "model":
                    listed = "; cnntrain models lists them, and any model of timm is one"
                problems.append(f"{group}={value} does not exist{hint or listed}")
    return problems


def check_overrides(command: str, overrides: Sequence[Override], multirun: bool) -> None:
    """Compose what the overrides ask for and hold it against the command's schema, every swept value included.

    Raises:
        ConfigError: with everything that is wrong.
    """
    problems = [*typed_problems(overrides), *choice_problems(overrides)]
    sound = [each for each in overrides if not typed_problems([each]) and not choice_problems([each])]
    swept = [each for each in sound if each.is_sweep_override()]
    if swept and not multirun:
        problems += [
            f"{each.input_line} is a list of values to try: add -m{_quotable(command, each)}" for each in swept
        ]
        sound = [each for each in sound if each not in swept]
    found = _Composed(command)
    for lines in _jobs(sound):
        try:
            tree = found.tree(lines)
            if tree.get("resume") in (None, "auto"):  # else what is typed is laid over a run's configuration first
                check(tree, command_class(command), _origins(command, lines))
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise ConfigError(*problems)


class _Composed:
    """What overrides are composed to. To compose takes a tenth of a second: where one number differs from those before,
    and nothing is derived from it, it is put in its place."""

    def __init__(self, command: str):
        self.command = command
        self.lines: Sequence[str] = ()
        self.last: dict[str, Any] | None = None

    def tree(self, lines: Sequence[str]) -> dict[str, Any]:
        """Raises ConfigError where they do not fit together."""
        differs = [(old, new) for old, new in zip(self.lines, lines, strict=False) if old != new]
        if self.last is not None and len(lines) == len(self.lines) and len(differs) == 1:
            ((old, new),) = differs
            key, _, value = new.partition("=")
            number = _number(value)
            if number is not None and old.startswith(f"{key}=") and _number(old.partition("=")[2]) is not None:
                return _with(self.last, key.lstrip("+").split("."), number)
        composed = compose_config(self.command, lines)
        derived = "${" in str(OmegaConf.to_container(composed, resolve=False))
        tree = plain(composed)
        self.lines, self.last = lines, None if derived else tree
        return tree


def _number(text: str) -> int | float | None:
    """A number as YAML and Hydra read it alike."""
    try:
        return int(text)
    except ValueError:
        with suppress(ValueError):
            return float(text)
    return None


def _with(tree: Mapping[str, Any], path: Sequence[str], value: object) -> dict[str, Any]:
    """A tree with another value at a path."""
    inner = value if len(path) == 1 else _with(tree[path[0]], path[1:], value)
    return {**tree, path[0]: inner}


def compose_config(command: str, lines: Sequence[str]) -> DictConfig:
    """Compose ``<command>.yaml`` with forced overrides.

    Raises:
        ConfigError: a file is missing or broken, or the overrides do not fit together.
    """
    try:
        composed = Loader(lines).load_configuration(command, [*lines], RunMode.RUN)
    except InputError as error:
        raise ConfigError(str(error)) from error
    except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise ConfigError(explain(error)) from error  # Hydra's word on a malformed defaults list is a ValueError
    with open_dict(composed):
        del composed["hydra"]
    return composed


def _quotable(command: str, override: Override) -> str:
    """What else may be meant by a comma."""
    key = override.key_or_group
    return f""", or quote a comma: '{key}="..."'""" if takes_text(command, key) else ""


def _origins(command: str, lines: Sequence[str]) -> Callable[[str], str]:
    """For a key that was not typed: `` (in <file>)``, where a file of the user's sets it; found for the first error."""
    typed = [line.lstrip("+~").partition("=")[0] for line in lines]
    origins = cache(lambda: Loader(lines).origins(command, lines))
    return lambda key: "" if any(is_within(each, [key]) for each in typed) else origins()(key)


def explain(error: BaseException) -> str:
    """Hydra's and OmegaConf's errors in a line or two."""
    if isinstance(error, RecursionError):
        return "a defaults list leads back to its own file: give your YAML a name that its defaults do not use"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        if group in PLUGIN_GROUPS:
            package = PACKAGES.get(name)
            how = f"pip install {package}" if package else f"Hydra itself has {group}=basic"
            return f"{group}={name}: no installed plug-in of Hydra's is called so; {how}"
        return f"no config '{error.missing_cfg_file}'{suggest(name, groups().get(group, ()))}"
    text = str(error.__cause__ or error).strip() or type(error).__name__
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _group(override: Override) -> str:
    return (
        override.key_or_group.split("@")[0].replace(".", "/") if "/" in override.key_or_group else override.key_or_group
    )


def _values(override: Override) -> list[object]:
    """The value, or each value of a sweep; one without an end (interval) has none to look at."""
    if not override.is_sweep_override():
        return [override.value()]
    return list(override.sweep_string_iterator()) if _is_listed(override) else []


def _is_listed(override: Override) -> bool:
    """Whether a sweep's values are known here; Hydra finds those of a glob later."""
    return override.is_discrete_sweep() and not isinstance(override.value(), Glob)


def _jobs(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """Forced overrides of one job per swept value, the other sweeps at their first: typos need no full product."""
    fixed = force([each for each in overrides if not each.is_sweep_override()])
    sweeps = []
    for each in overrides:
        if each.is_sweep_override() and _is_listed(each):
            head = force([each])[0].partition("=")[0]
            sweeps.append([f"{head}={value}" for value in each.sweep_string_iterator()])
    firsts = [values[0] for values in sweeps]
    yield fixed + firsts
    for index, values in enumerate(sweeps):
        for value in _some(values[1:]):
            yield fixed + firsts[:index] + [value] + firsts[index + 1 :]


def _some(values: Sequence[str]) -> Sequence[str]:
    """Of very many numbers some, the last among them; each job is checked again when it starts."""
    if len(values) <= MOST or not all(_number(each.partition("=")[2]) is not None for each in values):
        return values
    return [*values[:: len(values) // MOST], values[-1]]
