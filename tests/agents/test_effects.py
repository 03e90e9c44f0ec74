"""An act on the world outside is not silently done twice: it is replayed, verified, or a person is asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock, wait_all_tasks_blocked

from treewarden.agents import (
    MESSAGE,
    VOLATILE,
    Agent,
    AgentFailed,
    Checkpointed,
    ConfigurationError,
    Done,
    Durability,
    GiveUp,
    InDoubt,
    MailboxSpec,
    NotDone,
    RateLimited,
    Request,
    Stash,
    every,
    handles,
)
from treewarden.supervisor import ladder, otp
from treewarden.supervisor.core.event import DeadLettered, EffectNoted
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.supervisor.journal.port import Commit, Journal
from treewarden.supervisor.settling import SlotStore
from treewarden.topologies import child, pool, tree
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree

from ..journals import on_disk
from .trees import Disk, happened, slot_of


class Bank:
    """The world outside: what was done stays done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        """The key of each charge."""
        self.calls = 0
        self.raises: list[BaseException] = []
        """What the next calls raise, after they were done or before."""
        self.before: list[BaseException] = []
        self.asked = 0
        self.gate: trio.Event | None = None

    async def charge(self, amount: int, key: str) -> Receipt:
        self.calls += 1
        if self.before:
            raise self.before.pop(0)
        self.done.append(key)
        if self.gate is not None:
            await self.gate.wait()
        if self.raises:
            raise self.raises.pop(0)
        return Receipt(key, amount)

    async def look(self, amount: int, key: str) -> Done[Receipt] | NotDone:
        self.asked += 1
        return Done(Receipt(key, amount)) if key in self.done else NotDone("never heard of it")


@frozen
class Receipt:
    key: str
    amount: int


@frozen
class Pay:
    amount: int = 1
    says: str = ""
    """`verify`, `idempotent`, or nothing."""
    times: int = 1
    fails: int = 0
    """How often its handler fails after it has paid."""


@frozen
class Paid(Request[Receipt]):
    amount: int = 1


@frozen
class Order:
    amount: int = 1


class Desk(Agent[tuple[Receipt, ...]]):
    state = ()

    def __init__(self, bank: Bank, log: list[Any]) -> None:
        self.bank = bank
        self.log = log

    async def charge(self, amount: int, says: str = "") -> Receipt:
        return await self.effect(
            "charge",
            partial(self.bank.charge, amount),
            idempotent=says == "idempotent",
            verify=partial(self.bank.look, amount) if says == "verify" else None,
        )

    @handles
    async def pay(self, message: Pay) -> None:
        got = [await self.charge(message.amount, message.says) for _ in range(message.times)]
        self.log.append(got)
        if len(self.log) <= message.fails:
            raise ValueError("after it had paid")
        self.state = (*self.state, *got)

    @handles
    async def paid(self, message: Paid) -> Receipt:
        got = await self.charge(message.amount)
        self.state = (*self.state, got)
        return got


class Shop(Agent[int]):
    state = 0

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    @handles
    async def order(self, message: Order) -> None:
        try:
            got = await self.ref("desk").ask(Paid(message.amount), within=3600)
        except AgentFailed as failed:
            self.log.append(failed)
            raise
        self.log.append(got)
        self.state += 1


@pytest.fixture(params=["memory", "disk"])
def processes(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Journal]:
    """Each call is the next process."""
    memory = Disk()
    return lambda: memory if request.param == "memory" else on_disk(tmp_path / "tree.db")


Processes = Callable[[], Journal]


def opened(*children: Any, journal: Journal | None = None, **options: Any) -> Any:
    return open_tree(tree(*children, **options), journal=journal, wall=trio.current_time)


def desk(bank: Bank, log: list[Any] | None = None, *, deliveries: int = 2, durability: Durability = MESSAGE) -> Any:
    mailbox = MailboxSpec(deliveries=deliveries, durability=durability)
    return child(Desk, args={"bank": bank, "log": [] if log is None else log}, backoff=NO_BACKOFF, mailbox=mailbox)


def left(running: Tree) -> int:
    """How much is kept of steps; nothing should be, when all is done."""
    store = slot_of(running, "desk").store
    assert isinstance(store, SlotStore)
    return len(store._common.replies)  # pyright: ignore[reportPrivateUsage]


def note(running: Tree, path: str = "desk") -> str:
    (found,) = [each.note for each in running.snapshot() if each.path == path]
    return found


async def test_a_handler_that_runs_again_does_it_once(processes: Processes, autojump_clock: MockClock) -> None:
    bank, log = Bank(), list[Any]()
    async with opened(desk(bank, log, deliveries=3), journal=processes()) as running:
        await running.ref("desk").tell(Pay(5, times=2, fails=2))
        await trio.sleep(1)
        first, second = log[0]
        assert log == [[first, second]] * 3
        assert (bank.calls, bank.done) == (2, [first.key, second.key])
        assert first.key != second.key
        assert slot_of(running, "desk").state == (first, second)
        assert left(running) == 0
        said = [(each.effect, each.what) for each in await happened(running, EffectNoted, 4)]
        assert said == [("charge", "begun"), ("charge", "done")] * 2
        await running.ref("desk").tell(Pay(6))
        await trio.sleep(1)
        assert (bank.calls, left(running)) == (3, 0)


async def test_the_next_process_knows_what_was_done(processes: Processes, autojump_clock: MockClock) -> None:
    bank, log = Bank(), list[Any]()

    class Slow(Desk):
        @handles
        async def pay(self, message: Pay) -> None:
            got = await self.charge(message.amount)
            self.log.append(got)
            if len(self.log) == 1:
                await trio.sleep_forever()
            self.state = (got,)

    spec = child(Slow, id="desk", args={"bank": bank, "log": log})
    with trio.CancelScope() as power:
        async with opened(spec, journal=processes()) as running:
            await running.ref("desk").tell(Pay())
            await trio.sleep(1)
            assert len(log) == 1
            power.cancel()
            await trio.sleep_forever()
    async with opened(spec, journal=processes()) as running:
        await trio.sleep(1)
        assert log == [log[0]] * 2
        assert (bank.calls, left(running)) == (1, 0)
        assert slot_of(running, "desk").state == (log[0],)


@pytest.mark.parametrize("policy", [ladder(), otp()], ids=lambda policy: policy.name)
@pytest.mark.parametrize("deliveries", [1, 2])
async def test_what_raised_is_in_doubt_and_nobody_runs_it_again(
    processes: Processes, policy: Any, deliveries: int, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank, deliveries=deliveries), journal=processes(), policy=policy) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        (held,) = running.snapshot()
        (doubt,) = await running.effects()
        assert held.held
        assert (held.mailbox, bank.calls) == (1, 1)
        for said in ("'charge' of Pay", doubt.key, doubt.message, "begun at 1970-01-01 00:00:00+00:00", "went dead"):
            assert said in held.note
        assert (doubt.path, doubt.effect, doubt.kind, doubt.under_way) == ("desk", "charge", "Pay", False)
        running.resume("desk")  # without an answer: held again, and not counted
        await trio.sleep(1)
        running.resume("desk")
        await trio.sleep(1)
        assert (running.snapshot()[0].held, bank.calls) == (True, 1)
        assert "its end was not seen" in note(running)
        assert await running.dead_letters() == ()
        await running.answer("desk", Done(Receipt(doubt.key, 7)), by="ada")
        await trio.sleep(1)
        assert slot_of(running, "desk").state == (Receipt(doubt.key, 7),)
        assert (bank.calls, left(running), note(running)) == (1, 0, "")
        assert await running.effects() == ()
        said = [(each.what, each.by) for each in await happened(running, EffectNoted, 3)]
        assert said == [("begun", ""), ("in doubt", ""), ("done", "ada")]


async def test_a_person_says_that_it_was_not_done(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.before = [ConnectionError("refused")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        (doubt,) = await running.effects()
        await running.answer("desk", NotDone(), key=doubt.key)
        await trio.sleep(1)
        assert slot_of(running, "desk").state == (Receipt(doubt.key, 7),)
        assert (bank.calls, bank.done, left(running)) == (2, [doubt.key], 0)


async def test_a_person_gives_its_message_up(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        await running.ref("desk").tell(Pay(8))
        await running.answer("desk", GiveUp(), by="ada")
        await trio.sleep(1)
        (dead,) = await running.dead_letters()
        assert dead.reason.startswith("ada gave it up: its effect 'charge' (key ")
        assert [each.amount for each in slot_of(running, "desk").state] == [8]  # type: ignore[union-attr]
        assert (bank.calls, left(running)) == (2, 0)


@pytest.mark.parametrize("said", ["done", "not done", "give up"])
async def test_it_is_answered_in_another_process(processes: Processes, said: str, autojump_clock: MockClock) -> None:
    """The agent is held from the beginning there, and has not been read."""
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
    async with opened(desk(bank), journal=processes()) as running:
        await trio.sleep(1)
        assert (running.snapshot()[0].held, bank.calls) == (True, 1)
        (doubt,) = await running.effects("desk")
        with pytest.raises(ConfigurationError, match="is no JSON"):
            await running.answer("desk", Done(Receipt(doubt.key, 7)))
        answers = {"done": Done({"key": doubt.key, "amount": 9}), "not done": NotDone(), "give up": GiveUp()}
        await running.answer("desk", answers[said])
        await trio.sleep(1)
        assert (running.snapshot()[0].held, left(running)) == (False, 0)
        if said == "give up":
            assert len(await running.dead_letters()) == 1
        else:
            assert slot_of(running, "desk").state == (Receipt(doubt.key, 9 if said == "done" else 7),)
        assert bank.calls == (2 if said == "not done" else 1)


async def test_what_a_person_says_has_to_fit(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        with pytest.raises(ConfigurationError, match="'charge' does not return 5: "):
            await running.answer("desk", Done(5))
        with pytest.raises(ConfigurationError, match=r"no effect has the key x there, but [0-9a-f]{32}; "):
            await running.answer("desk", NotDone(), key="x")
        with pytest.raises(ConfigurationError, match="'yes' says nothing of an effect; say Done"):
            await running.answer("desk", "yes")
        with pytest.raises(ConfigurationError, match="nowhere: no effect is in doubt there"):
            await running.answer("nowhere", NotDone())
    async with opened(desk(bank), journal=processes()) as running:
        await trio.sleep(1)
        await running.answer("desk", Done({"key": 5}))  # nobody here knows what it returns
        await trio.sleep(1)
        assert "what a person has said came of it does not fit" in note(running)
        assert bank.calls == 1


async def test_verify_is_asked_on_the_next_delivery(processes: Processes, autojump_clock: MockClock) -> None:
    bank, log = Bank(), list[Any]()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank, log), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "verify"))
        await trio.sleep(1)
        assert (bank.calls, bank.asked, len(bank.done)) == (1, 1, 1)
        assert slot_of(running, "desk").state == (Receipt(bank.done[0], 7),)
        said = [(each.what, each.by) for each in await happened(running, EffectNoted, 3)]
        assert said == [("begun", ""), ("in doubt", ""), ("done", "verify")]
        bank.before = [ConnectionError("refused")]
        await running.ref("desk").tell(Pay(8, "verify"))
        await trio.sleep(1)
        assert (bank.calls, bank.asked, len(bank.done)) == (3, 2, 2)
        assert left(running) == 0


@pytest.mark.parametrize("says", ["nothing", "raises"])
async def test_a_verify_that_cannot_say_leaves_it_to_a_person(
    processes: Processes, says: str, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]

    async def look(amount: int, key: str) -> Any:
        if says == "raises":
            raise OSError("no answer")

    bank.look = look
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "verify"))
        await trio.sleep(1)
        assert "could not be verified: " in note(running)
        assert ("OSError: no answer" if says == "raises" else "verify returned None") in note(running)
        assert (bank.calls, running.snapshot()[0].held) == (1, True)


async def test_what_is_idempotent_runs_again_under_its_key(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "idempotent"))
        await trio.sleep(1)
        first, second = bank.done
        assert first == second
        assert slot_of(running, "desk").state == (Receipt(first, 7),)
        assert left(running) == 0


@pytest.mark.parametrize("refusal", [NotDone("no money"), RateLimited(0.5)], ids=["not done", "rate limited"])
async def test_a_call_may_say_that_it_was_not_done(
    processes: Processes, refusal: Exception, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.before = [refusal]
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(2)
        assert (bank.calls, len(bank.done), left(running)) == (2, 1, 0)
        assert running.snapshot()[0].restarts == (1 if isinstance(refusal, NotDone) else 0)
        said = [each.what for each in await happened(running, EffectNoted, 4)]
        assert said == ["begun", "not done", "begun", "done"]


async def test_a_life_that_is_killed_in_it_leaves_it_in_doubt(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.gate = trio.Event()
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        (under,) = await running.effects()
        assert under.under_way
        with pytest.raises(ConfigurationError, match="the call of 'charge' still runs"):
            await running.answer("desk", NotDone())
        running.kill("desk")
        await trio.sleep(1)
        assert (bank.calls, running.snapshot()[0].held) == (1, True)
        (doubt,) = await running.effects()
        assert not doubt.under_way


async def test_what_comes_late_of_a_life_that_was_left_behind_is_true(
    processes: Processes, autojump_clock: MockClock
) -> None:
    """The call shields itself from its cancellation: its life is a zombie, and its result is what happened outside."""
    bank = Bank()
    bank.gate = trio.Event()

    async def charge(amount: int, key: str) -> Receipt:
        with trio.CancelScope(shield=True):
            await Bank.charge(bank, amount, key)
        return Receipt(key, amount)

    bank.charge = charge
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, "idempotent"))
        await trio.sleep(1)
        running.kill("desk")
        await trio.sleep(60)
        assert (bank.calls, running.zombies) == (1, ("desk",))
        assert "is still running in an earlier life" in note(running), "not even what is idempotent runs beside itself"
        bank.gate.set()
        await trio.sleep(1)
        assert (running.zombies, await running.effects()) == ((), ())
        running.resume("desk")
        await trio.sleep(1)
        assert slot_of(running, "desk").state == (Receipt(bank.done[0], 7),)
        assert (bank.calls, left(running)) == (1, 0)


async def test_an_ask_of_a_handler_is_told_and_asks_again(processes: Processes, autojump_clock: MockClock) -> None:
    bank, log = Bank(), list[Any]()
    bank.raises = [ConnectionError("the line went dead")]
    shop = child(Shop, args={"log": log}, backoff=NO_BACKOFF)
    async with opened(desk(bank), shop, journal=processes()) as running:
        await running.ref("shop").tell(Order(7))
        await trio.sleep(1)
        assert isinstance(log[0], AgentFailed)
        assert not log[0].retry_safe
        assert "InDoubt" in str(log[0])
        (doubt,) = await running.effects("desk")
        assert doubt.kind == "Paid"
        await running.answer("desk", Done(Receipt(doubt.key, 7)))
        await trio.sleep(1)
        assert log[1:] == [Receipt(doubt.key, 7)]
        assert (bank.calls, slot_of(running, "shop").state, left(running)) == (1, 1, 0)


async def test_an_ask_from_outside_leaves_nothing_behind(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    async with opened(desk(bank), journal=processes()) as running:
        asked = running.ref("desk")
        first, second = await asked.ask(Paid(1)), await asked.ask(Paid(1))
        assert first.key != second.key
        assert left(running) == 0
        bank.raises = [ConnectionError("the line went dead")]
        with pytest.raises(AgentFailed, match="went dead") as failed:
            await asked.ask(Paid(2))
        assert not failed.value.retry_safe
        await trio.sleep(1)
        assert (left(running), running.snapshot()[0].held) == (0, False)
        assert [each.what for each in await happened(running, EffectNoted, 6)][4:] == ["begun", "in doubt"]
        bank.before = [RateLimited(0.5)]
        assert (await asked.ask(Paid(3), within=10)).amount == 3
        assert left(running) == 0
    recovered = processes()
    async with recovered as journal:
        assert (await journal.recover(running.ref("desk").path)).replies == ()


async def test_a_stashed_message_comes_back_with_its_steps(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()

    class Later(Desk):
        @handles
        async def pay(self, message: Pay) -> None:
            got = await self.charge(message.amount)
            if not self.log:
                self.log.append(got)
                self.after(1, Order())
                raise Stash
            self.state = (got,)

        @handles
        def order(self, message: Order) -> None:
            self.unstash()

    async with opened(child(Later, id="desk", args={"bank": bank, "log": []}), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(2)
        assert (bank.calls, len(slot_of(running, "desk").state), left(running)) == (1, 1, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("route", ["shared", "round_robin"])
async def test_of_a_pool_one_waits_and_the_others_go_on(
    processes: Processes, route: Any, autojump_clock: MockClock
) -> None:
    bank, log = Bank(), list[Any]()
    bank.raises = [ConnectionError("the line went dead")]
    desks = pool(desk(bank, log), size=3, route=route, id="desks")
    async with opened(desks, journal=processes()) as running:
        for amount in range(6):
            await running.ref("desks").tell(Pay(amount))
        await trio.sleep(1)
        assert [each.held for each in running.snapshot()].count(True) == 1
        assert len(log) == (5 if route == "shared" else 4)
    async with opened(desks, journal=processes()) as running:
        await trio.sleep(1)
        (doubt,) = await running.effects()
        assert bank.calls == 6 if route == "shared" else 5
        await running.answer("desks", Done({"key": doubt.key, "amount": 100}))
        await trio.sleep(1)
        assert not any(each.held for each in running.snapshot())
        amounts = sorted(each.amount for got in log for each in got)
        assert amounts[-1] == 100
        assert (len(amounts), len(set(bank.done)), bank.calls) == (6, 6, 6)
        assert await running.effects() == ()


async def test_three_deaths_do_not_set_aside_what_waits_for_a_person(
    processes: Processes, autojump_clock: MockClock
) -> None:
    bank = Bank()
    bank.gate = trio.Event()
    for death in range(5):
        with trio.CancelScope() as power:
            async with opened(desk(bank), journal=processes()) as running:
                if death == 0:
                    await running.ref("desk").tell(Pay(7))
                await trio.sleep(1)
                assert bank.calls == 1
                power.cancel()
                await trio.sleep_forever()
    async with opened(desk(bank), journal=processes()) as running:
        await trio.sleep(1)
        assert await running.dead_letters() == ()
        assert len(await running.effects()) == 1


class Refused(Agent[int]):
    """Where an effect has no place."""

    state = 0

    def __init__(self, said: list[str], where: str) -> None:
        self.said = said
        self.where = where

    async def act(self, call: Any = None, **options: Any) -> Any:
        async def plain(key: str) -> int:
            self.said.append("it ran")
            return 1

        try:
            return await self.effect(options.pop("name", "act"), call or plain, **options)
        except ConfigurationError as error:
            self.said.append(str(error))

    async def on_start(self) -> None:
        if self.where == "on_start":
            await self.act()
        if self.where == "helper":
            self.start_soon(self.act)

    @every(3600)
    async def tick(self) -> None:
        if self.where == "tick":
            await self.act()

    @handles
    async def order(self, message: Order) -> None:
        async def untold(key: str):  # noqa: ANN202
            self.said.append("it ran")

        async def odd(key: str) -> object:
            self.said.append("it ran")

        match self.where:
            case "handler" | "durability":
                await self.act()
            case "name":
                await self.act(name="two words")
            case "lambda":
                await self.act(lambda _key: untold(""))  # pyright: ignore[reportUnknownLambdaType]
            case "untold":
                await self.act(untold)
            case "odd":
                await self.act(odd)
            case "no call":
                await self.act(7)
            case "after":
                self.after(1, Pay())
            case "two":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.act)
                    nursery.start_soon(partial(self.act, name="other"))
            case _:
                pass

    @handles
    async def pay(self, message: Pay) -> None:
        await self.act()


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("on_start", "no message is in hand here"),
        ("helper", "no message is in hand here"),
        ("tick", "every:tick is in hand, which does not come again after a crash; tell a message"),
        ("after", "after:Pay is in hand, which does not come again after a crash; tell a message"),
        ("name", "its name is 'two words'; give letters, digits and _"),
        ("lambda", "nothing says what it returns; annotate what the function returns, or give returns="),
        ("untold", "nothing says what it returns"),
        ("odd", "its result: .*; it was not run"),
        ("no call", "7 cannot be called; give an async function that takes the key"),
        ("two", "another effect of this handler is running; await them one after the other"),
    ],
)
async def test_where_it_has_no_place(where: str, text: str, autojump_clock: MockClock) -> None:
    said: list[str] = []
    async with opened(child(Refused, args={"said": said, "where": where})) as running:
        await running.ref("refused").tell(Order())
        await trio.sleep(2)
    refused = [each for each in said if each != "it ran"]
    assert len(refused) == 1
    assert refused[0].startswith("refused: effect(")
    assert re.search(text, refused[0])
    assert said.count("it ran") == (1 if where == "two" else 0)


@pytest.mark.parametrize("durability", [VOLATILE, Checkpointed(messages=5)], ids=["volatile", "checkpoint"])
async def test_it_needs_the_disk(durability: Durability, autojump_clock: MockClock) -> None:
    said: list[str] = []
    spec = child(Refused, args={"said": said, "where": "durability"}, mailbox=MailboxSpec(durability=durability))
    async with opened(spec) as running:
        await running.ref("refused").tell(Order())
        await trio.sleep(1)
    assert len(said) == 1
    assert "what its agent does is not on disk; give its mailbox the durability 'message'" in said[0]


class LateDisk(Disk):
    """Whoever waits for a commit waits until the test says so; in order, as ever."""

    late = False

    def waits(self) -> list[str]:
        """What of steps and settles is on its way."""
        return [
            commit.replies[0].id.rpartition(">")[2] if commit.replies else "settle"
            for commit, _ in self._waiting
            if commit.by
        ]

    async def commit(self, commit: Commit) -> int:
        if not self.late:
            return await super().commit(commit)
        done = trio.Event()
        self.submit(commit, lambda error: done.set())
        await done.wait()
        return self.head


async def test_it_runs_when_what_it_rests_on_is_on_disk(autojump_clock: MockClock) -> None:
    """Output commit: neither an earlier settle nor its own beginning may be lost behind it."""
    journal, bank = LateDisk(), Bank()
    async with opened(desk(bank), journal=journal) as running:
        slot_of(running, "desk").pause("held")
        await running.ref("desk").tell(Pay(1))
        await running.ref("desk").tell(Pay(2, times=2))
        journal.slow = journal.late = True
        slot_of(running, "desk").resume("held")
        seen: list[tuple[int, list[str]]] = []
        for _ in range(7):
            await wait_all_tasks_blocked()
            seen.append((len(bank.done), journal.waits()))
            journal.go(1)
        journal.slow = journal.late = False
        journal.go()
        await trio.sleep(1)
        assert seen == [
            (0, ["begun"]),
            (1, ["done", "settle"]),
            (1, ["settle"]),  # the second message is in hand, and its effect waits for that
            (1, ["begun"]),
            (2, ["done", "begun"]),
            (2, ["begun"]),
            (3, ["done", "settle"]),
        ]
        assert [each.amount for each in slot_of(running, "desk").state] == [1, 2, 2]  # type: ignore[union-attr]


async def test_a_disk_that_takes_no_beginning_fails_nobody(autojump_clock: MockClock) -> None:
    journal, bank = Disk(), Bank()
    async with opened(desk(bank, deliveries=1), journal=journal) as running:
        await running.ref("desk").ask(Paid(1))
        journal.broken = lambda commit: any(row.kind == "begun" for row in commit.replies)
        await running.ref("desk").tell(Pay(2))
        await trio.sleep(5)
        assert bank.calls == 1
        journal.broken = lambda _: False
        await trio.sleep(30)
        assert (bank.calls, await running.dead_letters(), left(running)) == (2, (), 0)


async def test_a_result_that_the_disk_does_not_take_is_known_all_the_same(autojump_clock: MockClock) -> None:
    journal, bank, log = Disk(), Bank(), list[Any]()
    async with opened(desk(bank, log), journal=journal) as running:
        journal.broken = lambda commit: any(row.id.endswith(">done") for row in commit.replies)
        await running.ref("desk").tell(Pay(2))
        await trio.sleep(5)
        journal.broken = lambda _: False
        await trio.sleep(30)
        assert bank.calls == 1
        assert [each.amount for each in slot_of(running, "desk").state] == [2]  # type: ignore[union-attr]
        assert left(running) == 0
        assert (await journal.recover(running.ref("desk").path)).replies == ()


async def test_what_cannot_be_stored_was_done_all_the_same(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()

    async def charge(amount: int, key: str) -> Receipt:
        await Bank.charge(bank, amount, key)
        return None  # type: ignore[return-value]

    bank.charge = charge
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        assert "was done, and what it returned cannot be stored: it is None, and " in note(running)
        (doubt,) = await running.effects()
        await running.answer("desk", Done(Receipt(doubt.key, 7)))
        await trio.sleep(1)
        assert (bank.calls, len(bank.done), left(running)) == (1, 1, 0)


async def test_a_dead_letter_takes_its_steps_along(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    async with opened(desk(bank), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7, fails=99))
        await happened(running, DeadLettered)
        await trio.sleep(1)
        assert (bank.calls, left(running)) == (1, 0)


async def test_a_handler_that_catches_the_doubt_goes_on(processes: Processes, autojump_clock: MockClock) -> None:
    bank = Bank()
    bank.raises = [ConnectionError("the line went dead")]

    class Brave(Desk):
        @handles
        async def pay(self, message: Pay) -> None:
            try:
                await self.charge(message.amount)
            except InDoubt as doubt:
                self.log.append((doubt.path, doubt.name, doubt.since, doubt.key))

    log: list[Any] = []
    async with opened(child(Brave, id="desk", args={"bank": bank, "log": log}), journal=processes()) as running:
        await running.ref("desk").tell(Pay(7))
        await trio.sleep(1)
        assert log == [("desk", "charge", 0.0, bank.done[0])]
        assert (running.snapshot()[0].held, left(running)) == (False, 0)
