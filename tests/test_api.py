"""From Python: the same as from the command line, and nothing left behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import logsumexp

import cnntrain as package
from cnntrain.core.errors import ConfigError, InputError, RunError
from cnntrain.runs import predictions

WORDS = ("experiment=smoke", "data.channels=1", "trainer.device=cpu")


@pytest.fixture
def trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return package.train(*WORDS, f"output={tmp_path}")


def process() -> tuple[Any, ...]:
    """What is global in it."""
    backend = torch.backends.cudnn
    return (
        list(sys.argv), dict(os.environ), Path.cwd(), torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(), backend.deterministic, backend.benchmark,
        torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(), random.getstate(),
        str(np.random.get_state()), torch.get_rng_state().tolist(),
    )  # fmt: skip


@pytest.fixture
def settings_of_its_own(trained: dict[str, Any]) -> Iterator[None]:
    """A script's, none of which is the default."""
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    backend = torch.backends.cudnn
    before = backend.deterministic, backend.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_default_dtype(torch.float64)
    backend.deterministic, backend.benchmark = True, True
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_default_dtype(torch.float32)
    backend.deterministic, backend.benchmark = before


@pytest.mark.no_cover
def test_training_returns_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str], result_of: Any) -> None:
    result = package.train(*WORDS, "trainer.deterministic=true", f"output={tmp_path}")
    assert result == result_of(Path(result["run_dir"]))
    assert result["status"] == "finished"
    assert result["command"].startswith("cnntrain experiment=smoke")
    out = capsys.readouterr().out
    assert "epoch   1/2" in out and "\x1b" not in out
    again = package.train(*WORDS, "trainer.deterministic=true", f"output={tmp_path}")
    assert again["weights_sha256"] == result["weights_sha256"] and again["run_dir"] != result["run_dir"]


@pytest.mark.no_cover
def test_the_process_is_left_as_it_was(
    trained: dict[str, Any], tmp_path: Path, settings_of_its_own: None, capsys: pytest.CaptureFixture[str]
) -> None:
    before = process()
    result = package.train(*WORDS, f"output={tmp_path}")
    assert process() == before
    assert result["weights_sha256"] == trained["weights_sha256"]
    package.load(result["run_dir"]).predict([np.zeros((8, 8), np.uint8)])
    assert process() == before
    with pytest.raises(RunError, match="weights are nan or infinite"):
        package.train(*WORDS, "optim.lr=1e30", "trainer.deterministic=true", f"output={tmp_path}")
    assert process() == before


@pytest.mark.no_cover
def test_it_does_what_the_command_does(trained: dict[str, Any], typed: Any, result_of: Any, tmp_path: Path) -> None:
    done = typed(*WORDS)
    assert done.returncode == 0, done.stderr
    same = ("weights_sha256", "test", "best", "model", "data", "frozen", "task")
    result = result_of(tmp_path / done.stdout.splitlines()[-1])
    assert {key: result[key] for key in same} == {key: trained[key] for key in same}


@pytest.mark.no_cover
def test_a_plus_is_taken_off_a_key_that_is_there(trained: dict[str, Any]) -> None:
    more = trained["steps"] + 1
    again = package.train(f"resume={trained['run_dir']}", f"+trainer.max_steps={more}", "++trainer.epochs=9")
    assert again["steps"] == more


def test_errors_are_raised(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'optim\.lrr'; did you mean 'optim\.lr'"):
        package.train("optim.lrr=1")
    with pytest.raises(InputError, match="no such file"):
        package.load(tmp_path)


def test_a_loaded_network_predicts_as_it_was_judged(trained: dict[str, Any], tmp_path: Path) -> None:
    net = package.load(trained["run_dir"])
    assert net.classes == [str(each) for each in range(10)]
    assert not net.network.training
    data = net.config.data.load()
    images = [data.test.images[i] for i in range(len(data.test))]
    found = net.predict(images)
    right = [next(iter(each)) == net.classes[label] for each, label in zip(found, data.test.labels, strict=True)]
    assert np.mean(right) == trained["test"]["top1"]
    assert all(sum(each.values()) == pytest.approx(1) for each in found)
    assert net.temperature == trained["temperature"] != 1
    left = predictions.read(Path(trained["run_dir"]) / "test" / predictions.PREDICTIONS)
    assert left.about["temperature"] == net.temperature  # for `eval predictions=` of a file that was moved
    warm = [net.temperature * np.log([each[name] for name in net.classes]) for each in found]  # logits, but for a sum
    losses = [logsumexp(each) - each[label] for each, label in zip(warm, data.test.labels, strict=True)]
    assert np.mean(losses) == pytest.approx(trained["test"]["loss"], rel=1e-5)


def test_an_image_may_be_a_file_an_array_a_tensor_or_pils(trained: dict[str, Any], tmp_path: Path) -> None:
    net = package.load(Path(trained["run_dir"]) / "best.ckpt")
    array = np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "x.png")
    kinds = [array, Image.fromarray(array), torch.from_numpy(array)[None], tmp_path / "x.png", str(tmp_path / "x.png")]
    seen = [net.preprocess(each) for each in kinds]
    assert seen[0].shape == (1, 1, 32, 32)
    assert all(torch.equal(seen[0], each) for each in seen[1:])
    with pytest.raises(InputError, match="a dict is not an image"):
        net.preprocess({})


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, cnntrain; print(sorted({'torch', 'hydra', 'numpy', 'timm'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
