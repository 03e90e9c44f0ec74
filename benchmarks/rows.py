"""The rows of the benchmark as data: what is done, by whom, how often, and how good it has to be."""

from __future__ import annotations

from typing import Final

import handwritten
import ours
import ours_lives
from attrs import frozen
from harness import Case, Unit
from peers import Peer, PeerCase

__all__ = ["PEERS", "ROWS", "Row", "Sizes", "row_named"]


@frozen
class Sizes:
    """How many pieces of work one run does."""

    full: int
    quick: int
    tiny: int
    """To see whether a case works at all."""


@frozen(kw_only=True)
class Row:
    """One line of the table."""

    name: str
    title: str
    unit: Unit
    bar: float
    """What treewarden has to reach: at least, or at most, as the unit says."""
    sizes: Sizes
    ours: Case
    handwritten: Case | None = None
    peers: tuple[PeerCase, ...] = ()
    at_least: int = 0
    """How many pieces the full size has to reach, where the number itself is the claim."""
    fresh: bool = False
    """Each run in a new process: memory that an earlier one has left would be seen."""
    repeats: int | None = None
    """Where once must be enough."""
    reference: float | None = None
    """The handwritten one on the machine that the bars come from (geometric mean of the range)."""


PYKKA: Final = Peer("Pykka", "peer_pykka.py")
XOSCAR: Final = Peer("xoscar", "peer_xoscar.py")
RAY: Final = Peer("Ray", "peer_ray.py", install="make bench-peers RAY=1")
PEERS: Final = (PYKKA, XOSCAR, RAY)

ROWS: Final = (
    Row(
        name="tell-burst",
        title="tell_nowait, one agent, bursts of 1,000",
        unit=Unit.PER_SECOND,
        bar=2_000_000,
        sizes=Sizes(400_000, 100_000, 2_000),
        ours=ours.tell_burst,
        handwritten=handwritten.tell_burst,
        peers=(
            PeerCase(PYKKA, "tell", 300_000, 100_000),
            PeerCase(XOSCAR, "tell", 30_000, 10_000),
            PeerCase(RAY, "tell", 10_000, 3_000),
        ),
        reference=243_600,
    ),
    Row(
        name="tell-one",
        title="tell, one message a wake",
        unit=Unit.PER_SECOND,
        bar=200_000,
        sizes=Sizes(60_000, 20_000, 200),
        ours=ours.tell_one,
        handwritten=handwritten.tell_one,
        peers=(PeerCase(XOSCAR, "tell", 30_000, 10_000),),
        reference=175_000,
    ),
    Row(
        name="tell-ten",
        title="tell, ten messages a wake",
        unit=Unit.PER_SECOND,
        bar=1_200_000,
        sizes=Sizes(200_000, 50_000, 200),
        ours=ours.tell_ten,
        handwritten=handwritten.tell_ten,
        peers=(PeerCase(XOSCAR, "tell", 30_000, 10_000),),
        reference=306_000,
    ),
    Row(
        name="tell-waiting",
        title="waiting tell, room for 100, one sender",
        unit=Unit.PER_SECOND,
        bar=1_000_000,
        sizes=Sizes(200_000, 50_000, 1_000),
        ours=ours.tell_waiting,
        handwritten=handwritten.tell_waiting,
        reference=189_000,
    ),
    Row(
        name="tell-full",
        title="waiting tell, room for 64, four senders keep it full",
        unit=Unit.PER_SECOND,
        bar=1_000_000,
        sizes=Sizes(200_000, 50_000, 1_000),
        ours=ours.tell_full,
        handwritten=handwritten.tell_full,
        reference=189_000,
    ),
    Row(
        name="fan-out",
        title="one message to each of 10,000 agents",
        unit=Unit.PER_SECOND,
        bar=250_000,
        sizes=Sizes(60_000, 20_000, 200),
        ours=ours.fan_out,
        handwritten=handwritten.fan_out,
        peers=(PeerCase(XOSCAR, "fan_out", 20_000, 20_000),),
        reference=200_000,
    ),
    Row(
        name="ask-one",
        title="ask with a limit, one asker",
        unit=Unit.PER_SECOND,
        bar=120_000,
        sizes=Sizes(30_000, 10_000, 100),
        ours=ours.ask_one,
        handwritten=handwritten.ask_one,
        peers=(
            PeerCase(PYKKA, "ask_one", 10_000, 3_000),
            PeerCase(XOSCAR, "ask_one", 20_000, 5_000),
            PeerCase(RAY, "ask_one", 2_000, 500),
        ),
        reference=51_700,
    ),
    Row(
        name="ask-many",
        title="ask with a limit, 100 askers to 100 agents",
        unit=Unit.PER_SECOND,
        bar=300_000,
        sizes=Sizes(50_000, 20_000, 300),
        ours=ours.ask_many,
        handwritten=handwritten.ask_many,
        peers=(PeerCase(PYKKA, "ask_many", 20_000, 10_000), PeerCase(XOSCAR, "ask_many", 20_000, 10_000)),
        reference=70_000,
    ),
    Row(
        name="spawn",
        title="100,000 children without on_start, from a blueprint",
        unit=Unit.PER_SECOND,
        bar=50_000,
        sizes=Sizes(100_000, 10_000, 50),
        ours=ours_lives.spawn_static,
        handwritten=handwritten.spawn,
        peers=(PeerCase(PYKKA, "spawn", 1_000, 500), PeerCase(XOSCAR, "spawn", 50_000, 10_000)),
        fresh=True,
        repeats=3,
        reference=30_700,
    ),
    Row(
        name="spawn-dynamic",
        title="100,000 children without on_start, one call each",
        unit=Unit.PER_SECOND,
        bar=50_000,
        sizes=Sizes(100_000, 10_000, 50),
        ours=ours_lives.spawn_dynamic,
        handwritten=handwritten.spawn,
        peers=(PeerCase(PYKKA, "spawn", 1_000, 500), PeerCase(XOSCAR, "spawn", 50_000, 10_000)),
        fresh=True,
        repeats=3,
        reference=30_700,
    ),
    Row(
        name="idle",
        title="resident bytes per idle agent, 100,000 of them",
        unit=Unit.BYTES,
        bar=4_000,
        sizes=Sizes(100_000, 10_000, 50),
        ours=ours_lives.idle_bytes,
        handwritten=handwritten.idle_bytes,
        peers=(PeerCase(PYKKA, "idle_bytes", 1_000, 500), PeerCase(XOSCAR, "idle_bytes", 50_000, 10_000)),
        fresh=True,
        repeats=3,
        reference=4_900,
    ),
    Row(
        name="crash-otp",
        title="crash, signal, otp() decides, restart, answer",
        unit=Unit.MICROSECONDS,
        bar=50,
        sizes=Sizes(500, 100, 5),
        ours=ours_lives.crash_under_otp,
        handwritten=handwritten.crash,
        peers=(
            PeerCase(PYKKA, "crash", 300, 100),
            PeerCase(XOSCAR, "crash", 2, 1),
            PeerCase(RAY, "crash", 2, 1),
        ),
        reference=18,
    ),
    Row(
        name="crash-ladder",
        title="crash, signal, ladder() decides, restart, answer",
        unit=Unit.MICROSECONDS,
        bar=50,
        sizes=Sizes(500, 100, 5),
        ours=ours_lives.crash_under_ladder,
        handwritten=handwritten.crash,
        peers=(PeerCase(PYKKA, "crash", 300, 100),),
        reference=18,
    ),
    Row(
        name="million",
        title="bytes per slot, 1,000,000 hibernate, woken on demand",
        unit=Unit.BYTES,
        bar=1_000,
        sizes=Sizes(1_000_000, 50_000, 60),
        ours=ours_lives.million_slots,
        at_least=1_000_000,
        fresh=True,
        repeats=1,
    ),
    Row(
        name="latency",
        title="longest 1 ms sleep beside 50 agents that never run dry",
        unit=Unit.MILLISECONDS,
        bar=10,
        sizes=Sizes(300, 100, 3),
        ours=ours_lives.wake_latency,
        handwritten=handwritten.wake_latency,
    ),
)


def row_named(name: str) -> Row:
    """The row called `name`. Raises `LookupError` with the names that there are."""
    found = next((row for row in ROWS if row.name == name), None)
    if found is None:
        raise LookupError(f"no row is called {name!r}; there are {', '.join(row.name for row in ROWS)}")
    return found
