"""The small changes of a file's code that ``mutation.py`` tries."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

# what runs with a GPU alone, besides what `Changes` sees itself
WITH_GPU = {
    *(("cnntrain/training/graphs.py", name)  # CUDA graphs
      for name in ("Recorded.__init__", "Recorded.forward", "_Whole.__init__", "_Whole.forward", "_shapes")),
    ("cnntrain/training/run.py", "Run._record"),
}  # fmt: skip
FOR_GPU = {"non_blocking", "pin_memory"}  # arguments that change nothing on a CPU
QUIET = {"say", "tell", "note", "InputError", "RunError", "ConfigError", "ValueError", "UncuttableError", "print"}
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add,
    ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add, ast.Pow: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And, ast.Break: ast.Continue, ast.Continue: ast.Break,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """`number` is that of the change among all of the file's; `needs_gpu`: without one it cannot be noticed."""

    path: str
    number: int
    line: int
    function: str
    what: str
    needs_gpu: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.function}: {self.what}"


class Changes(ast.NodeTransformer):
    """Numbers the possible changes of a file, and makes the one with the number `wanted`."""

    def __init__(self, path: str, wanted: int = -1):
        self.path, self.wanted = path, wanted
        self.found: list[Mutant] = []
        self.function: list[str] = []
        self.with_gpu = False  # whether what is visited runs with a GPU alone

    def _offer(self, node: ast.AST, what: str, change: Any) -> Any:
        if not self.function:
            return node
        number, function, line = len(self.found), ".".join(self.function), node.lineno  # type: ignore[attr-defined]
        needs_gpu = self.with_gpu or (self.path, function) in WITH_GPU
        self.found.append(Mutant(self.path, number, line, function, what, needs_gpu))
        return ast.copy_location(change(copy.deepcopy(node)), node) if number == self.wanted else node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.names = [*getattr(self, "names", []), node.name]
        node.body = [self.visit(each) for each in node.body]
        self.names.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outermost = not self.function
        if outermost:
            self.function = [*getattr(self, "names", []), node.name]
        node.body = [self.visit(each) for each in node.body]
        if outermost:
            self.function = []
        return node

    def _left_alone(self, node: ast.AST) -> ast.AST:
        return node

    visit_Raise = visit_Assert = visit_JoinedStr = visit_Import = visit_ImportFrom = _left_alone  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.value = self.visit(node.value) if node.value is not None else None
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return node if name in QUIET else self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg == "strict":  # of zip: an assertion
            return node
        with self._gpu(node.arg in FOR_GPU):
            return self.generic_visit(node)

    @contextmanager
    def _gpu(self, needed: bool) -> Iterator[None]:
        before, self.with_gpu = self.with_gpu, self.with_gpu or needed
        yield
        self.with_gpu = before

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if not isinstance(node.value, ast.Call):
            return node
        seen = self.visit(node.value)
        if seen is node.value and self._is_quiet(node.value):
            return node
        node.value = seen
        return self._offer(node, f"without {ast.unparse(node)[:60]}", lambda old: ast.Pass())

    def _is_quiet(self, call: ast.Call) -> bool:
        return (call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")) in QUIET

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        return self._swap_ops(node, node.ops)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return self._swap_op(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        values = node.values
        for number, each in enumerate(values):
            with self._gpu(isinstance(node.op, ast.And) and any(_is_cuda(before) for before in values[:number])):
                values[number] = self.visit(each)
        return self._swap_op(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        return self._swap_op(node)

    def _swap_ops(self, node: ast.Compare, ops: list[ast.cmpop]) -> ast.AST:
        def change(old: ast.Compare) -> ast.Compare:
            old.ops[0] = SWAPS[type(old.ops[0])]()
            return old

        return self._offer(node, f"{ast.unparse(node)[:60]}: other {type(ops[0]).__name__}", change)

    def _swap_op(self, node: Any) -> Any:
        if type(node.op) not in SWAPS:
            return node

        def change(old: Any) -> Any:
            old.op = SWAPS[type(old.op)]()
            return old

        return self._offer(node, f"{ast.unparse(node)[:60]}: other {type(node.op).__name__}", change)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Not | ast.USub):
            return node
        return self._offer(node, f"{ast.unparse(node)[:60]}: without it", lambda old: old.operand)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bool):
            return self._offer(node, f"{not node.value} for {node.value}", lambda old: ast.Constant(not old.value))
        if isinstance(node.value, int | float):
            return self._offer(node, f"{node.value + 1} for {node.value}", lambda old: ast.Constant(old.value + 1))
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        return self._condition(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        return self._condition(node)

    def _condition(self, node: Any) -> Any:
        for name, field in ast.iter_fields(node):
            with self._gpu(name == "body" and _is_cuda(node.test)):
                setattr(node, name, [self.visit(e) for e in field] if isinstance(field, list) else self.visit(field))

        def change(old: Any) -> Any:
            old.test = ast.UnaryOp(ast.Not(), old.test)
            return old

        return node if isinstance(node.test, ast.Compare) else self._offer(
            node, f"if not ({ast.unparse(node.test)[:60]})", change)  # fmt: skip

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Constant | None) and isinstance(getattr(node.value, "value", None), bool | None):
            return node  # to what asks whether it is true None is False, which is another mutant
        return self._offer(node, "returns None", lambda old: ast.Return(ast.Constant(None)))


def _is_cuda(test: ast.expr) -> bool:
    """Whether it is ``device.type == "cuda"``, or the same of another device."""
    return isinstance(test, ast.Compare) and ast.unparse(test).endswith("type == 'cuda'")


def changed(path: str, number: int = -1) -> tuple[CodeType, list[Mutant]]:
    """The file's code with one change, and all that there could be."""
    changes = Changes(path, number)
    tree = ast.fix_missing_locations(changes.visit(ast.parse(Path(path).read_text(encoding="utf-8"))))
    return compile(tree, str(Path(path).absolute()), "exec"), changes.found
