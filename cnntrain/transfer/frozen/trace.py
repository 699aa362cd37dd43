"""A network's graph by torch.fx, and which of its values are fixed while part of the network is frozen."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from timm.layers import get_notrace_functions, get_notrace_modules
from torch import fx, nn
from torch.fx.node import map_arg
from torch.nn.modules.dropout import _DropoutNd

RANDOM_MODULES = (_DropoutNd, nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)
RANDOM = {
    "bernoulli", "bernoulli_", "normal", "normal_", "uniform_", "random_", "exponential_", "cauchy_", "geometric_",
    "log_normal_", "multinomial", "poisson", "rand", "rand_like", "randn", "randn_like", "randint", "randint_like",
    "randperm", "rrelu", "rrelu_", "gumbel_softmax", "fractional_max_pool2d", "empty", "empty_like", "new_empty",
}  # fmt: skip
DROPOUT = {
    f"{kind}dropout{size}" for kind in ("", "alpha_", "feature_", "feature_alpha_") for size in ("", "1d", "2d", "3d")
}


class UncuttableError(Exception):
    """The network cannot be cut; the message says why."""


class Tracer(fx.Tracer):
    """torch.fx's tracer with timm's leaves: modules and functions that cannot be looked into."""

    def __init__(self) -> None:
        super().__init__(autowrap_modules=(math,), autowrap_functions=tuple(get_notrace_functions()))
        self.leaves = tuple(get_notrace_modules())

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            isinstance(m, self.leaves)
            or getattr(m, "opaque", False)
            or super().is_leaf_module(m, module_qualified_name)
        )


class Trace:
    """A network's graph in its present mode; `keys` names each node's value alike in every trace of the network."""

    def __init__(self, model: nn.Module):
        with torch.random.fork_rng(devices=[]):
            before = torch.get_rng_state()
            try:
                self.graph = Tracer().trace(model)
            except Exception as error:  # fx raises TraceError, TypeError, RuntimeError, ... as the code in its way does
                raise UncuttableError(f"torch.fx cannot trace it ({str(error).strip().splitlines()[0]})") from error
            if not torch.equal(before, torch.get_rng_state()):
                raise UncuttableError("it draws random numbers that a trace would keep")
        self.keys: dict[fx.Node, str] = {}
        for node in self.graph.nodes:
            target = node.target if isinstance(node.target, str) else _function_name(node.target)
            arguments = map_arg((node.args, node.kwargs), lambda each: self.keys[each])
            settings = _settings(model.get_submodule(target)) if node.op == "call_module" else None
            self.keys[node] = digest((node.op, target, arguments, settings))

    def fixed(self, model: nn.Module) -> set[fx.Node]:
        """The nodes whose values are fixed."""
        fixed: set[fx.Node] = set()
        from_images: set[fx.Node] = set()
        for node in self.graph.nodes:
            if node.op == "placeholder" or not from_images.isdisjoint(node.all_input_nodes):
                from_images.add(node)
            if fixed.issuperset(node.all_input_nodes) and _is_fixed(node, model, node in from_images):
                fixed.add(node)
        return fixed


def _is_fixed(node: fx.Node, model: nn.Module, from_images: bool) -> bool:
    """Whether an operation on fixed values gives a fixed value."""
    if node.op == "placeholder":
        return True
    if node.op == "call_module":
        return _module_is_fixed(model.get_submodule(str(node.target)))
    if node.op == "get_attr":
        owner, _, name = str(node.target).rpartition(".")
        value = getattr(model.get_submodule(owner), name)
        if isinstance(value, nn.Parameter):
            return not value.requires_grad
        return not model.get_submodule(owner).training  # a buffer may be counted up in training mode
    if node.op == "output":
        return False
    name = node.target if isinstance(node.target, str) else _function_name(node.target).rpartition(".")[2]
    if name in DROPOUT:
        return _argument(node, 1, "p", 0.5) == 0 or not _argument(node, 2, "training", True)
    if name == "batch_norm":  # on weights alone (weight standardisation) there is no batch
        return not from_images or not _argument(node, 5, "training", False)
    return name not in RANDOM


def _argument(node: fx.Node, position: int, name: str, default: Any) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def _module_is_fixed(module: nn.Module) -> bool:
    return not any(p.requires_grad for p in module.parameters()) and all(
        not each.training or _is_pure(each) for each in module.modules()
    )


def _is_pure(module: nn.Module) -> bool:
    """Whether a module in training mode still computes a function of its inputs: one of torch's, without a state."""
    if isinstance(module, RANDOM_MODULES) or any(True for _ in module.buffers()):
        return False
    return any(each.__module__.startswith("torch.nn.modules") and each is not nn.Module for each in type(module).mro())


def has_parameters(node: fx.Node, model: nn.Module) -> bool:
    return node.op == "get_attr" or (
        node.op == "call_module" and any(True for _ in model.get_submodule(str(node.target)).parameters())
    )


def in_place(node: fx.Node, model: nn.Module) -> bool:
    if node.op == "call_module":
        return any(getattr(each, "inplace", False) for each in model.get_submodule(str(node.target)).modules())
    name = node.target if isinstance(node.target, str) else _function_name(node.target)
    return name.endswith("_") or bool(node.kwargs.get("inplace", False))


def _settings(module: nn.Module) -> list[Any]:
    """What a module that is not looked into computes with besides its weights: stride, eps, the kind of activation."""
    return [
        (name, type(each).__qualname__, key, _function_name(value) if callable(value) else value)
        for name, each in module.named_modules()
        for key, value in sorted(vars(each).items())
        if key != "training" and not key.startswith("_") and (callable(value) or _is_plain(value))
    ]


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(each) for each in value)
    return value is None or isinstance(value, (bool, int, float, str, torch.dtype))


def _function_name(function: Any) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__name__', repr(function))}"


def digest(what: Any) -> str:
    return hashlib.blake2b(repr(what).encode(), digest_size=16).hexdigest()
