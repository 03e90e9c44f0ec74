"""`treewarden journal move`: what an agent has stored, under the path that it has now."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path as File

from attrs import asdict

from treewarden.supervisor.journal.moving import move as make_move
from treewarden.supervisor.ops.event_text import moved_text
from treewarden.supervisor.ops.wording import clean

from .commanding import user
from .exits import ExitCode
from .looking_on import looking_on
from .stdout import Stdout
from .terminated import heeding_sigterm

__all__ = ["move"]


@heeding_sigterm()
def move(arguments: Namespace) -> int:
    """Move what is stored at one path, and below it, to another one, in a file on which no tree runs."""
    out = Stdout.here()
    with looking_on(arguments, lambda: f"{arguments.file}: what is stored at {arguments.old}"):
        moved = make_move(
            File(arguments.file), arguments.old, arguments.new, by=user(), at=time.time(), dry_run=arguments.dry_run
        )
    if arguments.json:
        counts = {name: value for name, value in asdict(moved).items() if name != "path"}
        out.json({"file": arguments.file, "dry_run": arguments.dry_run, **counts})
    elif arguments.dry_run:
        out.lines([clean(f"{arguments.file}: {moved.old} would be {moved.new} from then on: {moved_text(moved)}")])
    else:
        text = f"{arguments.file}: {moved.old} is {moved.new} from now on: {moved_text(moved)}"
        out.lines([out.paint(clean(text), "good")])
    return ExitCode.ORDERLY
