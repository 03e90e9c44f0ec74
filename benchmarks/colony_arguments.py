"""What both contenders are told on their command lines."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from attrs import frozen

__all__ = ["Colony", "parsed", "tells_end"]


@frozen
class Colony:
    folder: Path
    """Where it keeps what it keeps, and its places leave their marks."""
    speed: float
    """Seconds of the colony in one of the wall."""
    retries: int
    """How many workers a job may lose; one more and it is given up."""


def parsed(title: str) -> Colony:
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--speed", type=float, required=True)
    parser.add_argument("--retries", type=int, required=True)
    given = parser.parse_args()
    return Colony(given.folder, given.speed, given.retries)


def tells_end(done: int, given_up: int) -> None:
    """The last line of a contender, when every job has ended."""
    print(f"ended {done} {given_up} {time.monotonic():.6f}", flush=True)
