"""What ``resume=`` means: which folder, with which configuration, and what differs from the run so far."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnntrain.config import imports, since
from cnntrain.config.check import check
from cnntrain.config.groups import plugin_class, plugin_names
from cnntrain.config.schema import TrainConfig
from cnntrain.core.errors import ConfigError, InputError
from cnntrain.core.keys import flat, is_within
from cnntrain.core.lock import in_use
from cnntrain.core.paths import expanded
from cnntrain.runs import folder as folders
from cnntrain.runs import index
from cnntrain.schedule.base import Schedule

# a change of these leaves every weight as an uninterrupted run would have it
EXACT = {
    "data.root", "data.download", "data.num_workers", "data.resident", "data.resident_budget", "data.cache_dir",
    "checkpoint.every_steps", "checkpoint.time_share", "checkpoint.keep",
    "trainer.log_every", "trainer.profile", "trainer.watch", "trainer.epochs", "trainer.early_stopping",
    "transfer.cache_dir", "report.trackers", "report.project", "report.online", "report.html",
}  # fmt: skip
# what the checkpoint holds does not fit after a change of these
FIXED = (
    "model.name", "model.args", "model.weights", "model.weights_match", "model.pretrained", "model.scale", "model.norm",
    "model.backbone",
    "data.name", "data.source",
    "data.channels", "data.depth", "data.image_size", "data.classes", "data.crop", "data.crop_fraction",
    "data.interpolation", "data.background", "data.jpeg_draft", "data.frames", "task.name", "augment.normalize",
    "model.stem", "optim.name", "schedule.name", "name", "output",
)  # fmt: skip
STATEFUL = ("task", "optim", "schedule", "transfer")  # groups whose classes can name more of them
READ = {"model.genotype": "model.args.genotype"}  # a file, and where a run's configuration has what is in it


@dataclass
class Resumed:
    """A run to continue: its folder, its configuration with what was typed laid over it, and lines for the user."""

    folder: Path
    tree: dict[str, Any]
    notes: list[str]
    finished: bool


def resolve(tree: dict[str, Any], typed: Sequence[str], groups: Sequence[str]) -> Resumed | None:
    """Find the run that ``resume=`` names.

    Args:
        tree: the composed configuration, not yet checked: a typed key may fit the saved run only.
        typed: overrides of the command line, ``key=value`` or ``group=choice``.
        groups: names of the config groups.

    Returns:
        None where ``resume=auto`` finds nothing to continue, so that a new run starts.

    Raises:
        ConfigError: there is no such run, or a change is typed that its checkpoint does not fit.
        InputError: an older cnntrain made the run.
    """
    output = expanded(str(tree["output"]))
    if tree["resume"] == "auto":
        return _same_run(asdict(check(tree, TrainConfig)), output)
    if tree["resume"] == "latest":
        runs = [run for run in folders.idle(output) if not folders.is_finished(run)]
        if not runs:
            raise ConfigError(f"resume=latest: there is no unfinished run under {output.absolute()}")
        folder = runs[0]
    else:
        folder = expanded(str(tree["resume"]))
    changed = imports.check(folders.imports(folder), str(folder))
    left = folders.config(folder)
    completed, newer = since.completed(left)
    saved = dict(completed)
    if newer:
        _refuse_older(folder, left)
    try:
        wanted = asdict(check(_overlay(saved, tree, typed, groups), TrainConfig))
    except ConfigError:
        _refuse_older(folder, saved)
        raise
    notes = [*changed, *newer, *_differences(saved, wanted)]
    wanted["resume"] = str(folder.absolute())
    return Resumed(folder, wanted, notes, folders.is_finished(folder) and _is_same(saved, wanted))


def _same_run(tree: dict[str, Any], output: Path) -> Resumed | None:
    """The newest run with exactly this configuration, on as many devices if there is one; what has changed of the
    user's code is noted. A key that is newer than a run had its default.

    Raises:
        ConfigError: it needs code of the user's that is not imported.
    """
    found = []
    for folder in index.find(output, tree):
        if in_use(folder):
            continue
        saved, newer = since.completed(folders.config(folder))
        if _is_same(dict(saved), tree) and not (newer and _is_older(folder)):
            found.append((folder, dict(saved), newer))
    for folder, saved, newer in sorted(found, key=lambda each: bool(changes(each[1], tree))):
        changed = [*imports.check(folders.imports(folder), str(folder)), *newer, *_differences(saved, tree)]
        return Resumed(folder, {**tree, "resume": str(folder.absolute())}, changed, folders.is_finished(folder))
    return None


def changes(saved: dict[str, Any], wanted: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys that differ, with both values."""
    before, after = flat(saved), flat(wanted)
    keys = sorted({*before, *after} - {"resume"})
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _is_same(saved: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether both are the configuration of one run; on how many devices it runs is no part of what it is."""
    return not changes(saved, wanted).keys() - {"devices"}


def refuse_changes(folder: Path, saved: dict[str, Any], wanted: dict[str, Any], finished: bool, reason: str) -> None:
    """Where no step remains, refuse what would change only what the run says of itself.

    Args:
        saved: the configuration that it was trained with.
        reason: why none remains, and what would help.

    Raises:
        ConfigError: something has changed, of an unfinished run something that changes more than how its test is read.
    """
    changed = [key for key in changes(saved, wanted) if key != "devices" and (finished or key not in EXACT)]
    if changed:
        raise ConfigError(
            f"{folder}: no step remains, so that a change of {', '.join(changed)} means nothing; {reason}"
        )


def _refuse_older(folder: Path, saved: dict[str, Any]) -> None:
    """Say so where a configuration is wrong because its run is of a release with other keys.

    Raises:
        InputError: an older cnntrain made the run.
    """
    try:
        check(saved, TrainConfig)
    except ConfigError as error:
        if _is_older(folder):
            raise InputError(
                f"{folder} was made by an older cnntrain, whose runs cannot be resumed: start a new run"
            ) from error


def _is_older(folder: Path) -> bool:
    """Whether a run's checkpoint is of a form that cannot be resumed."""
    from cnntrain.runs import checkpoint  # torch with it: only here, where a configuration is not of this version

    last = folder / checkpoint.LAST
    return last.is_file() and checkpoint.is_older(last)


def _overlay(
    saved: dict[str, Any], tree: dict[str, Any], typed: Sequence[str], groups: Sequence[str]
) -> dict[str, Any]:
    """The saved configuration with the typed keys and groups taken from the composed one."""
    wanted = deepcopy(saved)
    for override in typed:
        key = override.partition("=")[0].lstrip("+")
        if key == "resume":
            continue
        if key.startswith("~") or (key in groups and key not in tree):
            raise ConfigError(
                f"{override} does not set one key or one group and cannot be laid over a run under way; give the keys"
            )
        *path, last = key.split(".")
        source, target = tree, wanted
        for part in path:
            if not isinstance(target.get(part), dict):
                target[part] = {}
            source, target = source[part], target[part]
        target[last] = deepcopy(source[last])
        if key in READ:
            _drop(wanted, READ[key])  # it is read again, from the file that is typed
    return wanted


def _drop(tree: dict[str, Any], key: str) -> None:
    *path, last = key.split(".")
    for part in path:
        tree = tree[part]
    tree.pop(last, None)


def _of_choices(tree: dict[str, Any]) -> list[str]:
    """The keys that a run of this configuration cannot change for the sake of what it has chosen."""
    names = {group: str((tree.get(group) or {}).get("name")) for group in STATEFUL}
    chosen: dict[str, Any] = {
        group: plugin_class(group, name) for group, name in names.items() if name in plugin_names(group)
    }
    return [f"{group}.{key}" for group, each in chosen.items() for key in each.fixed]


def _differences(saved: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """One line a changed key, saying whether the resumed run still equals an uninterrupted one."""
    changed = changes(saved, wanted)
    fixed = [*FIXED, *_of_choices(saved), *_of_choices(wanted)]
    refused = [key for key in changed if is_within(key, fixed)]
    if refused:
        raise ConfigError(
            *(f"{key} cannot change from {changed[key][0]} to {changed[key][1]} within a run" for key in refused),
            "start a new run; model.weights=<run folder>/best.ckpt takes over the weights",
        )
    inexact = [key for key in changed if key not in EXACT]
    name = wanted["schedule"]["name"]
    schedule: Any = plugin_class("schedule", name) if name in plugin_names("schedule") else Schedule
    if schedule.spans_the_run and "trainer.epochs" in changed:
        inexact.append("trainer.epochs")
    return [
        f"{key}: {before} -> {after}"
        + ("  (inexact: the run will differ from an uninterrupted one)" if key in inexact else "")
        for key, (before, after) in changed.items()
    ]
