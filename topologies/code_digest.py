"""A short name for a tree's slots and the code that lives in them, so that changed code is seen."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any, Final

from treewarden.agents.agent import Agent
from treewarden.supervisor.core.spec import SupervisorSpec

from .core.blueprint import Blueprint, walk

__all__ = ["code_digest"]

_KEPT: Final = 1024
"""Functions whose text is kept: a process that opens one tree after the other asks for the same ones each time."""


def code_digest(blueprint: Blueprint) -> str:
    """The same in every process with the same slots and the same code in their classes and functions.

    Not promised: that it sees a change in what these call. Another Python version counts as other code.
    """
    digest = hashlib.blake2b(digest_size=8)
    known: dict[int, tuple[str, bytes]] = {}
    for path, spec in walk(blueprint):
        made: Any = spec.strategy if isinstance(spec, SupervisorSpec) else spec.agent
        if id(made) not in known:  # the blueprint holds on to it, so nothing else has this id
            name = f"{getattr(made, '__module__', '')}:{getattr(made, '__qualname__', made)}"
            known[id(made)] = name, b"" if isinstance(spec, SupervisorSpec) else _bytes(made)
        name, code = known[id(made)]
        digest.update(f"{path} {name}\n".encode())
        digest.update(code)
        if not isinstance(spec, SupervisorSpec):
            for value in spec.args.values():
                if isinstance(value, (FunctionType, type)):
                    digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(made: Any) -> bytes:
    return "".join(_text(code) for code in _codes(made)).encode()


def _codes(made: Any) -> Iterator[CodeType]:
    """The code of a function, or of the methods of an agent's class."""
    if isinstance(made, FunctionType):
        yield getattr(inspect.unwrap(made), "__code__", made.__code__)
    elif isinstance(made, type) and issubclass(made, Agent):
        for base in made.__mro__:
            if base is Agent:
                return
            for _, value in sorted(vars(base).items()):
                if isinstance(value, FunctionType):
                    yield value.__code__


@functools.lru_cache(_KEPT)
def _text(code: CodeType) -> str:
    """What of a function's code does not depend on where its file lies."""
    inner = "".join(_text(each) for each in code.co_consts if isinstance(each, CodeType))
    plain = [each for each in code.co_consts if isinstance(each, (str, bytes, int, float))]
    return f"{code.co_code.hex()} {code.co_names} {plain} {inner}\n"
