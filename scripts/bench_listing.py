"""What a data set of many image files costs before any is read: seconds, memory, and how much of it the disk takes.

    python scripts/bench_listing.py [--files 100000] [--folders 1000] [--root <folder>] [--rounds 5]

Makes so many empty files in so many class folders, where the root holds none, and deletes them again. Each figure is
of a process of its own. ``listed``: `cnntrain` loads the set (CPU seconds, of which in the system; the median of the
rounds); what remains in memory, and the most that there was at once, by tracemalloc; and how far the largest resident
memory rose. ``sent``: what another process of the machine waits for in place of listing them, too. ``scandir`` is the
folders alone, ``stat`` a look at each file too, as any list that was kept from another run would need to be sure that
no file has been written anew. ``forked``: bytes of memory that a worker process comes to have for itself by reading
the id of each file (Private_Dirty of /proc/self/smaps_rollup).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

START = """
import gc, json, os, resource, sys, time, tracemalloc
root = sys.argv[1]
def walk(stat):
    count = 0
    for folder in sorted(os.scandir(root), key=lambda each: each.name):
        for each in sorted(os.scandir(folder.path), key=lambda each: each.name):
            count += 1
            if stat:
                each.stat()
    return count
def load():
    from cnntrain.config.check import check, plain
    from cnntrain.config.compose import compose_config
    from cnntrain.commands.train import Train
    import cnntrain.data.sets.archives, cnntrain.data.sets.files, sklearn.model_selection
    words = ["model=lenet5", "data=imagefolder", f"data.root={root}", "augment=none"]
    source = check(plain(compose_config("train", words)), Train).data
    from cnntrain.data.sets.decode import file_extensions
    file_extensions()
    return source.load
def spent(work):
    before = time.process_time(), os.times().system
    made = work()
    return [time.process_time() - before[0], os.times().system - before[1]], made
"""
PARTS = {
    "scandir": "print(json.dumps(spent(lambda: walk(False))[0]))",
    "stat": "print(json.dumps(spent(lambda: walk(True))[0]))",
    "listed": "work = load(); seconds, made = spent(work); print(json.dumps(seconds))",
    "sent": """
work = load()
import pickle
made = work()
seconds, content = spent(lambda: pickle.dumps(made))
print(json.dumps([seconds[0] + spent(lambda: pickle.loads(content))[0][0], len(content)]))
""",
    "memory": """
work = load()
tracemalloc.start()
made = work()
gc.collect()
print(json.dumps(tracemalloc.get_traced_memory()))
""",
    "resident": """
work = load()
gc.collect()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
made = work()
print(json.dumps([peak() - before]))
""",
    "forked": """
work = load()
made = work()
gc.collect(); gc.freeze()
def dirty():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return next(int(each.split()[1]) * 1024 for each in lines if each.startswith("Private_Dirty"))
sys.stdout.flush()
if os.fork() == 0:
    before = dirty()
    count = sum(len(each) for part in made.parts().values() for each in part.images.ids)
    print(json.dumps([dirty() - before]), flush=True)
    os._exit(0)
os.wait()
""",
}


def measured(part: str, root: Path) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", START + PARTS[part], str(root)], check=True, capture_output=True, text=True
    )
    return [*json.loads(done.stdout)]


def make(root: Path, files: int, folders: int) -> None:
    for number in range(folders):
        folder = root / f"class_{number:04}"
        folder.mkdir(parents=True)
        for each in range(files // folders):
            (folder / f"image_{number:04}_{each:06}.png").touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folders", type=int, default=1_000)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    root = asked.root or Path(tempfile.mkdtemp())
    try:
        if not any(root.glob("*")):
            make(root, asked.files, asked.folders)
        count = sum(1 for folder in root.iterdir() for _ in folder.iterdir())
        print(f"{count:,} files")
        rounds = [{part: measured(part, root) for part in ("scandir", "stat", "listed")} for _ in range(asked.rounds)]
        for part in rounds[0]:
            whole, system = (median(each[part][place] for each in rounds) for place in (0, 1))
            print(f"{part}: {whole:.2f} s, {system:.2f} s of them in the system")
        seconds, size = measured("sent", root)
        print(f"sent to another process: {seconds:.3f} s, {size / 1e6:.1f} MB")
        left, most = measured("memory", root)
        (rose,), (forked,) = measured("resident", root), measured("forked", root)
        print(f"left in memory {left / count:,.0f} bytes a file, at most {most / count:,.0f} at once (tracemalloc)")
        print(f"largest resident memory rose by {rose / count:,.0f} bytes a file")
        print(f"a forked process that reads all ids makes {forked / count:,.0f} bytes a file its own")
    finally:
        if asked.root is None:
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
