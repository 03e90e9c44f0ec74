"""What the journal costs, beside the plain SQLite commits of the same minute: make bench-journal

    make bench-journal ARGS="--quick"                   rough numbers in half a minute
    make bench-journal ARGS="--only asks-100 --repeat 5 --json found.json"

Rates are ratios to the floor F, the one-row commits per second of plain sqlite3 (write-ahead log, synchronous=EXTRA),
measured before and after each run on the same disk. The exit code is 0; with --check it is 1 if a bar is missed. How it
is measured: docs/performance-journal.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import asdict, define, evolve, field, frozen
from durable import (
    ask_alone,
    ask_at_a_rate,
    ask_many,
    bytes_each,
    chain,
    floor,
    tell_many,
    verify,
)
from figures import Figures
from journal_report import Bar, Found, as_svg, as_text, verdict
from machine import busy_seconds, on_one_processor
from plain import plain_at_a_rate
from speaking import take_any_terminal

__all__ = ["ROWS", "Row", "main"]

HERE: Final = Path(__file__).parent
OUT: Final = HERE.parent / "build" / "bench"
MOST: Final = 10_000.0
"""The floor with which is computed where a disk shows more: it does not really sync then."""


@define
class Bench:
    """Where it runs, and how long."""

    folder: Path
    quick: bool
    files: int = 0
    floors: list[float] = field(factory=list[float])

    def file(self) -> Path:
        """A file that does not exist yet."""
        self.files += 1
        return self.folder / f"{self.files}.db"

    def floor(self) -> float:
        found = floor(self.file(), 0.3 if self.quick else 1.0)
        self.floors.append(found)
        return min(found, MOST)


Measure = Callable[[Bench, int, float], Figures]


@frozen
class Row:
    name: str
    title: str
    measure: Measure
    size: int
    bar: Bar
    quick: int = 0


def _run(case: Callable[[Path, int], Awaitable[Figures]]) -> Measure:
    return lambda bench, size, _floor: trio.run(case, bench.file(), size)


def _at_a_rate(agents: int, share: float) -> Measure:
    def case(bench: Bench, size: int, floor: float) -> Figures:
        found = trio.run(ask_at_a_rate(agents, share), bench.file(), size, floor)
        return evolve(found, plain=trio.run(plain_at_a_rate, bench.file(), agents, share * floor, size))

    return case


def _start(bench: Bench, size: int, _floor: float) -> Figures:
    """From the first line of a script to its first settle, with `size` settled messages behind: the fastest of five.

    Modules are compiled when it runs for the first time, as an installation compiles them.
    """
    begin = [sys.executable, str(HERE / "journal_start.py"), str(bench.file())]
    took: list[float] = []
    for count in (size, 1, 1, 1, 1, 1):
        ended = subprocess.run([*begin, str(count)], capture_output=True, text=True, check=True, env=_compiled())
        took.append(float(ended.stdout))
    return Figures(min(took[1:]))


def _refused(bench: Bench, size: int, _floor: float) -> Figures:
    """From the call that opens a journal to the refusal, while another process owns it that has settled `size` messages
    and lives: the median of five processes.
    """
    file = str(bench.file())
    own = [sys.executable, str(HERE / "journal_start.py"), file, str(size), "hold"]
    ask = [sys.executable, str(HERE / "journal_refused.py"), file]
    took: list[float] = []
    with subprocess.Popen(own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_compiled()) as owner:
        assert owner.stdin is not None
        assert owner.stdout is not None
        assert [line.strip() for line in (owner.stdout.readline(), owner.stdout.readline())][1] == "holds"
        for _ in range(6):
            ended = subprocess.run(ask, capture_output=True, text=True, check=True, env=_compiled())
            milliseconds, said = ended.stdout.split(maxsplit=1)
            assert f"is owned by process {owner.pid} " in said
            took.append(float(milliseconds))
        owner.stdin.close()
    return Figures(statistics.median(took[1:]))


def _compiled() -> dict[str, str]:
    """The environment for a process that uses compiled modules, and leaves them to the next one."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _syncs(bench: Bench, size: int, _floor: float) -> Figures:
    """Syncs for each settle of one agent, as the system counts them; from the transactions where it has no strace."""
    strace = shutil.which("strace")
    if strace is None:
        return Figures(trio.run(ask_alone, bench.file(), size).transactions or 0.0)
    counts: list[int] = []
    for pieces in (1, size + 1):
        log = bench.folder / "strace"
        trace = [strace, "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", str(log)]
        one = [sys.executable, str(HERE / "journal.py"), "--one", str(bench.file()), str(pieces)]
        subprocess.run([*trace, *one], check=True, capture_output=True)
        table = [line.split() for line in log.read_text("utf-8").splitlines()]
        counts.append(sum(int(columns[3]) for columns in table if columns[-1:] in (["fsync"], ["fdatasync"])))
    return Figures((counts[1] - counts[0]) / size)


ROWS: Final = (
    Row("asks", "settles, one agent, one ask after the other", _run(ask_alone), 8000, Bar(0.45), 800),
    Row("syncs", "syncs for each of these settles", _syncs, 2000, Bar(1.05, "", low=True), 400),
    Row("tells", "settles, one agent, told by 256", _run(tell_many), 40_000, Bar(2.0), 4000),
    Row("asks-100", "settles, 100 agents", _run(ask_many(100)), 60_000, Bar(2.0, p99=10.0, stall=20.0), 6000),
    Row("asks-1000", "settles, 1,000 agents, all asked at once", _run(ask_many(1000)), 60_000, Bar(1.6), 8000),
    Row(
        "p99-100", "p99 of 100 agents at 2 F", _at_a_rate(100, 2.0), 60_000, Bar(10.0, "ms", low=True, stall=20.0), 8000
    ),
    Row(
        "p99-1000",
        "p99 of 1,000 agents at 1.6 F",
        _at_a_rate(1000, 1.6),
        60_000,
        Bar(10.0, "ms", low=True, stall=20.0),
        8000,
    ),
    Row("chain", "events appended, chained", _run(chain), 100_000, Bar(4.0, stall=20.0), 10_000),
    Row("verify", "rows verified", _run(verify), 200_000, Bar(200_000, "/s"), 20_000),
    Row("start-1000", "first settle of a process, 1,000 behind", _start, 1000, Bar(110.0, "ms", low=True), 1000),
    Row(
        "start-100000", "the same, 100,000 behind", _start, 100_000, Bar(1.3, "start-1000", low=True), 20_000
    ),
    Row("refused", "a second process refused, 100,000 behind", _refused, 100_000, Bar(50.0, "ms", low=True), 20_000),
    Row(
        "bytes", "bytes in the file for each settle, a fact of 300 B", _run(partial(bytes_each, unchanged=False)),
        5000, Bar(700, "B", low=True), 2000,
    ),
    Row(
        "bytes-same", "the same, an unchanged state of 100 kB", _run(partial(bytes_each, unchanged=True)),
        2000, Bar(1000, "B", low=True), 1000,
    ),
)  # fmt: skip


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line as values. Ends with 2 and a sentence for one that cannot work."""
    parser = argparse.ArgumentParser(prog="benchmarks/journal.py", description="What the journal costs.")
    names = [row.name for row in ROWS]
    parser.add_argument("--quick", action="store_true", help="shorter runs, rough numbers")
    parser.add_argument("--only", action="append", metavar="NAME", choices=names, help="this row only; again for more")
    parser.add_argument("--repeat", type=int, metavar="N", help="runs of each row (5, with --quick 1)")
    parser.add_argument(
        "--processors",
        choices=("one", "all"),
        default="one",
        help="keep to one, as docs/operating.md says of a process that is a loop and its journal (%(default)s)",
    )
    parser.add_argument("--folder", metavar="DIR", type=Path, default=OUT, help="on the disk in question (%(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every run as JSON")
    parser.add_argument("--plot", metavar="FILE", type=Path, default=OUT / "journal.svg", help="where the SVG goes")
    parser.add_argument("--check", action="store_true", help="exit code 1 if a bar is missed")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--one", nargs=2, metavar=("FILE", "SIZE"), help=argparse.SUPPRESS)
    found = parser.parse_args(arguments)
    if found.repeat is not None and found.repeat < 1:
        parser.error(f"--repeat is {found.repeat}; give 1 or more")
    return found


@contextmanager
def _scratch(folder: Path) -> Generator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="journal-") as made:
        yield Path(made)


def measure(rows: Sequence[Row], bench: Bench, repeats: int, say: Callable[[str], None]) -> list[Found]:
    """Every row once, then all of them again: a disk that is slow for a while is slow for all."""
    found = {row.name: Found(row.name, row.title, row.bar) for row in rows}
    for repeat in range(repeats):
        for row in rows:
            say(f"{row.name} {repeat + 1}/{repeats}")
            before = bench.floor()
            figures = row.measure(bench, row.quick if bench.quick else row.size, before)
            found[row.name].add(figures, statistics.mean((before, bench.floor())))
    start = found.get("start-1000")
    for each in found.values():
        if each.bar.unit == "start-1000":
            each.beside = start.median if start is not None else None
    return list(found.values())


def main(arguments: Sequence[str]) -> int:
    """Run what the command line says; returns the exit code."""
    options = parsed(arguments)
    if options.one:
        trio.run(ask_alone, Path(options.one[0]), int(options.one[1]))
        return 0
    if options.list:
        print("\n".join(f"{row.name:<14} {row.title}" for row in ROWS))
        return 0
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    busy = busy_seconds()
    kept = on_one_processor() if options.processors == "one" else nullcontext()
    with kept as processor, _scratch(options.folder) as folder:
        bench = Bench(folder, options.quick)
        live = sys.stderr.isatty()
        found = measure(
            rows,
            bench,
            options.repeat or (1 if options.quick else 5),
            lambda text: print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True) if live else None,
        )
        if live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    facts = {
        "floor": statistics.median(bench.floors),
        "capped": max(bench.floors) > MOST,
        "lowest": min(bench.floors),
        "highest": max(bench.floors),
        "processor": processor,
        "busy": None if busy is None else (busy_seconds() or 0.0) - busy,
    }
    print(as_text(found, facts))
    options.plot.parent.mkdir(parents=True, exist_ok=True)
    options.plot.write_text(as_svg(found, "The journal against its bars"), "utf-8")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"facts": facts, "rows": [asdict(each) for each in found]}, indent=1) + "\n")
    return 1 if options.check and any(verdict(each) != "PASS" for each in found) else 0


if __name__ == "__main__":
    take_any_terminal()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
