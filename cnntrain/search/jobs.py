"""The jobs of a sweep, and what is known of them from before: found by what was typed, without composing anything.

``jobs.jsonl`` in the sweep's folder has a first line that says of which command it is, and one for each job that has
finished: a digest of all that its configuration is composed of (files that are read into it too), its run, and the time
of the run's ``config.yaml``, which tells whether the run has been resumed with other keys since.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from cnntrain.config import imports
from cnntrain.config.resume import READ
from cnntrain.config.search_path import folders as yaml_folders
from cnntrain.config.text import PARSER
from cnntrain.core import plain_json
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.files import write_new
from cnntrain.core.keys import is_within
from cnntrain.core.paths import expanded
from cnntrain.core.version import __version__
from cnntrain.runs import folder as folders
from cnntrain.runs import index
from cnntrain.search import outcomes
from cnntrain.search.outcomes import FINISHED, WAITING, Outcome

JOBS = "jobs.jsonl"
SWEEPER = ("hydra.sweeper",)
MORE = "hydra.sweeper.n_trials"  # more of them is the same search


class Header(TypedDict):
    """The first line of `JOBS`."""

    words: list[str]


class Entry(TypedDict):
    """A line of `JOBS`."""

    job: str
    run: str
    changed: int


@dataclass
class Job:
    """A job of a sweep.

    Attributes:
        words: its overrides.
        varied: the keys that differ between the jobs, with its values as they are typed.
        key: a digest of all that its configuration is composed of.
    """

    words: list[str]
    varied: dict[str, str]
    key: str
    status: str = WAITING
    outcome: Outcome | None = None
    error: str | None = None

    def ended(self, run: Path | None, status: str, error: str | None) -> None:
        self.outcome = None if run is None else outcomes.read(run)
        self.status, self.error = status, error


def parsed(hydra: Hydra, config: DictConfig, arguments: Sequence[str]) -> list[Override]:
    """The overrides of a sweep: those of a YAML's ``hydra.sweeper.params``, then those typed."""
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    overrides = OverridesParser.create(config_loader=hydra.config_loader).parse_overrides([*params, *arguments])
    return list({each.get_key_element(): each for each in overrides}.values())  # a later one wins


def of_grid(overrides: Iterable[Override], files: Iterable[str] = ()) -> list[Job]:
    """One for each combination of values, in Hydra's order.

    Args:
        files: see `sources`.

    Raises:
        ConfigError: an override says no values, but a range of numbers.
    """
    lists, varied = [], []
    for each in overrides:
        key = each.get_key_element()
        if not each.is_sweep_override():
            lists.append([f"{key}={each.get_value_element_as_str()}"])
            continue
        if not each.is_discrete_sweep():
            raise ConfigError(f"{each.input_line}: a grid needs values; hydra/sweeper=optuna draws from a range")
        lists.append([f"{key}={value}" for value in each.sweep_string_iterator()])
        varied += [key] if len(lists[-1]) > 1 else []
    found, source = [], sources(files)
    for words in itertools.product(*lists):
        values = dict(word.split("=", 1) for word in words)
        own = {key.lstrip("+"): values[key] for key in varied}
        found.append(Job(list(words), own, key_of(words, source)))
    return found


def key_of(words: Sequence[str], source: str) -> str:
    """The digest of a job, of its overrides, what is in the files that they have read, and `sources`."""
    values = dict(each.lstrip("+").split("=", 1) for each in words)
    read = [_content(str(PARSER.parse_override(f"{key}={values[key]}").value())) for key in READ.keys() & values.keys()]
    return hashlib.sha256(plain_json.text([*words, *read, source]).encode()).hexdigest()


def sources(files: Iterable[str] = ()) -> str:
    """A digest of what overrides are composed with: all YAML, the user's code, and this version.

    Args:
        files: of which the content becomes a part of the configuration, see `read_by`.
    """
    sha = hashlib.sha256(__version__.encode() + "".join(map(_content, files)).encode())
    for folder in yaml_folders():
        for file in sorted(folder.rglob("*.yaml")):
            sha.update(f"{file.relative_to(folder)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    sha.update("".join(sorted(each.sha256 for each in imports.present())).encode())
    return sha.hexdigest()


def read_by(config: DictConfig) -> list[str]:
    """The files that a composed configuration names and that are read into it."""
    named = [OmegaConf.select(config, key) for key in READ]
    return [str(each) for each in named if each is not None]


def _content(file: str) -> str:
    """A digest of what is in a file; of one that cannot be read, which the job will say, nothing."""
    try:
        return hashlib.sha256(expanded(file).read_bytes()).hexdigest()
    except OSError:
        return ""


def place_of(config: DictConfig, words: Sequence[str]) -> Path:
    """The folder of a sweep, that of the same command from before where there is one: made if it is not there."""
    asked = Path(str(config.hydra.sweep.dir))
    typed = any(each.lstrip("+").startswith("hydra.sweep.dir=") for each in config.hydra.overrides.hydra)
    own = [each for each in config.hydra.overrides.hydra if is_within(_key(each), SWEEPER) and _key(each) != MORE]
    header = Header(words=[*own, *words])
    for place in [] if typed else sorted(asked.parent.glob("*/"), reverse=True):
        if _header(place) == header:
            return place
    for place in _names(asked):
        try:
            write_new(place / JOBS, f"{plain_json.text(header)}\n".encode())
        except InputError:
            if not (place / JOBS).exists():
                raise
            if not typed:
                continue  # of another sweep that started in this second
            # whatever that one was begun with: jobs are told by all that they consist of
        return place
    raise AssertionError("names do not end")


def recall(place: Path, jobs: Sequence[Job]) -> None:
    """Note of each job whether it has finished before.

    Raises:
        InputError: a run's result is damaged.
    """
    known = {each["job"]: each for each in index.entries(place / JOBS, Entry)}
    for job in jobs:
        entry = known.get(job.key)
        if entry is None or _changed(Path(entry["run"])) != entry["changed"]:
            continue
        found = outcomes.read(Path(entry["run"]))
        if found is not None and found.status == FINISHED:
            job.status, job.outcome = FINISHED, found


def remember(place: Path, job: Job) -> None:
    """Note that a job has finished."""
    assert job.outcome is not None, "it has finished"
    changed = _changed(job.outcome.run)
    assert changed is not None, "a run has a configuration"
    index.add(place / JOBS, [Entry(job=job.key, run=str(job.outcome.run), changed=changed)])


def _changed(run: Path) -> int | None:
    try:
        return os.stat(run / folders.CONFIG).st_mtime_ns
    except OSError:  # the run was deleted
        return None


def _header(place: Path) -> Header | None:
    return next(iter(index.entries(place / JOBS, Header)), None)


def _names(asked: Path) -> Iterator[Path]:
    yield asked
    yield from (asked.with_name(f"{asked.name}-{number}") for number in itertools.count(1))


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].replace("/", ".")
