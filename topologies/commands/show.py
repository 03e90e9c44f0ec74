"""`treewarden journal show`: a journal's events as lines."""

from __future__ import annotations

import signal
import time
from argparse import Namespace
from collections.abc import Collection, Sequence
from typing import Final

import trio

from treewarden.agents.core.exit import alone
from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.journal.port import START, Record, Seq
from treewarden.supervisor.journal.reading import JournalFile, wait_for_records
from treewarden.supervisor.ops.event_text import event_style, event_text, path_of
from treewarden.supervisor.ops.jsonlines import event_line
from treewarden.supervisor.ops.wording import clip, local

from .excerpt import cut
from .exits import ExitCode
from .files import alone_in, batches, first_since, pruned_line, unknown_slot, within
from .stdout import Stdout

__all__ = ["show"]

_LONG: Final = 4_000
"""Characters of a line that are printed."""


def show(arguments: Namespace) -> int:
    """Print events; with `--follow` also those to come, until Ctrl-C. Reads only.

    Raises `ConfigurationError` for a path that the journal does not know; one may still come to what is followed.
    """
    out = Stdout.here()
    with JournalFile.open(arguments.file) as file:
        if arguments.path is not None and not arguments.follow:
            known = {ROOT, *file.paths()}
            if not any(path.is_within(arguments.path) for path in known):
                raise unknown_slot(arguments.file, arguments.path, known)
        try:
            begin = _begin(file, arguments)
            if begin == START and arguments.last is None and not arguments.json:
                out.lines(pruned_line(file))
            told = _print(file, begin, arguments, out)
            if arguments.follow:
                trio.run(_follow, file, told, arguments, out)
        except KeyboardInterrupt:
            if not arguments.follow:  # of which it is the usual end
                raise
    return ExitCode.ORDERLY


def _begin(file: JournalFile, arguments: Namespace) -> Seq:
    """After which event to begin to read."""
    begin = START if arguments.since is None else first_since(file, time.time() - arguments.since)
    if arguments.last is not None and arguments.path is None and arguments.kind is None:
        begin = max(begin, file.head.seq - arguments.last)
    return begin


def _print(file: JournalFile, begin: Seq, arguments: Namespace, out: Stdout) -> Seq:
    """Print what is there; returns the last event that was looked at."""
    head = max(file.head.seq, begin)
    if arguments.last is None:
        for records in batches(file, begin, arguments.kind, arguments.path):
            head = max(head, records[-1].seq)
            _put(records, arguments, out)
    else:
        of = arguments.path
        path = None if of is None else alone_in(file, of)
        last = file.records(begin, arguments.last, path=path, kinds=arguments.kind, within=of, newest=True)
        _put(last, arguments, out)
        head = max([head, *(record.seq for record in last[-1:])])
    return head


async def _follow(file: JournalFile, told: Seq, arguments: Namespace, out: Stdout) -> None:
    """Print what comes until a signal ends it; as a task, so that no signal can fall between two calls and be lost."""
    try:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as heard:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_print_new, file, told, arguments, out)
                async for _ in heard:
                    nursery.cancel_scope.cancel()
                    break
    except BaseExceptionGroup as group:
        raise alone(group) from None


async def _print_new(file: JournalFile, told: Seq, arguments: Namespace, out: Stdout) -> None:
    while True:
        records = await wait_for_records(file, told)
        told = records[-1].seq
        _put(_chosen(records, arguments.path, arguments.kind), arguments, out)


def _chosen(records: Sequence[Record], path: Path | None, kinds: Collection[str] | None) -> Sequence[Record]:
    found = within(records, path)
    return found if kinds is None else [record for record in found if type(record.event).__name__ in kinds]


def _put(records: Collection[Record], arguments: Namespace, out: Stdout) -> None:
    if not records:
        return
    if arguments.json:
        out.write("".join(map(event_line, records)))
    else:
        out.lines([_line(record, out) for record in records])


def _line(record: Record, out: Stdout) -> str:
    event = record.event
    kind = type(event).__name__
    line = f"{record.seq:>7}  {local(record.at)}  {kind:<17}  {path_of(event):<16}  {event_text(event)}".rstrip()
    if len(line) > _LONG:
        line = f"{cut(line, _LONG)}; --json prints everything"
    return out.paint(clip(line, out.width), event_style(event))
