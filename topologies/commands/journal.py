"""`treewarden journal`: what can be done with a journal's file."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Final

from .check_code import check_code
from .exporting import export, import_bundle
from .keeping import blobs, compact, fork
from .moving import move
from .pruning import prune
from .show import show
from .verify import verify

__all__ = ["journal"]

_DEEDS: Final[Mapping[str, Callable[[Namespace], int]]] = {
    "show": show,
    "verify": verify,
    "check-code": check_code,
    "export": export,
    "import": import_bundle,
    "fork": fork,
    "move": move,
    "blobs": blobs,
    "compact": compact,
    "prune": prune,
}


def journal(arguments: Namespace) -> int:
    """Do the deed that the command line names."""
    return _DEEDS[arguments.deed](arguments)
