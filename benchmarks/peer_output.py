"""How a peer's script says what it measured. Standard library only: it runs in the peers' environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version

__all__ = ["main", "result"]


def result(count: int, wall: float, *, value: float | None = None) -> dict[str, object]:
    """One run, with the names that the harness expects."""
    return {"count": count, "cpu": 0.0, "wall": wall, "value": value}


def main(distribution: str, cases: Mapping[str, Callable[[int], dict[str, object]]]) -> None:
    """`SCRIPT CASE SIZE` runs one case; without arguments the peer's version is printed."""
    if len(sys.argv) == 1:
        print(version(distribution))
        return
    name, size = sys.argv[1:]
    print(json.dumps(cases[name](int(size))), flush=True)
