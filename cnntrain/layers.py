"""Facts about a network found by running it once: does it take this input, and how many multiply-adds is that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cnntrain.errors import ConfigError

LARGEST_TRIED = 512  # pixels a side


def multiply_adds(model: nn.Module, channels: int, size: int) -> int:
    """Multiply-adds of convolutions and matrix products for one image of `size` x `size` pixels.

    Raises:
        ConfigError: the model does not take such images; the message names the smallest size that it does take.
    """
    with _evaluating(model), FlopCounterMode(display=False) as counter:
        error = _forward_error(model, channels, size)
    if error is None:
        return counter.get_total_flops() // 2
    hint = _working_size(model, channels, size)
    advice = f"data.image_size={hint} works" if hint else "take another model"
    raise ConfigError(f"{type(model).__name__} does not take {size}x{size} images ({error}); {advice}")


def _working_size(model: nn.Module, channels: int, size: int) -> int | None:
    """The size nearest above `size` that works, by doubling and bisection; for a fixed-size model its own."""
    own = getattr(model, "pretrained_cfg", {}).get("input_size", (0, 0, 0))[-1]
    with _evaluating(model):
        high = size
        while high < LARGEST_TRIED and _forward_error(model, channels, high):
            high *= 2
        if _forward_error(model, channels, high):
            return own if own and _forward_error(model, channels, own) is None else None
        low = size
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _forward_error(model, channels, middle) else (low, middle)
        return high


def _forward_error(model: nn.Module, channels: int, size: int) -> str | None:
    """The first line of what a forward pass of one image raises, or None."""
    parameter = next(model.parameters())
    try:
        model(torch.zeros(1, channels, size, size, device=parameter.device, dtype=parameter.dtype))
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:  # what torch and timm raise on a bad size
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
