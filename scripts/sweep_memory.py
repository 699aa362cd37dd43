"""A sweep of many small jobs in one process: does what a job made end with the job?

    python scripts/sweep_memory.py [--jobs 30] [--workers 2]

Runs ``cnntrain -m experiment=smoke seed=range(<jobs>)`` and notes, each time a job has ended, the process's resident
memory, its open files and its child processes. Prints them after job 5 and after the last; the next job may have
begun by then.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    words = ["-m", "experiment=smoke", f"seed=range({args.jobs})", f"data.num_workers={args.workers}"]
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "cnntrain", *words, f"output={folder}"]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder)
        assert process.stdout is not None
        seen, start = [], time.monotonic()
        for printed in process.stdout:
            if printed.startswith(folder):  # a job's last line
                seen.append((*state(process.pid), time.monotonic() - start))
        if process.wait():
            sys.exit(f"exit code {process.returncode}")
    for number in (5, args.jobs):
        memory, files, children, seconds = seen[number - 1]
        print(f"after job {number:3d}: {memory / 2**20:7.1f} MiB, {files} files, {children} children, {seconds:.1f} s")
    before, after = (min(files for _, files, *_ in some) for some in (seen[:5], seen[-5:]))
    print(f"memory x {seen[-1][0] / seen[4][0]:.3f}; open files, the least of five jobs: {before} and {after}")


def state(pid: int) -> tuple[int, int, int]:
    """Bytes of resident memory, open files, and child processes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pages * os.sysconf("SC_PAGE_SIZE"), files, len(tasks)


if __name__ == "__main__":
    main()
