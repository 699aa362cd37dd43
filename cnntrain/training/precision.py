"""The arithmetic of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnntrain.config.schema import Trainer
from cnntrain.core import seeds

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context of a forward pass: autocast for the half precisions, else nothing."""
    if precision in ("float32", "float64"):
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


def weights_dtype(precision: str) -> torch.dtype:
    """Of weights and images: autocast chooses the precision of each operation itself, from float32."""
    return torch.float64 if precision == "float64" else torch.float32


def place(model: nn.Module, trainer: Trainer, device: torch.device) -> None:
    """Put the weights where and as they are computed with."""
    model.to(device, weights_dtype(trainer.precision))
    model.to(memory_format=memory_format(trainer, device))


def memory_format(trainer: Trainer, device: torch.device) -> torch.memory_format:
    """Of images, activations and filters.

    With the channels last convolutions are faster on a CPU, where there are kernels of the type at all
    (``scripts/bench_speed.py``: ResNet-20 1.18, LeNet-5 1.58 times as fast), and on a GPU in the half precisions.
    """
    choice = trainer.memory_format
    if choice == "auto":
        fast = ("float32", "bfloat16", "float16") if device.type == "cpu" else ("bfloat16", "float16")
        choice = "channels_last" if trainer.precision in fast else "contiguous"
    return torch.channels_last if choice == "channels_last" else torch.contiguous_format


def slow(precision: str, device: torch.device, cpu: Path = Path("/proc/cpuinfo")) -> str | None:
    """A line where the device has no units for the precision, and computes it in another way."""
    units = {"bfloat16": ("avx512_bf16", "amx_bf16", "bf16"), "float16": ("avx512_fp16", "amx_fp16", "fphp")}
    if device.type != "cpu" or precision not in units or not cpu.is_file():
        return None
    flags = set(cpu.read_text(encoding="utf-8").split())
    if flags & {*units[precision]}:
        return None
    return f"this CPU has no units for {precision}: its steps take far longer than those of float32"


@contextmanager
def threads_kept() -> Iterator[None]:
    """Afterwards torch computes with as many threads as before."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def arithmetic(deterministic: bool, tf32: bool) -> Iterator[None]:
    """Within the block torch computes as configured; afterwards as before, and random numbers go on as if there had
    been no block."""
    backend, products = torch.backends.cudnn, torch.get_float32_matmul_precision()
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    dtype, before = torch.get_default_dtype(), (backend.deterministic, backend.benchmark, backend.allow_tf32)
    workspace, threads = os.environ.get(WORKSPACE), torch.get_num_threads()
    if deterministic:
        os.environ.setdefault(WORKSPACE, ":4096:8")  # cuBLAS is repeatable only with a fixed workspace
    torch.use_deterministic_algorithms(deterministic)
    torch.set_default_dtype(torch.float32)  # in which weights are drawn
    backend.deterministic, backend.benchmark, backend.allow_tf32 = deterministic, not deterministic, tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        with seeds.generators_kept():
            yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        backend.deterministic, backend.benchmark, backend.allow_tf32 = before
        torch.set_float32_matmul_precision(products)
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        if workspace is None:
            os.environ.pop(WORKSPACE, None)
