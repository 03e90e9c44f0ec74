"""Names that a package imports when somebody first asks for them (PEP 562)."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, Final

__all__ = ["collector_at_rest", "on_demand", "room_for_modules"]

_MUCH: Final = 1_000
"""Objects; a module of ours with its classes makes some hundreds."""


@contextmanager
def collector_at_rest() -> Generator[None]:
    """Keep the cyclic collector from running while much is made that stays, as modules with their classes are: it would
    look at all of that again and again, and find nothing.

    What was made meanwhile belongs to its oldest generation afterwards, as it would if it had been looked at twice; and
    so does the garbage of before, of which the collector no longer knows how much there is. So what is little it
    looks at as always: a process that opens one small tree after the other would grow. A collector that is off, or
    has frozen objects of somebody else, is left as it is. Source: the `gc` module, `freeze` and `unfreeze`.
    """
    if not gc.isenabled():
        yield
        return
    before = gc.get_count()[0]
    try:
        gc.disable()
        yield
    finally:
        if gc.get_count()[0] - before >= _MUCH and not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        gc.enable()


@contextmanager
def room_for_modules() -> Generator[None]:
    """In the block modules can be imported also where this process has no file descriptor left.

    What judges a failure is imported with the first one, and running out of descriptors is one: it would end the tree.
    """
    room = _Room()
    sys.meta_path.insert(0, room)
    try:
        yield
    finally:
        with suppress(ValueError):  # somebody has put another list in order
            sys.meta_path.remove(room)
        room.close()


class _Room:
    """Asked first for each module that is not here yet, it finds those alone for which no descriptor is left: it gives
    up its own for as long as the file is read."""

    def __init__(self) -> None:
        self._spare: int | None = None
        self._take()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self._spare is None:
            self._take()
        if self._spare is None or _is_one_left():
            return None
        self.close()
        try:
            spec = PathFinder.find_spec(name, path, target)
            if spec is not None and type(spec.loader) is SourceFileLoader:
                loader: Any = spec.loader
                read = loader.get_code(name)
                loader.get_code = {name: read}.__getitem__  # run, it imports others, for whom the descriptor is back
            return spec
        finally:
            self._take()

    def close(self) -> None:
        self._keep(None)

    def _take(self) -> None:
        with suppress(OSError):
            self._keep(os.open(os.devnull, os.O_RDONLY))

    def _keep(self, spare: int | None) -> None:
        before, self._spare = self._spare, spare  # first, for another thread may import meanwhile: none is closed twice
        if before is not None:
            os.close(before)


def _is_one_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


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

        def __dir__(self) -> list[str]:
            """Also what nobody has used yet: who completes names, or proposes one for a misspelled one, asks here."""
            return sorted({*super().__dir__(), *home})

    sys.modules[package].__class__ = Package

    def find(name: str) -> Any:
        if name not in home:
            text = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(text, name=name, obj=sys.modules[package])
        with collector_at_rest():
            value = getattr(importlib.import_module(f"{package}.{home[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
