"""`treewarden run --chaos`: what was asked for, if it may be had in this tree."""

from __future__ import annotations

import importlib
import signal
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.event import TreeOpened
from treewarden.supervisor.journal.reading import JournalFile

from ..chaos.live import LiveChaos, Promise
from ..core.live import parse_order
from ..toml import Topology
from .commanding import user
from .files import batches, head_of

__all__ = ["CALMING", "chaos_for"]

CALMING: Final = (signal.SIGUSR1,)
"""The signals that end the chaos, and not the tree."""


def chaos_for(arguments: Namespace, topology: Topology, journal: str) -> LiveChaos | None:
    """The chaos that was asked for; None without. Reads the journal, imports the promise: it blocks.

    Raises `ConfigurationError` for an order that cannot be read, and for one without bounds in a tree that people
    depend on: whose file says `production = true`, or whose journal was last opened under one that did.
    """
    if arguments.chaos is None:
        return None
    try:
        order = parse_order(arguments.chaos)
    except ValueError as error:
        raise ConfigurationError(f"--chaos {arguments.chaos}: {error}") from None
    if order.refusal and (topology.production or _was_production(journal)):
        raise ConfigurationError(f"--chaos {arguments.chaos}: {journal} is a journal of production; {order.refusal}")
    return LiveChaos(order, user(), _promise(order.promise, Path(arguments.file).parent) if order.promise else None)


def _was_production(journal: str) -> bool:
    if not head_of(journal):
        return False
    said = False
    with JournalFile.open(journal) as file:
        for records in batches(file, kinds=["TreeOpened"]):
            said = any(isinstance(each.event, TreeOpened) and each.event.production for each in records[-1:])
    return said


def _promise(text: str, folder: Path) -> Promise:
    """`module:function`, with the folder of the tree's file first on the path while it is imported."""
    module, _, name = text.partition(":")
    sys.path.insert(0, str(folder.resolve()))
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"--chaos: promise={text} cannot be imported: {error}") from error
    finally:
        sys.path.remove(str(folder.resolve()))
    if not callable(found):
        raise ConfigurationError(f"--chaos: promise={text} is no function; write one that takes a Tree")
    return found
