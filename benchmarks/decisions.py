"""How fast treewarden decides, from one decision to thousands of crashes that end on disk: make bench-decisions

    make bench-decisions ARGS="--quick"                     rough numbers
    make bench-decisions ARGS="--only crash-disk --repeat 9 --json found.json"
    make bench-decisions ARGS="--profile crash-memory"      where the time goes

The exit code is 0; with --check it is 1 if a bar is missed. How it is measured: docs/performance-decisions.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import decided
from harness import Contender, Unit, in_process, take_turns
from hot_path import profiled
from plot import as_svg
from report import OURS, Line, as_json, human, verdict
from rows import Row, Sizes
from speaking import take_any_terminal

__all__ = ["as_table", "main", "rows"]

OUT: Final = Path(__file__).parent.parent / "build" / "bench"
_DURABLE: Final = frozenset({"signal-disk", "crash-disk"})
"""Rows whose number is that of the slower clock: these also wait for a disk."""


def rows(folder: Path) -> tuple[Row, ...]:
    """The rows, whose files go into `folder`."""
    return (
        Row(
            name="ladder",
            title="p99 of a decision of ladder(), with all that is journaled of it",
            unit=Unit.MILLISECONDS,
            bar=1.0,
            sizes=Sizes(8, 2, 1),
            ours=partial(decided.latency, "ladder"),
        ),
        Row(
            name="belief",
            title="p99 of a decision of belief(), with all that is journaled of it",
            unit=Unit.MILLISECONDS,
            bar=1.0,
            sizes=Sizes(8, 2, 1),
            ours=partial(decided.latency, "belief"),
        ),
        Row(
            name="signal-disk",
            title="signals decided and durable, 100 agents",
            unit=Unit.PER_SECOND,
            bar=4_000,
            sizes=Sizes(6_000, 3_000, 150),
            ours=partial(decided.signal_durable, folder),
        ),
        Row(
            name="crash-disk",
            title="crashes decided by ladder(), executed and durable",
            unit=Unit.PER_SECOND,
            bar=2_000,
            sizes=Sizes(1_500, 500, 20),
            ours=partial(decided.crash_durable, folder),
        ),
        Row(
            name="crash-memory",
            title="crashes decided by ladder() and executed, in memory",
            unit=Unit.PER_SECOND,
            bar=15_000,
            sizes=Sizes(1_500, 1_000, 20),
            ours=decided.crash_in_memory,
        ),
        Row(
            name="fold",
            title="signals that need no action, in memory, through a whole tree",
            unit=Unit.PER_SECOND,
            bar=40_000,
            sizes=Sizes(3_000, 3_000, 150),
            ours=decided.fold_in_tree,
        ),
        Row(
            name="fold-alone",
            title="the same through the pure functions alone, up to the context",
            unit=Unit.PER_SECOND,
            bar=40_000,
            sizes=Sizes(30_000, 5_000, 150),
            ours=decided.fold_alone,
        ),
    )


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line as values. Ends with 2 and a sentence for one that cannot work."""
    parser = argparse.ArgumentParser(prog="benchmarks/decisions.py", description="How fast treewarden decides.")
    names = [row.name for row in rows(OUT)]
    parser.add_argument("--quick", action="store_true", help="shorter runs, rough numbers")
    parser.add_argument("--only", action="append", metavar="NAME", choices=names, help="this row only; again for more")
    parser.add_argument("--repeat", type=int, metavar="N", help="runs of each row (5, with --quick 1)")
    parser.add_argument("--folder", metavar="DIR", type=Path, default=OUT, help="on the disk in question (%(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every run as JSON")
    parser.add_argument("--plot", metavar="FILE", type=Path, default=OUT / "decisions.svg", help="where the SVG goes")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a bar is missed")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--profile", metavar="NAME", choices=names, help="profile this row and end")
    found = parser.parse_args(arguments)
    if found.repeat is not None and found.repeat < 1:
        parser.error(f"--repeat is {found.repeat}; give 1 or more")
    return found


def measure(row: Row, quick: bool, repeats: int, say: Callable[[str], None]) -> Line:
    """One row, after a small run that imports what the first one would import."""
    size = row.sizes.quick if quick else row.sizes.full
    first, ours = (Contender(OURS, partial(in_process, row.ours, each)) for each in (row.sizes.tiny, size))
    take_turns(row.unit, [first], 1, lambda _: None)
    (series,) = take_turns(row.unit, [ours], repeats, lambda turn: say(f"{row.name} {turn}"))
    return Line(row, series)


def as_table(lines: Sequence[Line]) -> str:
    """Medians, spreads, and what either clock alone would say."""
    text = [f"{'row':<13} {'bar':>9} {'found':>9} {'spread':>17} {'by CPU':>9} {'by wall':>9} {'others':>7}"]
    for line in lines:
        row, ours = line.row, line.ours
        sign = "≥" if row.unit.more_is_better else "≤"
        cells = f"{row.name:<13} {sign + ' ' + human(row.bar, row.unit):>9}"
        if ours.runs:
            low, high = (human(value, row.unit) for value in ours.spread)
            clocks = ("", "")
            if row.unit.more_is_better:
                cpu = statistics.median([run.count / run.cpu for run in ours.runs])
                wall = statistics.median([run.count / run.wall for run in ours.runs])
                clocks = (human(cpu, row.unit), human(wall, row.unit))
            others = f"{statistics.median(ours.others):.1f}" if ours.others else ""
            cells += f" {human(ours.median, row.unit):>9} {low + ' - ' + high:>17}"
            cells += f" {clocks[0]:>9} {clocks[1]:>9} {others:>7}"
        else:
            cells += f" {'no number':>9}"
        text.append(f"{cells}  {verdict(line)}")
    text.append("")
    for line in lines:
        said = [line.row.title, *filter(None, [line.ours.note, line.ours.error])]
        said += ["the slower clock counts"] if line.row.name in _DURABLE else ["CPU time counts"]
        text.append(f"{line.row.name:<13} {'; '.join(said)}")
    text.append("others: cores that other processes used meanwhile")
    return "\n".join(text)


def main(arguments: Sequence[str]) -> int:
    """Run what the command line says; returns the exit code."""
    options = parsed(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    every = rows(options.folder)
    if options.list:
        print("\n".join(f"{row.name:<13} {row.title}" for row in every))
        return 0
    if options.profile:
        (row,) = [row for row in every if row.name == options.profile]
        print(profiled(row.ours, row.sizes.quick))
        return 0
    chosen = [row for row in every if not options.only or row.name in options.only]
    repeats = options.repeat or (1 if options.quick else 5)
    live = sys.stderr.isatty()
    say = partial(print, "\r\033[K", sep="", end="", file=sys.stderr, flush=True)
    lines = [measure(row, options.quick, repeats, say if live else lambda _: None) for row in chosen]
    if live:
        say("")
    facts = {"python": platform.python_version(), "machine": platform.machine(), "repeats": repeats}
    print(as_table(lines))
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    options.plot.write_text(as_svg(lines, "Decisions against their bars"), "utf-8")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(as_json(lines, facts), indent=1) + "\n", "utf-8")
    return 1 if options.check and any(verdict(line) != "PASS" for line in lines) else 0


if __name__ == "__main__":
    take_any_terminal()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
