"""Names that a package imports when somebody first asks for them (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["on_demand"]


def on_demand(package: str, **homes: str) -> Callable[[str], Any]:
    """The `__getattr__` of `package`: `homes` says which of its modules exports which names, parted by spaces.

    Importing the package then costs nothing, and using a name costs what that name needs. Where a module exports its
    own name, that is what the package has under it, whoever imports the module. Raises `AttributeError` for a name
    that the package does not have, as a package without it would.
    """
    home = {name: module.replace("__", ".") for module, names in homes.items() for name in names.split()}
    namesakes = frozenset(name for name, module in home.items() if name == module)

    class Package(ModuleType):
        def __setattr__(self, name: str, value: Any) -> None:
            """The import system puts a module in its place in the package when it has loaded it."""
            if name in namesakes and isinstance(value, ModuleType):
                value = getattr(value, name)
            super().__setattr__(name, value)

    sys.modules[package].__class__ = Package

    def find(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{home[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
