"""Give cnntrain what nobody should: is every answer an answer?

    python scripts/fuzz.py [--configs 2000] [--files 10000] [--images 2000] [--seed 0]

Configurations are command lines of right and wrong words and YAML of a user's with bytes changed; files are checkpoints
and weights with bytes changed, cut or spliced, and checkpoints with values of other types under a right digest; images
are files of all formats that Pillow writes, changed likewise. Each must end within a time, with success or an error of
ours: no traceback, no write outside its folder, no program started, nothing unpickled. Prints failures and counts.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECONDS = 30  # for one input
SMOKE = ("experiment=smoke", "trainer.device=cpu", "trainer.max_steps=1", "data.num_workers=0")
WORDS = """
model=lenet5 model=resnet20 model=vgg61 model=alexnet data=digits data=fake data=imagefolder data=csv data=base
optim=adamw optim=timm optim.opt=lamb optim.lr=0.1 optim.lr=nan optim.lr=-1 optim.lr=1e400 optim.lr=[1] optim.lr=fast
optim.lrr=1 optim.lr=${optim.lr} optim.lr=${nope} optim=null ~optim ~optim.lr +optim.lr=1 ++optim.x=1 optim={}
schedule=cosine schedule=multistep schedule.milestones=[1,2] schedule.milestones=[] schedule.patience=0
trainer.epochs=1 trainer.epochs=0 trainer.epochs=999999999999999999999 trainer.max_steps=null trainer.max_steps=-3
trainer.device=cuda trainer.device=cpu trainer.precision=bf16 trainer.precision=float64 trainer.precision=int3
transfer=linear_probe transfer=gradual transfer=freeze_depth transfer.depth=1 transfer.depth=-99 transfer=freeze_until
transfer.until=head transfer=scratch transfer=probe_depths transfer=auto model.pretrained=true model.pretrained=false
model.weights=best.ckpt model.weights=. model.weights=/dev/null model.args={} model.args={x:1} model.args=[1]
augment=flip_crop augment=imagenet augment=null augment.normalize=model data.image_size=1 data.image_size=32
data.image_size=0 data.batch_size=1 data.batch_size=2 data.batch_size=1e3 data.channels=1 data.channels=2
data.num_workers=-1
data.classes=[1e3,10] data.classes=[null] data.classes=abc data.root=~/x data.root=/ data.root=a=b name=x
name=../x name=1e3 name= name=null name=a/b seed=1 seed=-1 seed=99999999999999999999 seed=x seed=1,2 seed=range(3)
checkpoint.metric=val/top1 checkpoint.metric=val/nope checkpoint.every_steps=1 task=classify task=null recipe=vgg2014
recipe=null experiment=smoke experiment=nope hydra.run.dir=x hydra/launcher=nope hydra.callbacks.x=1 resume=latest
resume=nowhere resume=auto resume=. eval summary plot models cache config init run=. run=latest checkpoint=. runs=.
format=json format=png filter=[ filter=* sort=nope curve=seed x=optim.lr y=test/top1 title=$\\frac{$ -m --cfg job hydra
all --info --help --version --resolve --package --epochs 3 -cn x --import --import json --config-dir . -sc -h --multirun
= == =x x= [ ] { } ${ }x ' " \\ a,b , : ! & * # % @ ` | > ? é \x1b[2J \u200b \U0001d538 NaN null true 0x1 1e1 .5
""".split()  # noqa: SIM905
YAML = """\
# @package _global_
defaults: [override /optim: sgd]
name: mine
optim: {lr: 0.1, momentum: 0.9}
trainer: {epochs: 1, max_steps: 1}
data: {batch_size: 4, num_workers: 0}
model: {args: {}}
hydra: {sweep: {dir: sweeps}}
"""
BITS = [b"{", b"}", b"[", b"]", b": ", b"- ", b"&a ", b"*a", b"!!python/name:os.system ", b"${", b"${oc.env:HOME}",
        b"${now:}", b"\t", b"\n", b"'", b'"', b"|", b"\x00", b"\xff", b"null", b"1e999", b"_target_: os.system\n",
        b"defaults: [mine]\n", b"<<: *a\n", b"? ", b"%YAML 9\n", b"---\n", b"@", b"\xf0\x9f\x90\x88"]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=int, default=2000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        os.environ["XDG_CACHE_HOME"] = os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "cache")
        (folder / "work").mkdir()
        os.chdir(folder / "work")
        typed(*SMOKE)  # so that the libraries have found what they look for when they are imported
        watch, failed = Watch(folder), 0
        for name, count, trial in (
            ("configurations", args.configs, configurations),
            ("files", args.files, files),
            ("images", args.images, images),
        ):
            counts, start = Counter[str](), time.monotonic()
            for number, (what, call) in zip(range(count), trial(folder, random.Random(args.seed)), strict=False):
                ended = watch.ended(call)
                counts[ended.partition(":")[0]] += 1
                if not ended.startswith("answered"):
                    failed += 1
                    print(f"{name} {number}: {what}\n  {ended}", flush=True)
            print(f"{name}: {dict(counts)} in {time.monotonic() - start:.0f} s", flush=True)
    print(f"{failed} failures")
    sys.exit(failed > 0)


class Watch:
    """What Python's audit events say that a trial did outside its folder."""

    WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    PROGRAMS = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "pickle.find_class")
    ITS_OWN = (os.devnull, "/proc/self/clear_refs")  # by the second a run forgets how much memory was in use before it

    def __init__(self, folder: Path):
        self.folder, self.seen, self.on = str(folder), list[str](), False
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            path, _, flags = args
            if isinstance(path, (str, bytes)) and flags & self.WRITES and not self.inside(os.fsdecode(path)):
                self.seen.append(f"wrote {path!r}")
        elif event in ("os.rename", "os.link", "os.symlink") and not self.inside(os.fsdecode(args[1])):
            self.seen.append(f"{event} {args[1]!r}")
        elif event in ("os.mkdir", "os.remove", "os.rmdir") and not self.inside(os.fsdecode(args[0])):
            self.seen.append(f"{event} {args[0]!r}")
        elif event in self.PROGRAMS:
            self.seen.append(f"{event} {args!r:.200}")

    def inside(self, path: str) -> bool:
        path = os.path.abspath(path)
        return path.startswith(self.folder) or path in self.ITS_OWN or "__pycache__" in path

    def ended(self, call: Callable[[], None]) -> str:
        """How a trial ended: "answered", or what it should not have done."""

        def late(*_: Any) -> None:
            raise TimeoutError

        self.seen.clear()
        signal.signal(signal.SIGALRM, late)
        signal.alarm(SECONDS)
        self.on = True
        try:
            call()
        except TimeoutError:
            return f"hung: {SECONDS} s"
        except Exception:
            return f"traceback: {traceback.format_exc().strip()[-300:]}"
        finally:
            self.on = False
            signal.alarm(0)
        return f"outside: {self.seen[:3]}" if self.seen else "answered"


Trials = Iterator[tuple[str, Callable[[], None]]]


def typed(*words: str) -> None:
    """A command line; what it prints as a traceback is raised."""
    from cnntrain import cli

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(words)
    assert "Traceback" not in err.getvalue() + out.getvalue(), err.getvalue()
    assert code == 0 or (code in (1, 2) and "cnntrain: " in err.getvalue())


def configurations(folder: Path, rng: random.Random) -> Trials:
    own = Path("configs", "experiment", "mine.yaml")
    own.parent.mkdir(parents=True)
    while True:
        if rng.random() < 0.5:
            words = [rng.choice(WORDS) for _ in range(rng.randint(1, 6))]
            words = [os.fsdecode(mutated(each.encode(), rng, BITS)) if rng.random() < 0.2 else each for each in words]
            own.write_text(YAML)
            bounded = [*words, *SMOKE] if rng.random() < 0.5 else [*words, "--cfg", "job"]
            yield " ".join(map(ascii, bounded)), lambda line=bounded: typed(*line)
        else:
            content = mutated(YAML.encode(), rng, BITS)
            own.write_bytes(content)
            yield ascii(content), lambda: typed("experiment=mine", "data=fake", "model=lenet5", *SMOKE[1:])


def mutated(content: bytes, rng: random.Random, bits: list[bytes] | None = None) -> bytes:
    """With bytes flipped, put in, cut out, or repeated, in one place or a few."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at:at] = rng.choice(bits) if bits else rng.randbytes(rng.randint(1, 8))
            case 2:
                del data[at : at + rng.randint(1, 64)]
            case 3:
                del data[at:]
            case _:
                data[at:at] = data[at : at + rng.randint(1, 64)]
    return bytes(data)


def files(folder: Path, rng: random.Random) -> Trials:
    import torch
    from safetensors.torch import save_file

    from cnntrain.build import weights
    from cnntrain.core.errors import UserError
    from cnntrain.runs import checkpoint

    typed(*SMOKE, f"output={folder / 'source'}")
    (best,) = (folder / "source").rglob("best.ckpt")
    state = checkpoint.load(best)
    plain, safe = folder / "plain.pt", folder / "safe.safetensors"
    torch.save(state["model"], plain)
    save_file(state["model"], safe)
    sources = [(each, each.read_bytes()) for each in (best, plain, safe)]

    def read(path: Path) -> None:
        with contextlib.suppress(UserError):
            weights.read(path)

    while True:
        if rng.random() < 0.9:
            source, content = rng.choice(sources)
            target = folder / f"mutated{source.suffix}"
            changed = mutated(content, rng)
            target.write_bytes(changed)
            yield f"{source.name} of {len(changed)} bytes", lambda path=target: read(path)
        else:
            again = folder / "again"
            shutil.rmtree(again, ignore_errors=True)
            shutil.copytree(best.parent, again)
            where = distort(changed := checkpoint.load(best), rng)
            for name in (checkpoint.BEST, checkpoint.LAST):
                (again / name).unlink()
                checkpoint.save(again / name, changed)
            word, line = rng.choice(
                [
                    ("weights", [f"model.weights={again / checkpoint.BEST}", *SMOKE]),
                    ("eval", ["eval", f"run={again}", "device=cpu"]),
                    ("resume", [f"resume={again}", "trainer.epochs=3", "trainer.max_steps=null"]),
                ]
            )
            yield f"{where} of a checkpoint, by {word}", lambda words=line: typed(*words)


def distort(tree: dict[str, Any], rng: random.Random) -> str:
    """Put something else in one place of a tree, or take it away; returns the place."""
    path, node = [], tree
    while True:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        path.append(str(key))
        child = node[key]
        if isinstance(child, (dict, list)) and child and rng.random() < 0.7:
            node = child
            continue
        if rng.random() < 0.2:
            del node[key]
            return f"without {'.'.join(path)}"
        node[key] = rng.choice(
            [None, -1, 2**70, 0.5, float("nan"), "x", "", [], {}, {"x": 1}, [None], True, "../x", "9" * 99]
        )
        return f"{'.'.join(path)}={str(node[key])[:30]!r}"


def images(folder: Path, rng: random.Random) -> Trials:
    import numpy as np
    from PIL import Image

    from cnntrain.core.errors import UserError
    from cnntrain.data.base import Reading
    from cnntrain.data.sets.decode import decode

    values = np.random.default_rng(0).integers(0, 256, (24, 20, 4), dtype=np.uint8)
    formats = {
        "png": "RGBA", "gif": "P", "jpeg": "RGB", "bmp": "RGB", "tiff": "RGBA", "webp": "RGBA", "ppm": "RGB",
        "tga": "RGBA", "ico": "RGBA", "pcx": "P", "sgi": "RGB", "jp2": "RGB", "dds": "RGBA", "im": "RGB", "avif": "RGB",
    }  # fmt: skip
    sources = {}
    for suffix, mode in formats.items():
        buffer = io.BytesIO()
        try:
            Image.fromarray(values).convert(mode).save(buffer, {"jp2": "jpeg2000", "ico": "ico"}.get(suffix, suffix))
        except (KeyError, OSError, ValueError):  # this Pillow was built without it
            continue
        sources[suffix] = buffer.getvalue()
    assert len(sources) >= 12, list(sources)

    def read(path: Path) -> None:
        with contextlib.suppress(UserError):
            image = decode(str(path), Reading(3, "white"))
            assert image.shape[0] == 3 and image.dtype.itemsize == 1

    while True:
        suffix = rng.choice(sorted(sources))
        target = folder / f"mutated.{suffix}"
        content = mutated(sources[suffix], rng)
        target.write_bytes(content)
        yield f"{suffix} {content.hex()[:400]}", lambda path=target: read(path)


if __name__ == "__main__":
    main()
