"""Small workloads, as data: what agents of three slots would commit, drawn by chance from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import apsw
from attrs import evolve, frozen

from treewarden.agents.core.label import Label
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.event import Recorded
from treewarden.supervisor.journal.port import (
    AnswerRow,
    CheckpointRow,
    Commit,
    DeadRow,
    KeepRow,
    MessageRow,
    PruneRow,
    ReplyRow,
    RestoreRow,
    ReturnedRow,
    StateRow,
    TimerRow,
)
from treewarden.supervisor.journal.quiet import facts, message_alone, state_alone

from ...journals import WALL

__all__ = ["ERRORS", "FULL", "Asked", "Batch", "Fault", "Pause", "Session", "Step", "Workload", "workloads"]

ERRORS: Final = {
    "open": apsw.SQLITE_CANTOPEN,
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "size": apsw.SQLITE_IOERR_FSTAT,
    "delete": apsw.SQLITE_IOERR_DELETE,
    "access": apsw.SQLITE_IOERR_ACCESS,
}
"""Everything that SQLite asks of a disk, and what it makes of EIO there."""
FULL: Final = {"write": apsw.SQLITE_FULL}
"""What it makes of ENOSPC."""
_SLOTS: Final = (Path("desk"), Path("desk/writer"), Path("outbox"))


@frozen
class Batch:
    """Submitted together: they may share a transaction."""

    commits: tuple[Commit, ...]


@frozen
class Pause:
    """Nothing happens for so long, or only what the journal does by itself."""

    seconds: float


@frozen
class Asked:
    """Another process leaves a command."""

    id: str
    body: str


Step: TypeAlias = Batch | Pause | Asked


@frozen
class Session:
    """What one owner of the file does, from opening it to closing it or being killed."""

    steps: tuple[Step, ...]
    killed: bool = False


@frozen
class Fault:
    """Some calls to the disk end with an error of SQLite's."""

    errors: Mapping[str, int]
    """By kind of call. Which calls of these: the first, how many from there, and after how many again (0: never)."""
    first: int = 0
    count: int = 1
    every: int = 0

    def hits(self, number: int) -> bool:
        """Whether the call with this number, from 0, is one of them."""
        after = number - self.first
        return after >= 0 and (after % self.every if self.every else after) < self.count


@frozen(kw_only=True)
class Workload:
    """Sessions on one file, one after the other."""

    name: str
    sessions: tuple[Session, ...]
    autocheckpoint: int = 1000
    page_size: int = 4096
    ahead: int = 0
    """Zeros that are written behind the end of the log when it reaches that."""
    overlap: bool = False
    """The first owner loses its lease to the second, and takes its last step as if it had not."""
    fault: Fault | None = None


class Scribe:
    """Writes commits that fit what was committed before."""

    def __init__(self, chance: random.Random, lengths: Sequence[int] = (10, 40, 40, 300, 300, 3000)) -> None:
        self._chance = chance
        self._lengths = lengths
        self._rows = 0
        self._at = WALL
        self._asks = 0
        self._waiting: dict[Path, list[int]] = {path: [] for path in _SLOTS}
        self._settled = dict.fromkeys(_SLOTS, 0)
        self._dead: list[DeadRow] = []
        self._held: dict[Path, list[int]] = {path: [] for path in _SLOTS}
        """Checkpoints that stay."""

    def tell(self, path: Path) -> Commit:
        """A message from outside."""
        return message_alone(self._message(path, None))

    def plain(self, path: Path) -> Commit:
        """A message is handled that changes the state and does nothing else, as most do."""
        waiting = self._waiting[path]
        row = waiting.pop(0) if waiting else None
        return state_alone(path, self._state(path), row)

    def _state(self, path: Path) -> StateRow:
        number = self._settled[path] = self._settled[path] + 1
        return StateRow(path, "desk:Tally", self._body(number), 1, number)

    def settle(self, path: Path) -> Commit:
        """The next message of a slot is handled: all of it in one transaction."""
        chance = self._chance
        waiting = self._waiting[path]
        row = waiting.pop(0) if waiting else None
        state = self._state(path)
        number = state.settled
        to = chance.choice([other for other in _SLOTS if other != path])
        kept = self._kept(state, chance.choice(("", "", "named"))) if chance.random() < 0.4 else None
        return Commit(
            by=path,
            states=(state,),
            acked=() if row is None else (row,),
            accepted=tuple(self._message(to, path) for _ in range(chance.randrange(3))),
            events=((self._tick(), Recorded(path=path, kind="settled", facts={"number": number, "row": row})),),
            checkpoints=(kept,) if kept else (),
            prunes=(PruneRow(path, 2),) if kept else (),
            timers=(TimerRow(path, "tick", self._tick() + 60),) if chance.random() < 0.3 else (),
            forget_replies=() if row is None else (f"t-{row}>",),
        )

    def give_back(self, path: Path) -> Commit:
        """A delivery has failed; the message waits again."""
        waiting = self._waiting[path]
        if not waiting:
            return self.note(path)
        back = ReturnedRow(waiting[0], 1, not_before=self._tick())
        return Commit(by=path, returned=(back,), events=self._note(path))

    def give_up(self, path: Path) -> Commit:
        """A message becomes a dead letter."""
        waiting = self._waiting[path]
        if not waiting:
            return self.note(path)
        row = waiting.pop(0)
        priority = self._chance.choice((0, 2))
        body = self._body(row)
        dead = DeadRow(path, f"t-{row}", "desk:Add", body, "poison", self._tick(), row, priority=priority)
        self._dead.append(dead)
        return Commit(dead=(dead,), events=self._note(path))

    def put_back(self, path: Path) -> Commit:
        """A dead letter, of any slot, waits again."""
        if not self._dead:
            return self.note(path)
        dead = self._dead.pop()
        again = evolve(self._message(dead.path, None), id=dead.id, body=dead.body)
        return Commit(revived=(dead.id,), accepted=(again,), events=self._note(dead.path))

    def answer(self, path: Path) -> Commit:
        """The reply to an ask of another slot's handler."""
        self._asks += 1
        asker = next((rows[0] for other, rows in self._waiting.items() if rows and other != path), 0)
        state = self._state(path)
        reply = ReplyRow(f"t-{asker}>ask.{self._asks}", path, "int", str(state.settled))
        return Commit(by=path, states=(state,), replies=(reply,))

    def _kept(self, state: StateRow, name: str) -> CheckpointRow:
        self._rows += 1
        if name:
            self._held[state.path].append(self._rows)
        label = Label(name, "before the move", ("night", "v1")) if name else Label()
        return CheckpointRow(
            state.path, self._rows, state.kind, state.body, 1, state.settled, self._tick(), label, bool(name)
        )

    def keep(self, path: Path, name: str) -> Commit:
        """A settle whose state is kept; of those without a name the two newest stay."""
        state = self._state(path)
        return Commit(by=path, states=(state,), checkpoints=(self._kept(state, name),), prunes=(PruneRow(path, 2),))

    def go_back(self, path: Path) -> Commit:
        """An operator goes back to a state with a name, and keeps what was current."""
        if not self._held[path]:
            return self.note(path)
        self._rows += 1
        back = RestoreRow(path, self._chance.choice(self._held[path]), self._settled[path])
        left = KeepRow(path, self._rows, self._tick())
        return Commit(by=path, restores=(back,), keeps=(left,), events=self._note(path))

    def note(self, path: Path) -> Commit:
        """A fact, and nothing else."""
        return facts(self._note(path))

    def told(self, path: Path) -> Iterator[Step]:
        """Another process tells a slot something: the message is accepted with the answer, and there is but one."""
        self._asks += 1
        id = f"c-{self._asks}"
        yield Asked(id, f'{{"path":"{path}"}}')
        told = Commit(
            accepted=(self._message(path, None),), answers=(AnswerRow(id, "applied", "told"),), events=self._note(path)
        )
        yield Batch((told,))
        yield Batch((self.note(path), Commit(answers=(AnswerRow(id, "applied", "again"),), events=self._note(path))))

    def forget(self, path: Path) -> Commit:
        """A slot that is gone for good."""
        return Commit(forget=(path,), events=self._note(path))

    def impossible(self, path: Path) -> Commit:
        """Has to be refused: it ends a message that does not wait."""
        return Commit(by=path, states=(self._state(path),), acked=(900_000,), events=self._note(path))

    def rests(self, path: Path) -> Commit:
        """Falls with what its slot settled before it: by itself it could be kept."""
        return state_alone(path, self._state(path), None)

    def any(self) -> Commit:
        """One of the above, as a tree would mix them."""
        path = self._chance.choice(_SLOTS)
        words: list[Callable[[Path], Commit]] = [
            self.tell, self.tell, self.settle, self.settle, self.plain, self.plain, self.give_back, self.give_up,
            self.put_back, self.answer, self.go_back, self.note,
        ]  # fmt: skip
        return self._chance.choice(words)(path)

    def steps(self, count: int, *, most: int = 1) -> Iterator[Step]:
        """`count` steps of at most `most` commits each; the first has something to handle."""
        yield Batch((self.tell(_SLOTS[0]),))
        for _ in range(count - 1):
            yield Batch(tuple(self.any() for _ in range(self._chance.randint(1, most))))

    def refused(self, count: int) -> Iterator[Step]:
        """`count` steps in which one commit cannot be kept. What rests on it falls with it, the others stand."""
        for _ in range(count):
            bad, good, other = self._chance.sample(_SLOTS, 3)
            before = [self.tell(good), self.settle(good)]
            behind = [self.impossible(bad), self.rests(bad), self.settle(other), self.note(good)]
            yield Batch((*before, self.impossible(bad), *behind))

    def refused_late(self) -> Iterator[Step]:
        """What rests on a commit that cannot be kept waits for the next transaction meanwhile."""
        bad, good, _ = _SLOTS
        before = [self.note(good) for _ in range(127)]
        yield Batch((*before, self.impossible(bad), self.rests(bad), self.note(good)))

    def _message(self, path: Path, sender: Path | None) -> MessageRow:
        self._rows += 1
        row = self._rows
        self._waiting[path].append(row)
        body = self._body(row)
        return MessageRow(path, row, f"t-{row}", "desk:Add", body, sender, self._chance.choice((0, 2, 2)), self._tick())

    def _note(self, path: Path) -> tuple[tuple[float, Recorded], ...]:
        return ((self._tick(), Recorded(path=path, kind="noted", facts={"of": str(path)})),)

    def _body(self, number: int) -> str:
        """Most are short, some need a page of their own; those of `large` are stored apart."""
        length = self._chance.choice(self._lengths)
        return f'{{"number":{number},"text":"{self._chance.randbytes(length // 2).hex()}"}}'

    def _tick(self) -> float:
        self._at += 1.0
        return self._at


def workloads(seed: int) -> list[Workload]:
    """Every kind of workload once. Another seed: other messages, sizes and orders."""
    made: list[Workload] = []

    def scribe(name: str) -> Scribe:
        return Scribe(random.Random(f"{seed} {name}"))

    one = scribe("one life")
    made.append(Workload(name="one life", sessions=(Session(tuple(one.steps(12))),)))
    copied = scribe("log copied")
    made.append(Workload(name="log copied", sessions=(Session(tuple(copied.steps(16))),), autocheckpoint=8))
    killed = scribe("killed")
    lives = tuple(Session(tuple(killed.steps(4)), killed=number < 2) for number in range(3))
    made.append(Workload(name="killed", sessions=lives, autocheckpoint=12))
    ahead = scribe("room ahead")
    lives = tuple(Session(tuple(ahead.steps(5)), killed=number < 2) for number in range(3))
    made.append(Workload(name="room ahead", sessions=lives, autocheckpoint=14, ahead=3 * 4120 + 700))
    closed = scribe("closed")
    made.append(Workload(name="closed", sessions=tuple(Session(tuple(closed.steps(3))) for _ in range(3))))
    together = scribe("together")
    made.append(Workload(name="together", sessions=(Session(tuple(together.steps(7, most=6))),), autocheckpoint=12))
    refused = scribe("refused")
    made.append(Workload(name="refused", sessions=(Session(tuple(refused.refused(3))),), autocheckpoint=20))
    late = scribe("refused late")
    made.append(Workload(name="refused late", sessions=(Session(tuple(late.refused_late())),)))
    large, slot = Scribe(random.Random(f"{seed} large"), (70_000,)), _SLOTS[0]
    ways = (large.tell, large.tell, large.plain, large.give_up, large.note)
    steps = (*(Batch((way(slot),)) for way in ways), Batch((large.keep(slot, "named"), large.answer(slot))))
    made.append(Workload(name="large", sessions=(Session(steps),), autocheckpoint=60))
    kept = scribe("kept")
    steps = tuple(Batch((kept.keep(_SLOTS[0], name),)) for name in ("", "named", "", "", "", "named", ""))
    made.append(
        Workload(name="kept", sessions=(Session((*steps, Batch((kept.go_back(_SLOTS[0]),)))),), autocheckpoint=20)
    )
    asked = scribe("asked")
    steps = tuple(step for path in _SLOTS for step in asked.told(path))
    made.append(
        Workload(
            name="asked", sessions=(Session(steps, killed=True), Session(tuple(asked.steps(2)))), autocheckpoint=12
        )
    )
    idle = scribe("idle")
    pauses = [Pause(4.0), *idle.steps(2), Pause(8.0), *idle.steps(2), Batch((idle.forget(_SLOTS[0]),))]
    made.append(Workload(name="idle", sessions=(Session(tuple(pauses)),), autocheckpoint=6))
    small = scribe("small pages")
    made.append(
        Workload(name="small pages", sessions=(Session(tuple(small.steps(8))),), autocheckpoint=30, page_size=512)
    )
    owners = scribe("two owners")
    late = Batch((owners.tell(_SLOTS[1]),))
    takes = (Session((*owners.steps(3), late)), Session(tuple(owners.steps(6))))
    made.append(Workload(name="two owners", sessions=takes, overlap=True, autocheckpoint=12))
    syncs = {"sync": ERRORS["sync"]}
    for name, fault, pages in (
        ("syncs fail", Fault(syncs, first=9, every=4), 1000),
        ("copies fail", Fault(syncs, first=12, every=5), 12),
        ("disk full", Fault(FULL, first=130, every=31), 12),
    ):
        failing = scribe(name)
        steps = tuple(failing.steps(8))
        made.append(Workload(name=name, sessions=(Session(steps),), autocheckpoint=pages, fault=fault))
    return made
