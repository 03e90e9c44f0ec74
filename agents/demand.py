"""Names that a package imports when somebody first asks for them (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["on_demand"]


def on_demand(package: str, **homes: str) -> Callable[[str], Any]:
    """The `__getattr__` of `package`: `homes` says which of its modules exports which names, parted by spaces.

    Importing the package then costs nothing, and using a name costs what that name needs. Raises `AttributeError` for
    a name that the package does not have, as a package without it would.
    """
    home = {name: module.replace("__", ".") for module, names in homes.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{home[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
