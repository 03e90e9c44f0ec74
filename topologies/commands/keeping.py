"""`treewarden journal fork`, `blobs` and `compact`: a second journal, and room on the disk."""

from __future__ import annotations

import secrets
from argparse import Namespace
from pathlib import Path as File

import trio
from attrs import asdict

from treewarden.agents.errors import JournalError
from treewarden.supervisor.journal.forking import PARTIAL
from treewarden.supervisor.journal.forking import fork as make_fork
from treewarden.supervisor.journal.port import Survey
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.wording import clean, plural

from .asking import done_by_owner
from .exits import ExitCode
from .looking_on import looking_on, megabytes
from .stdout import Stdout
from .terminated import heeding_sigterm

__all__ = ["blobs", "compact", "fork"]


@heeding_sigterm()
def fork(arguments: Namespace) -> int:
    """Make a journal that shares its past with another one."""
    out = Stdout.here()
    target = File(arguments.new)

    def how_far() -> str:
        return f"{target}: {megabytes(f'{target}{PARTIAL}')} of a file of {megabytes(arguments.file)}"

    with looking_on(arguments, how_far):
        made = make_fork(File(arguments.file), target, at=arguments.at, new_tree=lambda: secrets.token_hex(4))
    if arguments.json:
        out.json({**asdict(made), "file": str(made.file)})
        return ExitCode.ORDERLY
    inexact = [each for each in made.states if not each.exact]
    lines = [out.paint(clean(f"{target} is a fork of {arguments.file} at event {made.seq}"), "good")]
    lines.append(f"  {plural(len(made.states), 'state')}, {plural(made.messages, 'message')} waiting")
    lines += [clean(f"  {each.path} has its state of event {each.seq}, the newest that was kept") for each in inexact]
    if made.left:
        lines.append(f"  {plural(made.left, 'message')} that wait now were left behind")
    out.lines(lines)
    return ExitCode.ORDERLY


def blobs(arguments: Namespace) -> int:
    """Count large values; with `gc` delete those that nobody holds."""
    out = Stdout.here()
    found = _survey(arguments)
    if arguments.gc is None and arguments.dry_run:
        raise JournalError("--dry-run says what gc would delete: write blobs FILE.db gc --dry-run")
    swept = arguments.gc is not None and not arguments.dry_run
    if swept:
        trio.run(_compacted, arguments)
    left = _survey(arguments) if swept else found
    if arguments.json:
        out.json({"file": arguments.file, **asdict(left), "deleted": found.count - left.count})
        return ExitCode.ORDERLY
    lines = [f"{plural(left.count, 'large value')}, {left.size} B of JSON"]
    if swept:
        lines.append(f"  {found.count - left.count} that nobody held were deleted")
    else:
        lines.append(f"  {left.unused} of them, {left.unused_size} B, nobody holds any more")
    out.lines(lines)
    return ExitCode.ORDERLY


def compact(arguments: Namespace) -> int:
    """Give up what nobody holds, and give room back to the disk."""
    out = Stdout.here()
    with JournalFile.open(arguments.file):
        before = File(arguments.file).stat().st_size
    with looking_on(
        arguments, lambda: f"{arguments.file}: {megabytes(arguments.file)}, before {before // 1_000_000:,} MB"
    ):
        trio.run(_compacted, arguments)
    after = File(arguments.file).stat().st_size
    if arguments.json:
        out.json({"file": arguments.file, "before": before, "after": after})
    else:
        out.lines([clean(f"{arguments.file}: {before} B before, {after} B now")])
    return ExitCode.ORDERLY


def _survey(arguments: Namespace) -> Survey:
    with (
        JournalFile.open(arguments.file) as journal,
        looking_on(arguments, lambda: f"{arguments.file}: who holds its large values", journal.interrupt),
    ):
        return journal.blobs()


async def _compacted(arguments: Namespace) -> None:
    await done_by_owner(arguments.file, lambda journal: journal.compact(), "compact", arguments.within, {})
