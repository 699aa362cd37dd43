"""One of the processes that torchrun starts for the fixture `ranks`: it runs the command lines that it is sent."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from multiprocessing.connection import Client

from cnntrain import cli


def serve(address: str) -> None:
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "False"  # which serves one group, and each line has its own
    with Client(address) as asker:
        asker.send(int(os.environ["RANK"]))
        while line := asker.recv():
            words, os.environ["MASTER_PORT"] = line
            with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
                code = cli.main(words)
            asker.send((code, out.getvalue(), err.getvalue()))


if __name__ == "__main__":
    serve(sys.argv[1])
