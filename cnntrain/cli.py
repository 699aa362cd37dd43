"""The command line: argv -> (command, overrides) -> Hydra -> the command's own `execute`, and errors in plain words.

Hydra keeps its whole command line; this file only chooses the command's root config, checks everything before anything
heavy is imported, and turns errors into exit codes: 0 finished, 1 failed, 2 wrong config or input, 75 stopped by a
signal after saving.
"""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
from argparse import ArgumentError, Namespace
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from io import StringIO
from typing import Any, TextIO

from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from cnntrain.commands.train import Train
from cnntrain.config import compose, help, imports, resume
from cnntrain.config.check import check, plain
from cnntrain.config.ended import Ended, Prune
from cnntrain.config.groups import command_class
from cnntrain.config.line import Line, command_of
from cnntrain.config.loader import Loader
from cnntrain.config.search_path import groups, looking_in, notes
from cnntrain.config.text import as_text
from cnntrain.core import allocation, signals, torchrun
from cnntrain.core.errors import ConfigError, UserError
from cnntrain.core.loggers import loggers_kept
from cnntrain.core.version import __version__
from cnntrain.core.words import close_output, tell

COMPLETION = re.compile("(install|uninstall|query)=(bash|zsh|fish)")
DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130

if "__mp_main__" in sys.modules:  # a rank, which reads the console script first
    signals.restore()  # until its run heeds signals, Ctrl-C ends it without a traceback


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (by default the process's) and return its exit code: the console script ``cnntrain``."""
    if argv is None:  # this process is the command's
        atexit.register(gc.freeze)  # else Python goes once more through all that torch has imported before it ends
        torchrun.end_with_launcher()
    _open_streams()
    try:
        line = Line.read(sys.argv[1:] if argv is None else argv)
        if "--version" in line.flags:  # whatever the user's code does
            print(f"cnntrain {__version__}")
            return DONE
        with (
            imports.imported(line.imports, _warn if line.asks_help else None),
            looking_in(line.config_dir),
            loggers_kept(),
        ):
            return _run(line)
    except (UserError, HydraException, OmegaConfBaseException) as error:
        return _report(error)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else FAILED
    except BrokenPipeError:  # cnntrain --help | head
        close_output()
        return FAILED
    except KeyboardInterrupt:
        print("cnntrain: interrupted", file=sys.stderr)
        return INTERRUPTED


def _open_streams() -> None:
    """Where a stream is closed (``>&-``), what is said there is lost; without this a file of a run would get its
    number, and what is said."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _run(line: Line) -> int:
    """Check everything, then hand over to Hydra, which calls the job once or, with -m, once for each value."""
    command, overrides = command_of(line.words)
    args = _parsed(line.flags)
    if args.help:
        print(help.text(command))
        return DONE
    help.root(command)  # a user's command may lack its YAML
    overrides = _checked(command, overrides, args)
    hydra = Hydra("cnntrain", Loader(overrides))
    if _shown(hydra, command, overrides, args):
        return DONE
    codes = list[int]()
    from cnntrain.search import sweep

    def job(composed: DictConfig, prune: Prune | None = None) -> Ended:
        """One run, in this process or in one that a launcher of Hydra's has started."""
        typed = [each.lstrip("+") for each in HydraConfig.get().overrides.task]
        try:
            with imports.imported(line.imports), looking_in(line.config_dir):
                tree = plain(composed)
                if args.multirun and command == "train":
                    tree = sweep.found_again(tree, typed)
                ended = start(command, tree, typed, line, args.multirun, prune)
            if command == "train":
                ended = replace(ended, objective=sweep.objective(ended))
        except Exception as error:
            ended = Ended(_report(error), error=str(error))
            if args.multirun and "RANK" in os.environ:  # the others may wait for this one in the midst of a job
                _say("the sweep ends with this job: torchrun's processes may not agree any more")
                raise SystemExit(ended.code) from error
        if ended.made is not None and os.environ.get("RANK", "0") == "0":
            try:
                print(ended.made, flush=True)  # for scripts: as it is
            except BrokenPipeError:  # there is none: what was made is there all the same
                close_output()
        codes.append(ended.code)
        return ended

    if args.multirun:
        return max(sweep.run(hydra, command, overrides, job), default=DONE)
    hydra.run(command, job, [*overrides, "hydra.mode=RUN"], with_log_configuration=False)
    return max(codes, default=DONE)


def _shown(hydra: Hydra, command: str, overrides: list[str], args: Namespace) -> bool:
    """Whether a flag asks only to see something, which is then printed."""
    if args.hydra_help:
        hydra.hydra_help(command, get_args_parser(), Namespace(overrides=overrides))
    elif args.cfg:
        try:
            with redirect_stderr(StringIO()):  # where Hydra says the same in words of its own
                hydra.show_cfg(command, overrides, args.cfg, args.package, args.resolve)
        except SystemExit as error:
            raise ConfigError(f"--package={args.package}: --cfg={args.cfg} has no such part") from error
    elif args.shell_completion:
        hydra.shell_completion(command, overrides)
    elif args.info:
        hydra.show_info(args.info, command, overrides)
    else:
        return False
    return True


def _checked(command: str, overrides: list[str], args: Namespace) -> list[str]:
    """The overrides as Hydra takes them.

    Raises:
        ConfigError: with everything that is wrong.
    """
    if args.hydra_help:
        return []
    if args.shell_completion:
        _check_completion(overrides)
        return overrides
    parsed = compose.parse(as_text(command, overrides))
    compose.check_overrides(command, parsed, multirun=args.multirun)
    return compose.force(parsed)


def _check_completion(words: Sequence[str]) -> None:
    """Raises ConfigError where ``--shell-completion`` does not say what for which shell."""
    if len(words) != 1 or not COMPLETION.fullmatch(words[0]):
        raise ConfigError("--shell-completion goes with install=<shell> or uninstall=<shell>, of bash, zsh and fish")
    if words[0].startswith("query") and not {"COMP_LINE", "COMP_POINT"} <= os.environ.keys():
        raise ConfigError(f"{words[0]} is what a shell asks when somebody types: --shell-completion install=<shell>")


def _parsed(flags: list[str]) -> Namespace:
    parser = get_args_parser()
    parser.exit_on_error = False  # raise, rather than print the usage of Hydra's own program
    try:
        args = parser.parse_args(flags)
    except ArgumentError as error:
        raise ConfigError(str(error)) from error
    given = {"-m": args.multirun, "--cfg": args.cfg, "--info": args.info, "--shell-completion": args.shell_completion}
    chosen = [flag for flag, value in given.items() if value]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} do not go together: give one of them")
    if args.resolve and not args.cfg:
        raise ConfigError("--resolve goes with --cfg")
    return args


def compose_and_start(
    command: str, overrides: Sequence[str], modules: Sequence[str] = (), config_dir: str | None = None
) -> Ended:
    """What a command line without flags does, for Python: errors are raised, and nothing is left behind."""
    line = Line(imports=list(modules), config_dir=config_dir)
    with imports.imported(line.imports), looking_in(line.config_dir):
        parsed = compose.parse(as_text(command, overrides))
        compose.check_overrides(command, parsed, multirun=False)
        tree = plain(compose.compose_config(command, compose.force(parsed)))
        return start(command, tree, [each.lstrip("+") for each in overrides], line)


def start(
    command: str,
    tree: dict[str, Any],
    typed: Sequence[str],
    line: Line,
    keep_group: bool = False,
    prune: Prune | None = None,
) -> Ended:
    """Check a composed configuration, then run its command, over several processes where that is asked for.

    Args:
        keep_group: whether processes that torchrun has started will do more together.
        prune: of a run in this process, see `training.run.Run`.
    """
    laid = list(typed)
    ranks = torchrun.processes()
    if ranks is not None and "devices" in tree:
        if tree["devices"] not in (1, ranks):
            raise ConfigError(f"devices={tree['devices']}, but torchrun started {ranks} processes: leave devices out")
        tree["devices"] = ranks
        laid.append(f"devices={ranks}")
    if command == "train" and tree["resume"] is not None:
        found = resume.resolve(tree, laid, list(groups()))
        tree = found.tree if found is not None else {**tree, "resume": None}
        if found is not None:
            for each in (f"resume: {found.folder}", *(f"  {note}" for note in found.notes)):
                _say(each)
        if found is not None and found.finished:
            _say("this run has finished; trainer.epochs=<more> trains it further")
            return Ended(made=str(found.folder))
    checked = check(tree, command_class(command))
    if command != "train":  # which keeps them in its log
        for each in notes():
            _say(each, sys.stderr)
    if tree.get("devices", 1) == 1:  # in this process, which may not need torch
        with allocation.kept():
            if prune is not None:
                assert isinstance(checked, Train), "nothing else has epochs"
                return checked.execute(typed, prune)
            return checked.execute(typed)
    from cnntrain.core.launch import launch  # the first import that brings torch in: the config is valid

    words = [each.word for each in imports.present()]
    arguments = (command, tree, typed, words, line.config_dir)
    return Ended(*launch(execute, arguments, tree["devices"], checked.device_name, keep_group))


def execute(
    command: str, tree: Mapping[str, Any], typed: Sequence[str], words: Sequence[str], config_dir: str | None
) -> tuple[int, str | None]:
    """Run a checked command in this process, which may be a new one that knows nothing yet."""
    with imports.imported(words), looking_in(config_dir), allocation.kept():
        ended = check(tree, command_class(command)).execute(typed)
    return ended.code, ended.made


def _say(line: str, file: TextIO | None = None) -> None:
    """Print a line, once over all ranks."""
    if os.environ.get("RANK", "0") == "0":
        tell(line, file)


def _warn(problem: str) -> None:
    _say(f"cnntrain: {problem}", sys.stderr)


def _report(error: Exception) -> int:
    """Print an error, once over all ranks, and return its exit code."""
    if isinstance(error, (ConfigError, HydraException, OmegaConfBaseException)):
        signals.let_the_first_speak()
        for problem in error.problems if isinstance(error, ConfigError) else [compose.explain(error)]:
            tell(f"cnntrain: {problem}", sys.stderr)
        return WRONG
    from cnntrain.core.launch import report

    return report(error)


if __name__ == "__main__":
    sys.exit(main())
