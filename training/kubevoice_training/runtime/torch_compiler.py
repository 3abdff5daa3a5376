"""Training without torch's compiler."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

__all__ = ["leave_out_compiler"]

F = TypeVar("F", bound=Callable[..., object])


class _NoCompiler(ModuleType):
    """Stands for `torch._dynamo` where nothing is compiled."""

    @staticmethod
    def disable(function: F, *_arguments: object, **_options: object) -> F:
        """Return `function`, which is never compiled."""
        return function

    @staticmethod
    def graph_break() -> None:
        """Do nothing: there is no graph."""


def leave_out_compiler() -> None:
    """Keep torch's optimizers from importing its compiler.

    They exclude themselves from compilation, and import the whole compiler for it: eight seconds of CPU time in each
    process that trains. Nothing in this project calls `torch.compile`, which fails after this call, as
    `torch.distributed` does.
    """
    sys.modules.setdefault("torch._dynamo", _NoCompiler("torch._dynamo"))
