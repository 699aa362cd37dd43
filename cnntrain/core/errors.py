"""How a command ends before its time: the user was wrong (exit code 2 and a few plain lines, never a traceback), it was
stopped, or it failed.
"""


class UserError(Exception):
    """What was typed or given cannot be used; the message says what to do instead."""


class ConfigError(UserError):
    """One or more things are wrong with the configuration; all of them are reported at once."""

    def __init__(self, *problems: str):
        super().__init__("\n".join(problems))
        self.problems = problems


class InputError(UserError):
    """A file, a folder, a data set or a weights file cannot be used; the message names it."""


class StopError(Exception):
    """A signal asked the run to stop; raised only where what was done can be saved, or is saved already."""


class RunError(Exception):
    """A run that was sound when it began could not go on (a full disk, a loss that is not a number): exit code 1."""


class LossError(RunError):
    """The loss is not a number."""


def first_line(error: BaseException) -> str:
    """What another's error says, in a line; of one that says nothing its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
