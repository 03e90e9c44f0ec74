"""One mailbox in a tree, and everybody who is at it at once: see `stress_course.py` for what is noted."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import trio
import trio.lowlevel
from attrs import frozen

from treewarden.agents.core.durability import MESSAGE, VOLATILE, MailboxSpec, Overflow
from treewarden.agents.core.message import Priority
from treewarden.agents.errors import DeliveryError
from treewarden.agents.orders import StopOrder
from treewarden.agents.ref import Ref
from treewarden.agents.slot import Slot
from treewarden.agents.traffic import SENT_PER_CHECKPOINT
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import NO_BACKOFF, Backoff, Intensity
from treewarden.topologies.chaos.determinism import ordered_by, simulated_clock
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.pool import pool
from treewarden.topologies.running import Tree
from treewarden.topologies.tree import tree

from .stress_course import PRIORITIES, Ask, Call, Course, Hand, Held, Open, Plain, Slow, SlowAsk, number_of, whose
from .trees import slot_of

__all__ = ["Ended", "course_of"]

_PAUSE = Backoff(first=0.02, factor=1.0, most=0.02, jitter=0.0)
_OFTEN = Intensity(1_000_000, 1.0)
_CALLS = 10


@frozen
class Ended:
    """What was left when all was quiet again, and before the end of the tree."""

    waiting: tuple[int, int, int, int]
    """Messages, room that was promised, senders in line, messages put aside."""
    limits: int
    """Limits of asks that nobody waits for any more."""
    tasks: int
    """How many there were more than before."""
    beside: tuple[int, list[int]]
    """Of the agent that nobody has disturbed: its lives, and what it has done."""
    dead: list[int]
    """Dead letters that are stored."""


class World:
    def __init__(self, seed: int, overflow: Overflow) -> None:
        self.chance = chance = random.Random(f"{seed} {overflow}")
        self.course = Course(chance)
        self.beside = Course(random.Random(0), unlucky=0)
        self.numbers = itertools.count()
        self.scopes: dict[int, trio.CancelScope] = {}
        self.noted: list[Slot] = []
        self.mail: Slot
        self.course.redelivers = self.durable = seed % 5 == 4
        self.shared = seed % 4 == 3
        self.ends = ("goes on", "is terminated", "is drained")[seed % 3]
        self.mailbox = MailboxSpec(
            capacity=chance.randint(1, 6), overflow=overflow, durability=MESSAGE if self.durable else VOLATILE
        )
        self.backoff = (NO_BACKOFF, _PAUSE)[chance.randrange(2)]
        self.hibernate_after = (0.03, 10.0)[chance.randrange(2)]

    def specs(self) -> list[Any]:
        options: dict[str, Any] = {"mailbox": self.mailbox, "backoff": self.backoff}
        options["hibernate_after"] = self.hibernate_after
        beside = child(
            Hand, id="b", args={"course": self.beside}, mailbox=MailboxSpec(durability=VOLATILE, capacity=99)
        )
        if not self.shared:
            return [child(Hand, id="a", args={"course": self.course}, **options), beside]
        worker = child(Hand, id="hand", args={"course": self.course}, **options)
        self.course.agents = self.chance.randint(1, 3)
        return [pool(worker, self.course.agents, "shared", id="a", restarts=_OFTEN), beside]

    # -- who sends

    async def send(self, ref: Ref, sender: int) -> None:
        whose.set("a sender's")
        for _ in range(_CALLS):
            kind = self.chance.choice([Plain, Plain, Slow, Held, Held, Open, Ask, Ask, SlowAsk])
            priority = Priority.NORMAL
            if kind not in (Held, Open) and self.chance.random() < 0.3:
                priority = self.chance.choice(PRIORITIES)
            await self.give(ref, sender, kind(next(self.numbers)), priority)
            await self.nap()

    async def give(self, ref: Ref, sender: int, message: object, priority: int = Priority.NORMAL) -> Call:
        """Tell or ask, perhaps cancelled, and note what comes of it."""
        chance, course = self.chance, self.course
        if chance.random() < 0.3:  # it is about time that a sender lets others run
            ref._traffic.sent = SENT_PER_CHECKPOINT - 1  # pyright: ignore[reportPrivateUsage]
        call = course.call(sender, message, priority)
        with trio.move_on_after(chance.choice([0.0, 0.01, 0.05, 1000.0, 1000.0])) as scope:
            self.scopes[sender] = scope
            try:
                if isinstance(message, (Ask, SlowAsk)):
                    call.waited = self.lines_up()
                    reply = await ref.ask(message, within=chance.choice([0.03, 5.0, 500.0]), priority=priority)
                    call.outcome = "replied" if reply == message.number else f"replied {reply}"
                elif self.durable or chance.random() < 0.7:
                    call.waited = self.lines_up()
                    await ref.tell(message, priority=priority, within=chance.choice([0.05, 500.0]))
                    call.outcome = "sent"
                else:
                    ref.tell_nowait(message, priority=priority)
                    call.outcome = "sent"
            except DeliveryError as error:
                call.outcome, call.error = type(error).__name__, error
            if call.waited:
                self.look_at_the_line(call)
        call.over, call.told_at = True, course.now()
        return call

    def lines_up(self) -> bool:
        """Whether whoever sends now will wait for room behind all others that do."""
        mailbox = self.mail.statistics()
        full = mailbox.depth + mailbox.reserved >= mailbox.capacity or mailbox.senders_waiting > 0
        return full and self.mailbox.overflow is Overflow.WAIT and self.mail.closed is None

    def look_at_the_line(self, call: Call) -> None:
        """Whoever came before has been let in, or has given up."""
        mailbox = self.mail.statistics()
        if call.outcome not in ("sent", "replied") or self.mail.closed is not None:
            return
        waits = mailbox.senders_waiting
        later = sum(
            1 for each in self.course.calls.values() if each.waited and not each.over and each.number > call.number
        )
        if waits > later:
            self.course.wrong.append(f"sending: {call.number} was let in before those who had waited longer")

    async def nap(self) -> None:
        if self.chance.random() < 0.2:
            await trio.sleep(self.chance.random() / 20)
        else:
            for _ in range(self.chance.randint(0, 3)):
                await trio.lowlevel.checkpoint()

    # -- who disturbs

    async def disturb(self, running: Tree, mail: Slot) -> None:
        chance, course = self.chance, self.course
        for _ in range(12):
            await self.nap()
            for worker in mail.workers:
                self.note_drops(worker)
            slot = chance.choice(mail.workers or (mail,))
            life = course.life_at(slot)
            match chance.randrange(6):
                case 0 | 1:
                    if self.scopes:
                        self.scopes[chance.choice(sorted(self.scopes))].cancel()
                case 2 if life is not None:
                    running.kill(slot.path)
                    course.killed.add(life)
                    course.orders.append((life, len(course.begun)))
                case 3 if life is not None:
                    slot.put_control(StopOrder("ordered"))
                    course.orders.append((life, len(course.begun)))
                case 4:
                    paused = chance.choice([slot, mail])
                    (paused.resume if paused.paused else paused.pause)("held")
                case _:
                    course.shut = not course.shut
        course.shut = False
        for slot in {mail, *mail.workers}:
            slot.resume("held")

    def note_drops(self, slot: Slot) -> None:
        """Note what the policy of a slot gives up, besides what becomes of it."""
        then = slot.on_drop
        if any(each is slot for each in self.noted) or then is None:
            return
        self.noted.append(slot)

        def note(item: object, why: str) -> None:
            self.course.dropped.append((number_of(item), why))
            then(item, why)

        slot.on_drop = note

    async def end(self, running: Tree) -> None:
        for _ in range(self.chance.randint(0, 25)):
            await trio.lowlevel.checkpoint()
        for worker in self.mail.workers:
            self.note_drops(worker)
        if self.ends == "is terminated":
            await running.supervisor().terminate_child("a")
        else:
            await running.drain("a", within=1.0)
            await running.supervisor().delete_child("a")  # and with it what that has left on disk
        self.course.gone_at = self.course.now()

    # -- from the beginning to the end

    async def run(self, running: Tree) -> Ended:
        chance, mail = self.chance, slot_of(running, "a")
        self.mail = mail
        ref, beside = running.ref("a"), running.ref("b")
        self.note_drops(mail)
        before = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as nursery:
            for sender in range(chance.randint(2, 5)):
                nursery.start_soon(self.send, ref, sender)
            nursery.start_soon(self.disturb, running, mail)
            if self.ends != "goes on":
                nursery.start_soon(self.end, running)
            for _ in range(20):
                number = next(self.numbers)
                self.beside.call(0, Plain(number), Priority.NORMAL)
                beside.tell_nowait(Plain(number))
                await self.nap()
        await trio.sleep(30)
        while self.course.gone_at is None and any(slot.stashed for slot in (mail, *mail.workers)):
            await self.give(ref, -1, Open(next(self.numbers)))
            await trio.sleep(1)
        await trio.sleep(60)
        left = mail.statistics()
        buckets = beside._traffic._buckets  # pyright: ignore[reportPrivateUsage]
        rows = await running.dead_letters("a", 10_000)
        return Ended(
            (left.depth, left.reserved, left.senders_waiting, sum(slot.stashed for slot in (mail, *mail.workers))),
            sum(map(len, buckets.values())),
            trio.lowlevel.current_statistics().tasks_living - before,
            (self.beside.lives, self.beside.done),
            [json.loads(row.body)["number"] for row in rows],
        )


def course_of(seed: int, overflow: Overflow) -> tuple[Course, Ended]:
    """Have chance do what it wants, wait until all is quiet, and say what happened. The same for the same seed."""
    with ordered_by(seed):
        return trio.run(_course, World(seed, overflow), seed, clock=simulated_clock())


async def _course(world: World, seed: int) -> tuple[Course, Ended]:
    blueprint = tree(*world.specs(), restarts=_OFTEN, policy=otp())
    with trio.fail_after(100_000):
        async with open_tree(blueprint, seed=seed) as running:
            return world.course, await world.run(running)
