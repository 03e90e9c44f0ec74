"""A short name for the code that lives in a tree, so that changed code is seen."""

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
    """The same in every process with the same code in the classes and functions of its agents, however many slots each
    of them has, and with what arguments: one poller more is no other code.

    Not promised: that it sees a change in what these call. Another Python version counts as other code.
    """
    known: dict[int, bytes] = {}
    for _, spec in walk(blueprint):
        if isinstance(spec, SupervisorSpec):
            continue
        for made in (spec.agent, *spec.args.values()):
            # The blueprint holds on to it, so nothing else has this id.
            if id(made) not in known and (made is spec.agent or isinstance(made, (FunctionType, type))):
                name = f"{getattr(made, '__module__', '')}:{getattr(made, '__qualname__', made)}"
                known[id(made)] = name.encode() + b"\n" + _bytes(made)
    digest = hashlib.blake2b(digest_size=8)
    for code in sorted(set(known.values())):
        digest.update(code)
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
