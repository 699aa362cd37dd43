"""Facts about a network found by running it once: whether it takes this input, multiply-adds, its layers one by one,
the memory that training keeps. A network on the meta device answers in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cnntrain.core.errors import ConfigError
from cnntrain.data.base import DIMENSIONS
from cnntrain.study.anatomy.recorder import Layer, observe

LARGEST_TRIED = 512  # pixels a side
NO_SUCH_SIZE = (RuntimeError, AssertionError, ValueError, IndexError)  # what torch and timm raise on a bad size


def multiply_adds(model: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of convolutions and matrix products for one input of channels, then one, two or three sides.

    Raises:
        ConfigError: the model does not take such inputs; the message names the smallest image that it does take.
    """
    with _evaluating(model), _without_gradients(model), FlopCounterMode(display=False) as counter:
        require_dimensions(model, len(shape) - 1)
        error = _forward_error(model, shape)
    if error is None:
        return counter.get_total_flops() // 2
    hint = None if len(shape) == 2 else _working_size(model, shape)
    advice = f"data.image_size={hint} works" if hint else "take another model"
    sizes, what = "x".join(map(str, shape[1:])), DIMENSIONS[len(shape) - 1]
    raise ConfigError(f"{type(model).__name__} does not take {sizes} {what} ({error}); {advice}")


def require_dimensions(model: nn.Module, dimensions: int) -> None:
    """Raises ConfigError where convolutions of another kind than those of such inputs are the network's first."""
    own = dimensions_of(model)
    if own is not None and own != dimensions:
        others = {1: "lenet1d, resnet1d, fcn1d", 2: "resnet20 and most others", 3: "lenet3d, resnet3d, r3d_18, s3d"}
        raise ConfigError(
            f"{type(model).__name__} is made for {DIMENSIONS[own]}, and the data are {DIMENSIONS[dimensions]}, which "
            f"{others[dimensions]} take: choose one of these with model=, or other data"
        )


def dimensions_of(model: nn.Module) -> int | None:
    """Those that the network's first convolution slides along; None: it has none."""
    kinds = ((nn.Conv1d, 1), (nn.Conv2d, 2), (nn.Conv3d, 3))
    found = (number for each in model.modules() for kind, number in kinds if isinstance(each, kind))
    return next(found, None)


def measure(model: nn.Module, shape: Sequence[int]) -> tuple[list[Layer], int]:
    """The layers of one input's forward pass, in the order in which they run, and its multiply-adds.

    See `recorder.Layer` for the columns.

    Raises:
        ConfigError: as `multiply_adds`.
    """
    try:
        with _evaluating(model):
            recorder = observe(model, _image(model, 1, shape))
    except NO_SUCH_SIZE:
        multiply_adds(model, shape)  # says what is wrong, and which size works
        raise
    return recorder.layers, recorder.macs


def depth(rows: Sequence[Layer]) -> int:
    """Convolutions and linear layers on the longest path from the image to an output.

    It is the number in the names of the ResNets, of VGG16 and of the 22 layers of GoogLeNet. The two layers of a
    squeeze-and-excitation lie on the longest path too.
    """
    longest: list[int] = []
    for row in rows:
        before = max((longest[each] for each in row.inputs if each >= 0), default=0)
        longest.append(before + row.weighted)
    return max(longest, default=0)


def uneven(row: Layer) -> str | None:
    """A sentence where the layer's stride does not fit its map: (N - F + 2P) / S + 1 is no whole number."""
    if row.window is None or not any(left := row.window.left_over(row.size)):
        return None
    window, axis = row.window, next(place for place, count in enumerate(left) if count)
    size, kernel, stride, padding = (each[axis] for each in (row.size, window.kernel, window.stride, window.padding))
    reach = window.dilation[axis] * (kernel - 1) + 1
    value = (size - reach + 2 * padding) / stride + 1
    what = "padding only" if max(left) <= padding else "of the map"
    unseen = "rows and columns" if len(left) == 2 else "positions"
    formula = f"({size} - {reach} + 2*{padding}) / {stride} + 1 = {value:.4g}"
    return f"{formula} is rounded down to {int(value)}: {unseen} unseen: {max(left)}, {what}"


def kept_for_backward(model: nn.Module, train_mode: Callable[[], None], batch: int, shape: Sequence[int]) -> int:
    """Bytes that a training step's forward pass keeps for the backward pass: the images, and what autograd saves
    besides parameters and buffers.

    Each tensor is counted once. Frozen layers save nothing unless a gradient has to pass through them. `train_mode`
    sets the model's mode, in which it is left.
    """
    own = {each.untyped_storage()._cdata for each in [*model.parameters(), *model.buffers()]}
    images = _image(model, batch, shape)
    saved = {images.untyped_storage()._cdata: images}  # holds what it counts, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage()._cdata
        if address not in own:
            saved.setdefault(address, tensor)
        return tensor

    train_mode()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(images)
    return sum(each.untyped_storage().nbytes() for each in saved.values())


def _working_size(model: nn.Module, shape: Sequence[int]) -> int | None:
    """The side of images or frames nearest above that of `shape` that works, by doubling and bisection; for a
    fixed-size model its own."""
    own = getattr(model, "pretrained_cfg", {}).get("input_size", (0, 0, 0))[-1]
    before, size = shape[:-2], shape[-1]

    def fails(side: int) -> str | None:
        return _forward_error(model, (*before, side, side))

    with _evaluating(model):
        high = size
        while high < LARGEST_TRIED and fails(high):
            high *= 2
        if fails(high):
            return own if own and fails(own) is None else None
        low = size
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fails(middle) else (low, middle)
        return high


def _forward_error(model: nn.Module, shape: Sequence[int]) -> str | None:
    """The first line of what a forward pass of one input raises, or None."""
    try:
        model(_image(model, 1, shape))
    except NO_SUCH_SIZE as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


def _image(model: nn.Module, batch: int, shape: Sequence[int]) -> Tensor:
    parameter = next(model.parameters())
    return torch.zeros(batch, *shape, device=parameter.device, dtype=parameter.dtype)


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


@contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    """No parameter takes a gradient: the counter hooks those of parameters that are passed as arguments."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
