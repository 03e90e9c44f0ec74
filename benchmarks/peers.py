"""The peers: other actor libraries for Python, in an environment of their own, each run a process of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from attrs import frozen
from harness import Measured, afresh

__all__ = ["ENVIRONMENT", "Peer", "PeerCase", "version_of"]

HERE: Final = Path(__file__).parent
ENVIRONMENT: Final = HERE.parent / "build" / "peers"
"""What `make bench-peers` makes."""
_LONGEST_RUN: Final = 180.0


@frozen
class Peer:
    """One library."""

    name: str
    script: str
    """Beside this file; `SCRIPT CASE SIZE` prints one run."""
    install: str = "make bench-peers"


@frozen
class PeerCase:
    """One of its cases in a row, with the sizes that suit it."""

    peer: Peer
    case: str
    full: int
    quick: int


def interpreter(environment: Path = ENVIRONMENT) -> Path:
    return environment / "bin" / "python"


def version_of(peer: Peer, environment: Path = ENVIRONMENT) -> str | None:
    """The peer's version, or None where it is not installed."""
    try:
        ended = subprocess.run(
            [interpreter(environment), HERE / peer.script], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def run_peer(case: PeerCase, size: int, environment: Path = ENVIRONMENT) -> Measured:
    """One run. Raises `RunFailed`."""
    arguments = [str(HERE / case.peer.script), case.case, str(size)]
    return afresh(arguments, interpreter=str(interpreter(environment)), within=_LONGEST_RUN)
