"""The kernel benchmark: treewarden with everything on, the same by hand, and the best peers, side by side in one run.

    make bench                                  the table; ARGS="--quick" in a few minutes
    make bench ARGS="--skip million"            all but the row that takes minutes
    make bench ARGS="--only ask-one --repeat 9 --json ask.json"
    make bench ARGS="--profile ask-one"         where the time goes
    make bench-peers                            install the peers, once

The exit code is 0; with --check it is 1 if a bar is missed. How it is measured: docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import trio
from attrs import asdict, frozen
from harness import Contender, Measured, Series, afresh, in_process, take_turns
from hot_path import profiled
from ours import everything_on
from peers import PeerCase, run_peer, version_of
from plot import as_svg
from report import BY_HAND, OURS, Line, as_json, as_text, verdict
from rows import PEERS, ROWS, Row, row_named
from speaking import take_any_terminal
from work import Tally

import treewarden.agents
from treewarden.topologies import open_tree, tree

__all__ = ["main", "measure", "parsed"]

PLOT: Final = Path(__file__).parent.parent / "build" / "bench" / "kernel.svg"


@frozen
class Plan:
    """How thorough a run is."""

    quick: bool
    repeats: int
    peers: Mapping[str, str]
    """Those that are installed, with their versions."""
    with_peers: bool = True


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line as values. Ends with 2 and a sentence for one that cannot work."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/kernel.py", description="How fast the kernel is, beside handwritten trio and other libraries."
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, rough numbers")
    parser.add_argument("--only", action="append", metavar="NAME", help="this row only; may be given again")
    parser.add_argument("--skip", action="append", metavar="NAME", default=[], help="not this row; may be given again")
    parser.add_argument("--repeat", type=int, metavar="N", help="runs of each contender (5, with --quick 3)")
    parser.add_argument("--no-peers", action="store_true", help="leave other libraries out")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every run as JSON")
    parser.add_argument("--plot", metavar="FILE", type=Path, default=PLOT, help="where the SVG goes (%(default)s)")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a bar is missed")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--profile", metavar="NAME", help="profile treewarden's side of this row and end")
    parser.add_argument("--one", nargs=3, metavar=("NAME", "SIDE", "SIZE"), help=argparse.SUPPRESS)
    found = parser.parse_args(arguments)
    if found.repeat is not None and found.repeat < 1:
        parser.error(f"--repeat is {found.repeat}; give 1 or more")
    try:
        for name in [*(found.only or ()), *found.skip, *filter(None, [found.profile])]:
            row_named(name)
    except LookupError as error:
        parser.error(str(error))
    return found


# -- measuring


def measure(row: Row, plan: Plan, progress: Progress) -> Line:
    """One row: every contender in turn."""
    size = row.sizes.quick if plan.quick else row.sizes.full
    contenders = [Contender(OURS, partial(sample, row, OURS, size))]
    if row.handwritten is not None:
        contenders.append(Contender(BY_HAND, partial(sample, row, BY_HAND, size)))
    cases = row.peers if plan.with_peers else ()
    contenders += [_peer(case, plan) for case in cases if case.peer.name in plan.peers]
    absent = tuple(f"{case.peer.name} ({case.peer.install})" for case in cases if case.peer.name not in plan.peers)
    repeats = min(plan.repeats, row.repeats or plan.repeats)
    _warm_up(row)
    ours, *others = take_turns(row.unit, contenders, repeats, partial(progress.say, row.name))
    handwritten: Series | None = others.pop(0) if row.handwritten is not None else None
    return Line(row, ours, handwritten, tuple(others), absent)


def sample(row: Row, side: str, size: int) -> Measured:
    """One run of one side, here or in a new process."""
    case = row.ours if side == OURS else row.handwritten
    assert case is not None
    if row.fresh:
        return afresh([__file__, "--one", row.name, side, str(size)])
    return in_process(case, size)


def _peer(case: PeerCase, plan: Plan) -> Contender:
    return Contender(case.peer.name, partial(run_peer, case, case.quick if plan.quick else case.full), by_wall=True)


def _warm_up(row: Row) -> None:
    """Import what the first run would import, and fill the interpreter's caches."""
    if not row.fresh:
        for case in filter(None, (row.ours, row.handwritten)):
            in_process(case, row.sizes.tiny)


class Progress:
    """One line on a terminal that is written over; nothing where standard error is none."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._seen: list[str] = []
        self._live = sys.stderr.isatty()

    def say(self, row: str, what: str) -> None:
        if row not in self._seen:
            self._seen.append(row)
        if self._live:
            print(f"\r\033[K{len(self._seen)}/{self._rows} {row}: {what}", end="", file=sys.stderr, flush=True)

    def over(self) -> None:
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


# -- what was measured


def about(plan: Plan) -> dict[str, str]:
    """Where and on what the numbers were made."""
    found = {
        "treewarden": f"{metadata.version('treewarden')}{_commit()}, volatile agents, everything on",
        "threads of an open tree": ", ".join(trio.run(_threads)) or "none (no watchdog thread in this build)",
        "python": f"{platform.python_implementation()} {platform.python_version()}, trio {metadata.version('trio')}",
        "runs": f"{plan.repeats} of each{', short (few agents flatter spawn and idle)' if plan.quick else ''}",
    }
    if plan.with_peers:
        names = (f"{peer.name} {plan.peers.get(peer.name, f'not installed: {peer.install}')}" for peer in PEERS)
        found["peers"] = ", ".join(names)
    return found


def _commit() -> str:
    """The commit that the imported package was checked out from, if git tells."""
    folder = Path(treewarden.agents.__path__[0]).resolve().parent
    try:
        ended = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty=+changes", "--abbrev=8"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except OSError:
        return ""
    return f" at {ended.stdout.strip()}" if ended.returncode == 0 else ""


async def _threads() -> list[str]:
    """The names of the threads that a tree brings along."""
    before = set(threading.enumerate())
    async with open_tree(tree(everything_on("one", Tally()))):
        return [thread.name for thread in threading.enumerate() if thread not in before]


def main(arguments: Sequence[str]) -> int:
    """Run what the command line says; returns the exit code."""
    options = parsed(arguments)
    if options.one:
        name, side, size = options.one
        row = row_named(name)
        case = row.ours if side == OURS else row.handwritten
        assert case is not None
        print(json.dumps(asdict(in_process(case, int(size)))))
        return 0
    if options.list:
        print("\n".join(f"{row.name:<14} {row.title}" for row in ROWS))
        return 0
    if options.profile:
        row = row_named(options.profile)
        print(profiled(row.ours, row.sizes.quick))
        return 0
    rows = [row_named(name) for name in options.only] if options.only else list(ROWS)
    rows = [row for row in rows if row.name not in options.skip]
    versions = {} if options.no_peers else {peer.name: version_of(peer) for peer in PEERS}
    plan = Plan(
        quick=options.quick,
        repeats=options.repeat or (3 if options.quick else 5),
        peers={name: version for name, version in versions.items() if version is not None},
        with_peers=not options.no_peers,
    )
    progress = Progress(len(rows))
    try:
        lines = [measure(row, plan, progress) for row in rows]
    finally:
        progress.over()
    _write(lines, about(plan), options)
    missed = [line for line in lines if verdict(line) not in ("PASS", "SMALL" if plan.quick else "PASS")]
    return 1 if options.check and missed else 0


def _write(lines: Sequence[Line], facts: Mapping[str, Any], options: argparse.Namespace) -> None:
    print(as_text(lines, facts))
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    options.plot.write_text(as_svg(lines, f"The kernel against its bars ({facts['python']})"), "utf-8")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(as_json(lines, facts), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    take_any_terminal()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
