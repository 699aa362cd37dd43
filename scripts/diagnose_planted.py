"""Planted faults that `cnntrain diagnose` must find, healthy runs in which it must find nothing, and a sick one.

python scripts/diagnose_planted.py [--real FOLDER] [--only NAME]

With --real, the folder of real data that CNNTRAIN_REAL names, runs on Fashion-MNIST, MNIST and emoji are among the
healthy ones.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import cnntrain
from cnntrain.cli import compose_and_start

FAULTS = str(Path(__file__).parent / "faults" / "faults.py")
# check, what is planted, by which words
PLANTED = (
    ("images normalised", "values 0 to 255", ["model=faulty_raw", "augment.normalize=model"]),
    ("labels belong to images", "labels shuffled in the source", ["data=shuffled_digits"]),
    ("first loss = ln(classes)", "classifier's weights x 200", ["model=faulty_loud"]),
    ("nothing behind the classifier", "softmax in the net", ["model=faulty_softmax"]),
    ("nothing behind the classifier", "sigmoid in the net", ["model=faulty_sigmoid"]),
    ("units neither dead nor saturated", "ReLU with biases of -100", ["model=faulty_dead"]),
    ("gradients by layer", "vanishing: 12 layers of sigmoids", ["model=faulty_vanishing"]),
    ("gradients by layer", "exploding: 12 layers of large weights", ["model=faulty_exploding"]),
    ("not too deep without shortcuts", "30 plain layers of sigmoids", ["model=faulty_deep"]),
    ("batch not too large", "all images in one batch", ["data.batch_size=1437"]),
    ("learning rate", "too high: 100", ["optim.lr=100"]),
    ("learning rate", "too low: 1e-9", ["optim.lr=1e-9"]),
    ("can overfit one batch", "the classifier sees no image", ["model=faulty_blind"]),
    ("regularised", "by nothing", ["optim.weight_decay=0", "augment=none"]),
)
HEALTHY = {
    "digits lenet5": ["model=lenet5", "trainer.epochs=5"],
    "digits, the planted net without its fault": ["model=faulty_none", "trainer.epochs=5"],
}
REAL = {
    "fashion resnet20": [
        "model=resnet20", "data=fashion_mnist", "data.root={real}/data", "data.train_per_class=100", "trainer.epochs=4",
        "trainer.val_limit=1000", "data.batch_size=32", "optim.lr=0.1",
    ],
    "mnist lenet5_1998": [
        "model=lenet5_1998", "data=mnist", "data.root={real}/data", "data.train_per_class=100", "trainer.epochs=5",
        "trainer.val_limit=1000", "data.batch_size=32", "optim.lr=0.005",
    ],
    "emoji lite0, pretrained": [
        "model=tf_efficientnet_lite0", "model.weights={real}/weights/tf_efficientnet_lite0.safetensors",
        "data=imagefolder", "data.root={real}/emoji/google", "data.split=[0.6,0.2,0.2]", "data.image_size=64",
        "data.batch_size=32", "transfer=linear_probe", "trainer.epochs=4",
        "optim.lr=0.005",  # the default, 0.05, was found to be too high: a test loss of 17.5 instead of 1.2
    ],
    "mnist lenet5 adamw": [
        "model=lenet5", "data=mnist", "data.root={real}/data", "data.train_per_class=100", "trainer.epochs=5",
        "trainer.val_limit=1000", "data.batch_size=32", "optim=adamw", "optim.lr=0.001",
    ],
    "emoji resnet20 cosine": [
        "model=resnet20", "data=imagefolder", "data.root={real}/emoji/google", "data.split=[0.6,0.2,0.2]",
        "data.image_size=32", "data.batch_size=32", "augment=flip_crop", "optim=sgd", "optim.lr=0.01",
        "schedule=cosine", "trainer.epochs=6",
    ],
}  # fmt: skip
# what is found of them is no alarm: by what the first reaches (27.8% of test, where the majority is 20.2%) it has
# hardly learned, and the second is better at the rate that is advised: on val by 2.4, 2.1 and 2.4 points (seeds 0 to 2)
SICK = {
    "emoji nin_cifar adamw": [
        "model=nin_cifar", "data=imagefolder", "data.root={real}/emoji/google", "data.split=[0.6,0.2,0.2]",
        "data.image_size=32", "data.batch_size=32", "augment=flip_crop", "optim=adamw", "trainer.epochs=4",
    ],
    "emoji resnet20 cosine at 0.1": [
        "model=resnet20", "data=imagefolder", "data.root={real}/emoji/google", "data.split=[0.6,0.2,0.2]",
        "data.image_size=32", "data.batch_size=32", "augment=flip_crop", "optim=sgd", "optim.lr=0.1",
        "schedule=cosine", "trainer.epochs=6",
    ],
}  # fmt: skip


def quietly(command: str, words: list[str]) -> str | None:
    """What the command made."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        return compose_and_start(command, words, [FAULTS]).made


def diagnosed(words: list[str], folder: str) -> dict[str, str]:
    """The status of each check."""
    quietly("diagnose", [*words, f"findings={folder}"])
    found = json.loads((Path(folder) / "diagnose.json").read_text())
    return {each["check"]: each["status"] for each in found["checks"]}


def trained(words: list[str], folder: str) -> str:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        return str(cnntrain.train(*words, f"output={folder}", imports=[FAULTS])["run_dir"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real")
    parser.add_argument("--only", default="", help="those whose names have this in them")
    given = parser.parse_args()
    found, alarms, planted, healthy = set(), 0, set(), 0
    with tempfile.TemporaryDirectory() as folder:
        for check, what, words in PLANTED:
            if given.only not in what:
                continue
            start = time.monotonic()
            statuses = diagnosed(words, folder)
            planted.add(what)
            if statuses[check] != "ok":
                found.add(what)
            others = [name for name, status in statuses.items() if status != "ok" and name != check]
            took = f"{time.monotonic() - start:.0f} s"
            print(f"{check}: {what}: {statuses[check]}; besides: {', '.join(others) or 'nothing'}; {took}", flush=True)
        for name, words in {**HEALTHY, **({**REAL, **SICK} if given.real else {})}.items():
            if given.only not in name:
                continue
            start = time.monotonic()
            run = trained([each.format(real=given.real) for each in words], folder)
            result = json.loads((Path(run) / "result.json").read_text())
            right = f"{result['test']['top1']:.1%} of test right, majority {result['data']['majority']['test']:.1%}"
            statuses = diagnosed([f"run={run}"], folder)
            wrong = [f"{check} {status}" for check, status in statuses.items() if status != "ok"]
            if name not in SICK:
                healthy, alarms = healthy + 1, alarms + bool(wrong)
            kind, took = "sick" if name in SICK else "healthy", f"{time.monotonic() - start:.0f} s"
            print(f"{kind}: {name}, {right}: {', '.join(wrong) or 'nothing'}; {took}", flush=True)
    checks = {check for check, what, _ in PLANTED if what in planted}
    missed = {check for check, what, _ in PLANTED if what in planted - found}
    print(
        f"{len(checks - missed)} of {len(checks)} checks found what was planted ({len(found)} of {len(planted)} faults)"
    )
    print(f"{alarms} alarms in {healthy} healthy runs")


if __name__ == "__main__":
    main()
