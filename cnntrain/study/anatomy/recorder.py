"""One forward pass, written down layer by layer: shapes, windows, parameters, multiply-adds, fields, who feeds whom.

Every operation of torch passes by (a dispatch mode), so nothing has to be traced and nothing is guessed: modules and
functional calls are seen alike. On the meta device a pass takes milliseconds and no memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from cnntrain.study.anatomy.field_rules import Call, output_field
from cnntrain.study.anatomy.receptive_field import Field, Window, bound, own_field, window_of

UNSHOWN = {"clone", "detach", "empty_like", "new_empty", "_to_copy"}


@dataclass
class Layer:
    """One row: a module without modules inside, or an operation that a module with some does itself."""

    name: str  # the module's path; for an operation the path and what it does, such as layer1.0.add
    kind: str
    shape: tuple[int, ...]  # of its output, without the batch
    inputs: tuple[int, ...]  # rows that it reads; -1 is the image
    weighted: bool = False  # a convolution or a linear layer
    window: Window | None = None
    size: tuple[int, ...] = ()  # sides of the map that the window slides over
    params: int = 0
    trained: int = 0  # of the parameters, those that take a gradient
    macs: int = 0  # multiply-adds of convolutions and matrix products, one image
    values: int = 0  # numbers of memory that its output takes: none where it works in place or gives a view
    field: Field | None = None


@dataclass
class Mark:
    """What is known of a tensor: its receptive field (None: unknown), and the rows that it comes from."""

    field: Field | None
    sources: frozenset[int]


@dataclass
class Frame:
    """A module whose forward runs."""

    path: str
    module: nn.Module
    leaf: bool
    touched: bool = False  # an operation ran in it
    macs: int = 0
    fresh: bool = False
    window: tuple[Window, tuple[int, ...]] | None = None
    sources: set[int] = field(default_factory=set)


class Recorder(TorchDispatchMode):
    """Fills `layers` while a model runs inside it. The batch must be of one image."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.layers: list[Layer] = []
        self.macs = 0  # of all operations, those too that are not about the image
        self.marks = WeakTensorKeyDictionary()
        self.frames: list[Frame] = []
        self.counted: set[int] = set()  # parameters that have their row
        self.names: dict[str, int] = {}
        self.sides = 2  # of the input

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        count = flop_registry.get(func.overloadpacket)
        macs = count(*args, **kwargs, out_val=out) // 2 if count else 0
        self.macs += macs
        marked = [each for each in _tensors([args, list(kwargs.values())]) if each in self.marks]
        results = list(_tensors(out))
        if marked and results and self.frames:
            self._note(func, bound(func, args, kwargs), marked, results, macs)
        return out

    def _note(self, func: Any, values: dict[str, Any], marked: list[Tensor], results: list[Tensor], macs: int) -> None:
        """Mark what an operation returns, and write it down: in its module's row, or in one of its own."""
        known = [self.marks[each].field for each in marked]
        sources = frozenset().union(*(self.marks[each].sources for each in marked))
        fields = [each for each in known if each is not None]
        complete = len(fields) == len(known)
        seen = output_field(Call(func, values, marked[0], fields, results[0])) if complete else None
        frame = self.frames[-1]
        window = window_of(func, values)
        window = window and window.last(self.sides)
        shown = window and (macs or {*window.kernel} != {1})  # LRN averages over channels by such a window
        sliding = (window, tuple(marked[0].shape[-len(window.kernel) :])) if window and shown else None
        fresh = all(each.alias_info is None for each in func._schema.returns)
        name = func.overloadpacket.__name__
        frame.touched = True
        if frame.leaf:
            frame.macs += macs
            frame.fresh |= fresh
            frame.window = frame.window or sliding
        elif (fresh or func._schema.is_mutable) and name not in UNSHOWN:
            own = Frame(frame.path, frame.module, False, macs=macs, fresh=fresh, window=sliding, sources=set(sources))
            used = _storages(frame.module.parameters(recurse=False)) & _storages(_tensors(values))
            sources = frozenset({self._row(own, None if used else name, results[0], seen)})
        for each in results:
            self.marks[each] = Mark(seen, sources)

    def _row(self, frame: Frame, operation: str | None, out: Tensor, seen: Field | None) -> int:
        """Write a row down and return its number. `operation` is None for a row that is the module itself."""
        kind = type(frame.module).__name__
        name = frame.path
        own: list[Tensor] = []
        if operation is None:
            own = [p for p in frame.module.parameters(recurse=False) if id(p) not in self.counted]
            self.counted.update(map(id, own))
        else:
            kind = operation.strip("_").removesuffix("_with_indices")
            name = f"{name}.{kind}".lstrip(".")
        window, size = frame.window or (None, ())
        self.layers.append(
            Layer(
                name=self._unique(name),
                kind=kind,
                shape=tuple(out.shape[1:]),
                inputs=tuple(sorted(frame.sources)),
                weighted=bool(frame.macs) and any(True for _ in frame.module.parameters(recurse=False)),
                window=window,
                size=size,
                params=sum(p.numel() for p in own),
                trained=sum(p.numel() for p in own if p.requires_grad),
                macs=frame.macs,
                values=out.numel() if frame.fresh else 0,
                field=seen,
            )
        )
        return len(self.layers) - 1

    def _unique(self, name: str) -> str:
        """A module that runs more than once has a row for each time."""
        count = self.names[name] = self.names.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    @contextmanager
    def watching(self, given: Tensor, is_image: bool = True) -> Iterator[None]:
        """Record what happens to `given` within. What is no image is seen as a whole, and is no row's input."""
        self.sides = given.ndim - 2
        own = own_field(self.sides)
        self.marks[given] = Mark(own, frozenset({-1})) if is_image else Mark(own.as_whole(), frozenset())
        handles = []
        for path, module in self.model.named_modules():
            handles.append(module.register_forward_pre_hook(self._enter(path)))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, path: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            frame = Frame(path, module, leaf=not any(True for _ in module.children()))
            for each in _tensors(args):
                if each in self.marks:
                    frame.sources |= self.marks[each].sources
            self.frames.append(frame)

        return hook

    def _leave(self, module: nn.Module, args: Any, out: Any) -> None:
        frame = self.frames.pop()
        results = [each for each in _tensors(out) if each in self.marks]
        dropout = isinstance(module, _DropoutNd) and module.p > 0  # does nothing in evaluation mode, yet is a layer
        if frame.leaf and results and (frame.touched or dropout):
            number = self._row(frame, None, results[0], self.marks[results[0]].field)
            for each in results:
                self.marks[each] = Mark(self.marks[each].field, frozenset({number}))


def observe(model: nn.Module, image: Tensor) -> Recorder:
    """What was seen in one forward pass of `image` [1, C, H, W] (a signal, a volume) in evaluation mode, and before it
    in the networks ``beside`` the one that the image goes through, by the shapes of what they are given.

    Raises whatever the model raises where it does not take such an image.
    """
    recorder = Recorder(model)
    beside: Any = getattr(model, "beside", {})
    with torch.no_grad():
        for name, shape in beside.items():
            given = image.new_zeros(1, *shape)
            with recorder.watching(given, is_image=False):
                model.get_submodule(name)(given)
        with recorder.watching(image):
            model(image)
    return recorder


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for each in values:
            yield from _tensors(each)
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))


def _storages(tensors: Iterable[Tensor]) -> set[int]:
    """What identifies the tensors' memory: a view of a parameter has the parameter's."""
    return {each.untyped_storage()._cdata for each in tensors}
