"""`treewarden checkpoint`: the states that a journal keeps, of a live process or a dead one."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from treewarden.agents.core.path import Path
from treewarden.agents.errors import CheckpointRefused
from treewarden.supervisor.core.checkpoint import Checkpoint, Search
from treewarden.supervisor.core.diff import ABSENT, Change
from treewarden.supervisor.journal.comparing import compare, data_of
from treewarden.supervisor.journal.port import StateRow
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.wording import clean, clip, columns, local, plural

from .commanding import command, is_decimal
from .excerpt import ALL, brief, excerpt, is_brief
from .exits import ExitCode
from .files import refuse_unknown
from .stdout import Stdout

__all__ = ["checkpoint"]

_CURRENT: Final = "current"
_LONG: Final = 20_000
"""Characters of a state of which no more than an excerpt is printed, unless all of it is asked for."""
_CHANGES: Final = 100
"""Differences that are printed, unless all of them are asked for."""


def checkpoint(arguments: Namespace) -> int:
    """Do the deed that the command line names. All but `keep`, which asks a running tree for it, read only."""
    if arguments.deed == "keep":
        return command(arguments)
    out = Stdout.here()
    with JournalFile.open(arguments.file) as journal:
        _DEEDS[arguments.deed](journal, arguments, out)
    return ExitCode.ORDERLY


def _list(journal: JournalFile, arguments: Namespace, out: Stdout) -> None:
    found = journal.checkpoints(arguments.path, arguments.last)
    _tell(journal, found, f"no state of {arguments.path} is kept", arguments, out)


def _search(journal: JournalFile, arguments: Namespace, out: Stdout) -> None:
    since = None if arguments.since is None else time.time() - arguments.since
    search = Search(name=arguments.name, text=arguments.text, tags=tuple(arguments.tag), since=since)
    found = journal.checkpoints(arguments.path, arguments.last, search)
    _tell(journal, found, "no checkpoint fits that", arguments, out)


def _show(journal: JournalFile, arguments: Namespace, out: Stdout) -> None:
    about, state = _state(journal, arguments.path, arguments.checkpoint)
    data = data_of(state)
    if arguments.json:
        found = {"path": state.path} if about is None else _object(about)
        out.json(
            {
                "file": arguments.file,
                **found,
                "kind": state.kind,
                "version": state.version,
                "settled": state.settled,
                "state": data,
            }
        )
        return
    lines = [out.paint(clean(f"{state.path}: {_title(about)}"), "strong")]
    if about is not None and about.description:
        lines.append(clean(f"  {about.description}"))
    lines.append(clean(f"  {state.kind} version {state.version}, after {plural(state.settled, 'settle')}"))
    whole = arguments.all or len(state.body) <= _LONG
    lines += [clip(f"  {clean(line)}", out.width) for line in (_pretty(data) if whole else excerpt(data))]
    if not whole:
        lines.append(f"this is an excerpt of {len(state.body)} B; {ALL}")
    out.lines(lines)


def _diff(journal: JournalFile, arguments: Namespace, out: Stdout) -> None:
    _, before = _state(journal, arguments.path, arguments.before)
    _, after = _state(journal, arguments.path, arguments.after)
    changes = compare(before, after)
    if arguments.json:
        out.json({"file": arguments.file, "path": arguments.path, "changes": [_change(change) for change in changes]})
        return
    shown = changes if arguments.all else changes[:_CHANGES]
    short = _short if arguments.all else brief
    lines = [out.paint(clip(clean(text), out.width), style) for change in shown for text, style in _told(change, short)]
    if len(shown) < len(changes):
        lines.append(f"and {len(changes) - len(shown)} more differences; {ALL}")
    elif short is brief and not all(is_brief(value) for change in shown for _, value, _ in _sides(change)):
        lines.append(f"these are excerpts; {ALL}")
    out.lines(lines or ["they are the same"])


def _state(journal: JournalFile, path: Path, which: str) -> tuple[Checkpoint | None, StateRow]:
    """The state that is meant. Raises `CheckpointRefused`."""
    if which == _CURRENT:
        state = journal.state(path)
        if state is None:
            raise CheckpointRefused(f"{path}: the journal holds no state of it", path=path)
        return None, state
    kept = journal.checkpoint(int(which)) if is_decimal(which) else None
    if kept is None or kept.about.path != path:
        named = journal.checkpoints(path, 1, Search(name=which)) if which else ()
        kept = journal.checkpoint(named[0].number) if named else None
    if kept is None or kept.about.path != path:
        listing = f"treewarden checkpoint list {journal.file} {path}"
        raise CheckpointRefused(f"{path}: there is no checkpoint {which!r}; see {listing}", path=path)
    return kept.about, kept.state


def _tell(journal: JournalFile, found: Sequence[Checkpoint], none: str, arguments: Namespace, out: Stdout) -> None:
    if not found:
        refuse_unknown(journal, arguments.file, arguments.path)
    if arguments.json:
        out.json({"file": arguments.file, "checkpoints": [_object(each) for each in found]})
        return
    rows = [
        (
            str(each.number),
            str(each.path),
            local(each.at),
            f"event {each.seq}",
            f"{each.settled} settled",
            f"{each.size} B",
            _label(each),
        )
        for each in found
    ]
    out.lines([clip(clean(line), out.width) for line in columns(rows)] if rows else [none])


def _label(about: Checkpoint) -> str:
    tags = f"[{', '.join(about.tags)}]" if about.tags else ""
    return "  ".join(filter(None, (about.name, tags, about.description)))


def _title(about: Checkpoint | None) -> str:
    if about is None:
        return "the current state"
    name = f" ({about.name})" if about.name else ""
    return f"checkpoint {about.number}{name}, kept {local(about.at)}, of event {about.seq}"


def _object(about: Checkpoint) -> dict[str, Any]:
    return {
        "checkpoint": about.number,
        "path": about.path,
        "name": about.name,
        "description": about.description,
        "tags": about.tags,
        "at": about.at,
        "seq": about.seq,
        "settled": about.settled,
        "kind": about.kind,
        "version": about.version,
        "size": about.size,
        "pinned": about.pinned,
    }


def _change(change: Change) -> dict[str, Any]:
    sides = {"before": change.before, "after": change.after}
    return {"at": change.at, **{side: value for side, value in sides.items() if value is not ABSENT}}


def _told(change: Change, short: Callable[[Any], str]) -> list[tuple[str, str]]:
    at = change.at or "/"
    return [(f"{sign} {at}  {short(value)}", style) for sign, value, style in _sides(change)]


def _sides(change: Change) -> list[tuple[str, Any, str]]:
    sides = (("-", change.before, "bad"), ("+", change.after, "good"))
    return [side for side in sides if side[1] is not ABSENT]


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pretty(data: Any) -> list[str]:
    return json.dumps(data, ensure_ascii=False, indent=2).splitlines()


_DEEDS: Final[Mapping[str, Callable[[JournalFile, Namespace, Stdout], None]]] = {
    "list": _list,
    "search": _search,
    "show": _show,
    "diff": _diff,
}
