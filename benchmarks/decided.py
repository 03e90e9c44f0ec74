"""Work for the benchmark of decisions: what is decided, executed and kept is counted where it arrives."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import evolve
from harness import Measured, Run, Stopwatch
from ours import everything_on
from work import CRASH, PING, Miscounted, Tally

from treewarden.agents.core.path import Path as Slot
from treewarden.supervisor import RestartBucket, ladder
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.context import read_context
from treewarden.supervisor.core.event import ChildStarted, Decided, Event, IncidentOpened, SignalNoted
from treewarden.supervisor.core.incident import Incident, join, open_incident
from treewarden.supervisor.core.signal import Reported
from treewarden.supervisor.core.window import Window
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Commit, Journal, Seq
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.topologies import Blueprint, Tree, open_tree, tree
from treewarden.topologies.recovery.contenders import CONTENDERS
from treewarden.topologies.recovery.race import run_race
from treewarden.topologies.recovery.world import load_worlds

__all__ = [
    "AGENTS",
    "MILD",
    "SEVERE",
    "crash_durable",
    "crash_in_memory",
    "fold_alone",
    "fold_in_tree",
    "latency",
    "signal_durable",
    "trouble_of",
]

AGENTS: Final = 100
SEVERE: Final = 0.8
MILD: Final = 0.1
"""How bad what is signalled is: to be shown, and good to know."""
_PAGE: Final = 5000
_KEPT: Final = 10_000
"""Events that a tree in memory keeps. More of them would be more for the garbage collector than a user's tree has."""


# -- how long one decision takes


async def latency(policy: str, run: Run) -> Measured:
    """The p99, in ms of CPU, of the decisions in `size` races, one in each shipped world and then again.

    The cases come from the real supervisor. Each is decided once more, with all that is journaled of it.
    """
    worlds = load_worlds()
    took: list[float] = []
    with run.measured() as watch:
        for seed in range(run.size):
            race = partial(
                run_race, worlds[seed % len(worlds)], seed, CONTENDERS[policy], timer=lambda: time.thread_time()
            )
            took += (await trio.to_thread.run_sync(race)).latencies  # a race has a loop of its own
    p99 = statistics.quantiles(took, n=100)[98] * 1e3
    return watch.of(len(took), value=p99, note=f"median {statistics.median(took) * 1e3:.2f} ms of {len(took):,}")


# -- signals


async def signal_durable(folder: Path, run: Run) -> Measured:
    """`tree.signal` about 100 agents in turn, until each decision is on disk. The wall or the CPU, what is slower."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        watch, facts = await _signal(run, _on_disk(made), SEVERE)
    return _slower(watch, _all_decided(run, facts))


async def fold_in_tree(run: Run) -> Measured:
    """`tree.signal` about 100 agents in turn, each good to know and no more, in a tree in memory."""
    watch, facts = await _signal(run, MemoryJournal(events=_KEPT), MILD)
    return watch.of(_all_decided(run, facts))


async def fold_alone(run: Run) -> Measured:
    """The pure functions that the supervisor calls for such a signal, up to the context, without deciding."""
    specs = [everything_on(f"n{n}", Tally()) for n in range(AGENTS)]
    siblings = tuple(spec.id for spec in specs)
    signals = [_report(n % AGENTS, n * 1e-4) for n in range(run.size)]
    incidents: dict[Slot, Incident] = {}
    window = Window()
    with run.measured() as watch:
        for n, signal in enumerate(signals):
            before = incidents.get(signal.path)
            incident = open_incident(str(n), signal) if before is None else join(before, signal)
            incidents[signal.path] = incident
            window = window.add(signal)
            read_context(
                Case(
                    signal=signal,
                    spec=specs[n % AGENTS],
                    siblings=siblings,
                    incident=incident,
                    window=window,
                    now=signal.at,
                )
            )
    return watch.of(sum(incident.signals for incident in incidents.values()))


def trouble_of(n: int) -> str:
    """Each agent is in a trouble of its own: a hundred in the same one would be a dependency to break."""
    return f"slow-{n}"


def _report(n: int, at: float) -> Reported:
    return Reported(path=Slot(f"n{n}"), at=at, kind=trouble_of(n), severity=MILD)


async def _signal(run: Run, journal: Journal, severity: float) -> tuple[Stopwatch, list[Event]]:
    """The signals of one run, and the facts that the journal holds of them."""
    tally = Tally()
    about = [(f"/n{n}", {"kind": trouble_of(n), "severity": severity}) for n in range(AGENTS)]
    async with open_tree(tree(*(everything_on(f"n{n}", tally) for n in range(AGENTS))), journal=journal) as opened:
        await _awake(opened, [path for path, _ in about], tally)
        supervisor = opened.supervisor()
        before = await journal.commit(Commit())
        with run.measured() as watch:
            for first in range(0, run.size, AGENTS):
                for path, facts in about[: run.size - first]:
                    opened.signal(path, facts)
                await supervisor.count()  # is answered when the signals before it are
            until = await journal.commit(Commit())
        return watch, await _facts(journal, before, until)


def _all_decided(run: Run, facts: Sequence[Event]) -> int:
    """How many decisions were read back. Raises `Miscounted` unless each signal is in its agent's one incident."""
    seen = Counter(map(type, facts))
    troubled = min(run.size, AGENTS)
    if (seen[SignalNoted], seen[IncidentOpened], seen[Decided]) != (run.size, troubled, run.size):
        raise Miscounted(f"{run.size} signals about {troubled} agents came to {dict(seen)}")
    return seen[Decided]


# -- crashes


async def crash_durable(folder: Path, run: Run) -> Measured:
    """Agents that crash and live again, until all of that is on disk. The wall or the CPU, what is slower."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        watch, restarted = await _crash(run, _on_disk(made))
    return _slower(watch, restarted)


async def crash_in_memory(run: Run) -> Measured:
    """The same in a tree in memory. What a decision rests on is worked out when it is read, here after the clock."""
    watch, restarted = await _crash(run, MemoryJournal(events=_KEPT))
    return watch.of(restarted)


async def _crash(run: Run, journal: Journal) -> tuple[Stopwatch, int]:
    """Each agent crashes once, a hundred at a time, each under a supervisor of its own: no incident knows of another.

    It counts once its next life has handled a message.
    """
    tally = Tally()
    async with open_tree(_each_alone(run.size, tally), journal=journal) as opened:
        paths = [f"/n{n}/one" for n in range(run.size)]
        await _awake(opened, paths, tally)
        refs = [opened.ref(path) for path in paths]
        before = await journal.commit(Commit())
        with run.measured() as watch:
            for first in range(0, run.size, AGENTS):
                some = refs[first : first + AGENTS]
                back = tally.expect(len(some))
                for ref in some:
                    ref.tell_nowait(CRASH)
                    ref.tell_nowait(PING)
                await back.wait()
            until = await journal.commit(Commit())
        restarted = sum(status.restarts == 1 for status in opened.snapshot() if not status.supervisor)
        facts = await _facts(journal, before, until)
    decided = sum(isinstance(fact, Decided) and fact.action == "restart" for fact in facts)
    started = sum(isinstance(fact, ChildStarted) and fact.incarnation == 2 for fact in facts)
    if not decided == started == restarted == run.size:
        raise Miscounted(f"{run.size} crashed, {decided} restarts decided, {started} noted and {restarted} done")
    return watch, restarted


def _each_alone(size: int, tally: Tally) -> Blueprint:
    below = (tree(everything_on("one", tally), id=f"n{n}", policy=ladder()) for n in range(size))
    return tree(*below, restart_bucket=RestartBucket(holds=size))


# -- both


def _on_disk(folder: str) -> Journal:
    return SqliteJournal(Path(folder, "tree.db"), clock=LoopClock(time.time))


async def _awake(opened: Tree, paths: Sequence[str], tally: Tally) -> None:
    """Have each handle a message, so that nobody has to be made while the clock runs."""
    handled = tally.expect(len(paths))
    for path in paths:
        opened.ref(path).tell_nowait(PING)
    await handled.wait()


async def _facts(journal: Journal, after: Seq, until: Seq) -> list[Event]:
    """What the journal holds of that span, read as anybody would read it."""
    found: list[Event] = []
    while after < until and (records := await journal.read(after, _PAGE)):
        found += [record.event for record in records if record.seq <= until]
        after = records[-1].seq
    return found


def _slower(watch: Stopwatch, count: int) -> Measured:
    measured = watch.of(count)
    return evolve(measured, value=count / max(measured.cpu, measured.wall))
