"""How what was stored of an older version of a class becomes that of the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = ["Upcasts"]

Upcasts: TypeAlias = Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]
"""For a class that is stored, `__upcasts__: ClassVar[Upcasts] = {1: function}`: what is under `n` gets the fields that
version `n` has stored, by name, and returns those of version `n + 1`."""
