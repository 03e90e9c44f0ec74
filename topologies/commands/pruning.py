"""`treewarden journal prune`: give up old events, so that the rest is proven as before."""

from __future__ import annotations

import time
from argparse import Namespace
from functools import partial
from typing import Any

import trio
from attrs import evolve

from treewarden.agents.errors import ConfigurationError, JournalDamaged
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.retention import EventRetention
from treewarden.supervisor.journal.port import Journal, Seq
from treewarden.supervisor.journal.sending import Outcome
from treewarden.supervisor.ops.wording import clean
from treewarden.supervisor.pruning import CutPlan, Pruning

from .asking import done_by_owner
from .commanding import user
from .exits import ExitCode
from .stdout import Stdout
from .verify import Checked, check

__all__ = ["prune"]

_DAY = 86400.0


def prune(arguments: Namespace) -> int:
    """Check the events, and give up the old ones: of a file at rest, or through the tree that runs on it.

    Raises `ConfigurationError` without a word on what stays, and `JournalDamaged` where a check finds anything: what is
    wrong is not to be deleted with the rest.
    """
    out = Stdout.here()
    within = None if arguments.keep_days is None else arguments.keep_days * _DAY
    if arguments.keep_events is None and within is None:
        raise ConfigurationError("say what stays: --keep-events N, --keep-days D, or both (what either keeps stays)")
    retention = EventRetention(last=arguments.keep_events, within=within, past_checkpoints=arguments.past_checkpoints)
    checked = check(arguments)
    if checked.faults:
        raise JournalDamaged(
            f"{arguments.file}: {checked.faults[0]}; nothing was pruned. `treewarden journal verify` says everything"
        )
    at_rest = partial(_prune, retention=retention, dry=arguments.dry_run, checked=checked)
    fields: dict[str, Any] = {
        "last": retention.last,
        "within": retention.within,
        "past_checkpoints": retention.past_checkpoints,
        "dry_run": arguments.dry_run,
    }
    found = trio.run(done_by_owner, arguments.file, at_rest, "prune", arguments.within, fields)
    text = found.text if isinstance(found, Outcome) else str(found)
    if arguments.json:
        plan = {} if isinstance(found, Outcome) else {"after": found.after, "through": found.through}
        out.json({"file": arguments.file, "text": text, "by_the_tree": isinstance(found, Outcome), **plan})
    else:
        out.lines([out.paint(clean(f"{arguments.file}: {text}"), "good")])
    return ExitCode.ORDERLY


async def _prune(journal: Journal, *, retention: EventRetention, dry: bool, checked: Checked) -> CutPlan:
    anchors = checked.kept.anchors
    covered: Seq | None = max((anchor.head.seq for anchor in anchors), default=0) if checked.asked else None
    pruning = Pruning(journal, LoopClock(time.time), checked.sign, lambda: covered)
    if dry:
        return evolve(await pruning.plan(retention), dry=True)
    return await pruning.prune(retention, user())
