from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cnntrain.commands.train import Train
from cnntrain.training.precision import WORKSPACE, arithmetic, memory_format, slow

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("flags", "precision", "is_slow"),
    [
        ("fpu sse2 avx2", "bfloat16", True),
        ("fpu avx512f avx512_bf16", "bfloat16", False),
        ("fpu avx512f avx512_bf16", "float16", True),
        ("fpu amx_fp16", "float16", False),
        ("fpu sse2", "float32", False),
    ],
)
def test_a_precision_without_units_is_said(tmp_path: Path, flags: str, precision: str, is_slow: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    assert (slow(precision, CPU, tmp_path / "cpuinfo") is not None) == is_slow
    assert slow(precision, CUDA, tmp_path / "cpuinfo") is None
    assert slow(precision, CPU, tmp_path / "of another system") is None


@pytest.mark.parametrize(
    ("precision", "on_cpu", "on_cuda"),
    [("float32", True, False), ("float64", False, False), ("bfloat16", True, True), ("float16", True, True)],
)
def test_channels_are_last_where_that_is_faster_and_as_is_asked(
    configure: object, precision: str, on_cpu: bool, on_cuda: bool
) -> None:
    config = configure(f"trainer.precision={precision}")  # type: ignore[operator]
    assert isinstance(config, Train)
    for device, last in ((CPU, on_cpu), (CUDA, on_cuda)):
        assert (memory_format(config.trainer, device) == torch.channels_last) == last
        for choice, form in (("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)):
            assert memory_format(replace(config.trainer, memory_format=choice), device) == form


def test_threads_and_the_workspace_are_as_before_after_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKSPACE, raising=False)
    threads = torch.get_num_threads()
    with arithmetic(deterministic=True, tf32=False):
        assert os.environ[WORKSPACE] == ":4096:8"
        torch.set_num_threads(threads + 1)
    assert torch.get_num_threads() == threads and WORKSPACE not in os.environ
    with arithmetic(deterministic=False, tf32=False):
        assert WORKSPACE not in os.environ
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with arithmetic(deterministic=True, tf32=False):
        assert os.environ[WORKSPACE] == ":16:8"
    assert os.environ[WORKSPACE] == ":16:8"
