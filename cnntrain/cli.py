"""The command line: argv -> (command, overrides) -> Hydra -> ``commands.<name>.run``, and errors in plain words.

Hydra keeps its whole command line; this file only chooses the command's root config, checks everything before anything
heavy is imported, and turns errors into exit codes: 0 finished, 1 failed, 2 wrong config or input, 75 stopped by a
signal after saving.
"""

from __future__ import annotations

import importlib
import os
import sys
from argparse import ArgumentError, Namespace
from collections import deque
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from cnntrain import __version__
from cnntrain.config import compose, resume
from cnntrain.config.check import check, plain
from cnntrain.config.groups import SCHEMAS, builtin_dir, known_keys
from cnntrain.config.schema import TrainConfig
from cnntrain.config.search_path import groups, use
from cnntrain.core import signals
from cnntrain.core.errors import ConfigError, RunError, UserError
from cnntrain.core.words import suggest

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130

if "__mp_main__" in sys.modules:  # a rank, which reads the console script first
    signals.restore()  # until its run heeds signals, Ctrl-C ends it without a traceback


def main() -> None:
    """The console script ``cnntrain``."""
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        flags, words = _split(argv)
        command, overrides = _command(words)
        return _run(command, flags, overrides)
    except (UserError, HydraException, OmegaConfBaseException, YAMLError) as error:
        return _report(error)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else FAILED
    except BrokenPipeError:  # cnntrain --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print("cnntrain: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(command: str, flags: list[str], overrides: list[str]) -> int:
    if "--version" in flags:
        print(f"cnntrain {__version__}")
        return DONE
    args = _parsed(flags)
    use(args.config_dir)
    if args.help:
        print(compose.help_text(command))
        return DONE
    if args.hydra_help or args.shell_completion:
        return _hydra(command, flags, overrides)
    parsed = compose.parse(overrides)
    compose.check_overrides(command, parsed, multirun=args.multirun)
    return _hydra(command, flags, compose.force(parsed))


def _parsed(flags: list[str]) -> Namespace:
    parser = get_args_parser()
    parser.exit_on_error = False  # raise, rather than print the usage of Hydra's own program
    try:
        args = parser.parse_args(flags)
    except ArgumentError as error:
        raise ConfigError(str(error)) from error
    if args.multirun and (args.cfg or args.info):
        raise ConfigError("-m runs and --cfg or --info prints: give one of them")
    return args


def _hydra(command: str, flags: list[str], overrides: Sequence[str]) -> int:
    """Hand over to Hydra, which calls `task` once or, with -m, once a job."""
    sys.argv = [sys.argv[0], *overrides, *flags]  # flags last: --info would take an override for its value
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise here, rather than print there
    codes.clear()
    root = str(builtin_dir().absolute())
    hydra.main(config_path=root, config_name=command, version_base="1.3")(task)()
    return max(codes, default=DONE)


codes: list[int] = []  # of the jobs run in this process


def task(composed: DictConfig) -> None:
    """One job for Hydra. A single run's exit code ends the process; a sweep goes on and reports at its end."""
    settings = HydraConfig.get()
    typed = [line.lstrip("+") for line in settings.overrides.task]
    try:
        code = _job(str(settings.job.config_name), plain(composed), typed)
    except UserError as error:
        code = _report(error)
    except RunError as error:
        print(f"cnntrain: {error}", file=sys.stderr)
        code = FAILED
    codes.append(code)
    if settings.mode == RunMode.RUN and code:
        sys.exit(code)


def _job(command: str, tree: dict[str, Any], typed: list[str]) -> int:
    """Check the composed config, then run its command, over several processes where that is asked for."""
    laid = typed
    if "WORLD_SIZE" in os.environ and "devices" in tree:  # torchrun has said how many
        ranks = int(os.environ["WORLD_SIZE"])
        if tree["devices"] not in (1, ranks):
            raise ConfigError(f"devices={tree['devices']}, but torchrun started {ranks} processes: leave devices out")
        tree["devices"] = ranks
        laid = [*typed, f"devices={ranks}"]
    if command == "train" and tree["resume"] is not None:
        checked: Any = _resumed(tree, laid)
        if checked is None:
            return DONE
    else:
        checked = check(tree, SCHEMAS[command])
    if "devices" not in tree:  # a command that runs in one process, and may not need torch
        return importlib.import_module(f"cnntrain.commands.{command}").run(checked, typed)
    from cnntrain.core.launch import launch  # the first import that brings torch in: the config is valid

    runner = importlib.import_module(f"cnntrain.commands.{command}").run
    return launch(runner, checked, typed)


def _resumed(tree: dict[str, Any], typed: Sequence[str]) -> TrainConfig | None:
    """The configuration to continue a run with, or None where it has finished already."""
    found = resume.resolve(tree, typed, list(groups()))
    if found is None:
        return check({**tree, "resume": None}, TrainConfig)
    _say(f"resume: {found.folder}")
    for note in found.notes:
        _say(f"  {note}")
    if found.finished:
        _say("this run has finished; trainer.epochs=<more> trains it further")
        _say(str(found.folder))
        return None
    return check(found.tree, TrainConfig)


def _say(line: str) -> None:
    if os.environ.get("RANK", "0") == "0":
        print(line, flush=True)


def _command(words: Sequence[str]) -> tuple[str, list[str]]:
    """The command, which is the first word that is no override (train where there is none), and the overrides."""
    names = sorted(SCHEMAS)
    overrides = [word for word in words if "=" in word or word.startswith("~")]
    commands = [word for word in words if word not in overrides]
    for word in commands:
        if word not in names:
            hint = suggest(word, names)
            raise ConfigError(f"'{word}' is neither a command ({', '.join(names)}) nor key=value{hint}")
    if len(commands) > 1:
        raise ConfigError(f"one command at a time, not {' and '.join(commands)}")
    return (commands[0] if commands else "train"), overrides


VALUE_FLAGS = ("--config-dir", "-cd", "--cfg", "-c", "--package", "-p", "--info", "-i")
REFUSED = {
    "--experimental-rerun": "it unpickles its file, which can run code; cnntrain resume=<run folder> continues a run",
    "--config-name": "the command is the config's name: cnntrain <command>",
    "-cn": "the command is the config's name: cnntrain <command>",
    "--config-path": "--config-dir adds a folder of your own",
    "-cp": "--config-dir adds a folder of your own",
}


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags with their values, and the overrides.

    Raises:
        ConfigError: a flag is unknown, or one that cnntrain does not offer.
    """
    known = {option for action in get_args_parser()._actions for option in action.option_strings}
    flags: list[str] = []
    overrides: list[str] = []
    words = deque(argv)
    while words:
        word = words.popleft()
        name = word.split("=", 1)[0]
        if not word.startswith("-"):
            overrides.append(word)
        elif name in REFUSED:
            raise ConfigError(f"{name} is not offered: {REFUSED[name]}")
        elif name not in known:
            raise ConfigError(f"unknown option '{word}'{_as_override(name, word, words)}")
        else:
            flags.append(word)
            if name in VALUE_FLAGS and "=" not in word and words and not _is_word(words[0]):
                flags.append(words.popleft())
    return flags, overrides


def _is_word(text: str) -> bool:
    """Whether this is a command or an override, which --info, with its optional value, must not take for its own."""
    return "=" in text or text in SCHEMAS


def _as_override(flag: str, word: str, words: Sequence[str]) -> str:
    """How an option in the style of other tools is written here: ``--epochs 3`` is ``trainer.epochs=3``."""
    key = flag.lstrip("-").replace("-", "_")
    last = {key.rsplit(".", 1)[-1]: key for key in known_keys()}
    near = get_close_matches(key, last, n=1)
    value = word.partition("=")[2] or (words[0] if words else "...")
    return f"; keys are written key=value: {last[near[0]]}={value}" if near else "; see cnntrain --help"


def _report(error: Exception) -> int:
    """Print a user's error, once over all ranks."""
    if os.environ.get("RANK", "0") == "0":
        problems = error.problems if isinstance(error, ConfigError) else [compose.explain(error)]
        for problem in problems:
            print(f"cnntrain: {problem}", file=sys.stderr)
    return WRONG


if __name__ == "__main__":
    main()
