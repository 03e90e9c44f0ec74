"""What an endpoint's checks have found, read from the journal of a live tree or of a dead one.

python examples/watchdog/history.py watchdog.db endpoints/users-1
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from treewarden.agents.core.path import Path
from treewarden.agents.errors import TreewardenError
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.port import START
from treewarden.supervisor.journal.reading import JournalFile

__all__ = ["Check", "last_checks", "line", "main"]


@frozen
class Check:
    """One recorded check."""

    path: Path
    facts: Mapping[str, Any]
    """The fields of `watchdog.Checked`."""


def checks(file: JournalFile, path: Path) -> Iterator[Check]:
    """The checks of the endpoint at `path`, oldest first."""
    after = START
    while records := file.records(after, path=path, kinds={Recorded.__name__}):
        for record in records:
            if isinstance(record.event, Recorded) and record.event.kind.endswith(":Checked"):
                yield Check(record.event.path, record.event.facts)
        after = records[-1].seq


def last_checks(file: JournalFile, path: str, count: int) -> list[Check]:
    """The last `count` checks of an endpoint, oldest first. Raises `LookupError` naming those that there are."""
    found = list(deque(checks(file, Path.parse(path)), maxlen=count))
    if not found:
        known = [state.path for state in file.states() if state.kind.endswith(":History")]
        near = [each for each in known if each.startswith(path)] or known
        there = f"there is {', '.join(near)}" if near else "and of no other"
        raise LookupError(f"{file.file} holds no checks of {path}: {there}")
    return found


def line(check: Check) -> str:
    """A check in one line: when, what, how fast, and what was wrong."""
    facts = check.facts
    status = facts.get("status") or "-"
    mark = f"  [{facts['trouble']}]" if facts.get("trouble") else ""
    when = datetime.fromtimestamp(facts["at"]).strftime("%F %T.%f")[:-3]
    return f"{when}  {facts['kind']:12} {status!s:>3}  {facts['latency'] * 1000:8.1f} ms  {facts.get('text', '')}{mark}"


def counted(file: JournalFile, path: str) -> str:
    """The counters of the endpoint, as last committed."""
    (body,) = [json.loads(state.body) for state in file.states() if state.path == path]
    trouble = body["standing"]["trouble"]
    since = datetime.fromtimestamp(body["since"]).strftime("%F %T")
    limited = f", {body['limited']} times asked to slow down" if body["limited"] else ""
    return f"{path}: {trouble or 'well'} since {since}; {body['checks']} checks, {body['failures']} failed{limited}"


def main() -> int:
    parser = argparse.ArgumentParser(description="What an endpoint's checks have found.")
    parser.add_argument("file", metavar="FILE.db")
    parser.add_argument("path", metavar="PATH", help="of the endpoint, as endpoints/users-1")
    parser.add_argument("--last", type=int, default=20, metavar="N", help="how many checks (20)")
    parser.add_argument("--json", action="store_true", help="print JSON Lines")
    options = parser.parse_args()
    try:
        with JournalFile.open(options.file) as file:
            found = last_checks(file, options.path, options.last)
            total = counted(file, options.path)
    except (TreewardenError, ValueError, LookupError) as error:
        print(f"history: {error}", file=sys.stderr)
        return 2
    for check in found:
        print(json.dumps({"path": check.path, **check.facts}) if options.json else line(check))
    if not options.json:
        print(total)
    return 0


if __name__ == "__main__":
    sys.exit(main())
