"""A handler asks a person a question, and gets an answer that fits: the first one, also in another process."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import (
    Agent,
    AlreadyRuled,
    Answered,
    Approved,
    ConfigurationError,
    Expired,
    MailboxSpec,
    Refused,
    handles,
)
from treewarden.agents.testing import run_handler
from treewarden.supervisor.core.event import ApprovalNoted
from treewarden.supervisor.core.spec import NO_BACKOFF
from treewarden.topologies import child

from .approvals_desk import left, opened, waiting
from .approvals_desk import processes as processes
from .effects_desk import Processes
from .trees import happened


@frozen
class Order:
    what: str = "supplier"


@frozen
class Pay:
    cents: int


class Buyer(Agent[int]):
    state = 0

    def __init__(self, form: dict[str, Any], said: list[Any] | None = None) -> None:
        self.form = form
        self.said = [] if said is None else said

    @handles
    async def order(self, message: Order) -> None:
        ask: Any = self.ask_person
        form: dict[str, Any] = {"prompt": "Which one?", "within": 100.0, **self.form}
        self.said.append(await ask(message.what, **form))

    @handles
    async def pay(self, message: Pay) -> None:
        await self.approval("pay", about=message)


CHOICES = ("ups", "dhl", "by hand")


def buyer(said: list[Any], **form: Any) -> Any:
    return child(Buyer, id="desk", args={"form": form, "said": said}, backoff=NO_BACKOFF, mailbox=MailboxSpec())


async def test_a_person_answers(processes: Processes, autojump_clock: MockClock) -> None:
    said = list[Any]()
    async with opened(buyer(said, choices=CHOICES), journal=processes()) as running:
        await running.ref("desk").tell(Order())
        (wait,) = await waiting(running)
        assert (wait.path, wait.wait, wait.what, wait.of) == ("desk", "supplier", "question", "question")
        assert wait.about == {"prompt": "Which one?", "choices": list(CHOICES), "returns": "str"}
        for value, text in (
            ("usp", r"did you mean 'ups'\? They are ups, dhl and by hand"),
            (7, "the answer 7 is none of the choices"),
        ):
            with pytest.raises(ConfigurationError, match=f"desk: the supplier of Order .*{text}") as refused:
                await running.rule("desk", Answered("eve", value), key=wait.key)
            assert not isinstance(refused.value, AlreadyRuled)
        with pytest.raises(ConfigurationError, match="desk: name the key of what is answered, so that .*: " + wait.key):
            await running.rule("desk", Answered("eve", "ups"))
        with pytest.raises(ConfigurationError, match="is a question, which nobody approves; answer it"):
            await running.rule("desk", Approved("eve"), key=wait.key)
        assert await waiting(running) == [wait], "what was refused has changed nothing"
    async with opened(buyer(said, choices=CHOICES), journal=processes()) as running:
        assert await running.waits() == (wait,)
        at = trio.current_time()
        await running.rule("desk", Answered("ada", "by hand"), key=wait.key)
        with pytest.raises(AlreadyRuled, match=r"was answered by ada at .*: 'by hand'"):
            await running.rule("desk", Answered("eve", "ups"), key=wait.key)
        await trio.sleep(1)
        assert said == [Answered("ada", "by hand", at)]
        with pytest.raises(AlreadyRuled, match=r"the supplier for .* was answered by ada at .*: 'by hand'"):
            await running.rule("desk", Refused("eve"), key=wait.key)
        noted = await happened(running, ApprovalNoted, 2)
        assert [(each.what, each.by) for each in noted] == [("asked", ""), ("answered", "ada")]
        assert (noted[0].about, noted[1].about) == ({"question": wait.about}, {"answer": "by hand"})
        assert left(running) == 0


async def test_of_two_who_answer_at_once_one_is_heard(processes: Processes, autojump_clock: MockClock) -> None:
    said, heard = list[Any](), list[Any]()
    async with opened(buyer(said, choices=CHOICES), journal=processes()) as running:
        await running.ref("desk").tell(Order())
        (wait,) = await waiting(running)

        async def answer(value: str) -> None:
            try:
                await running.rule("desk", Answered("ada", value), key=wait.key)
                heard.append(value)
            except AlreadyRuled:
                pass

        async with trio.open_nursery() as nursery:
            for value in CHOICES:
                nursery.start_soon(answer, value)
        await trio.sleep(1)
        assert len(heard) == 1
        assert [each.value for each in said] == heard


@pytest.mark.parametrize(
    ("returns", "value", "answer", "wrong"),
    [
        (str, "for the rain", "for the rain", ["", " ", 5, "x" * 4001]),
        (int, "-40", -40, ["4.5", "many", 4.0, True, 2**63]),
        (int, 7, 7, [None]),
        (float, "4.5", 4.5, ["nan", "inf", "", True]),
        (float, 4, 4.0, [2**5000]),
    ],
    ids=["text", "whole", "a whole number", "number", "a number"],
)
async def test_an_answer_is_of_the_type_that_was_asked_for(
    returns: Any, value: Any, answer: Any, wrong: list[Any], processes: Processes, autojump_clock: MockClock
) -> None:
    said = list[Any]()
    async with opened(buyer(said, returns=returns), journal=processes()) as running:
        await running.ref("desk").tell(Order())
        (wait,) = await waiting(running)
        for each in wrong:
            with pytest.raises(ConfigurationError, match=r"desk: the supplier of Order .*the answer "):
                await running.rule("desk", Answered("ada", each), key=wait.key)
        await running.rule("desk", Answered("ada", value), key=wait.key)
    async with opened(buyer(said, returns=returns), journal=processes()) as running:
        await trio.sleep(1)
        assert [(each.value, type(each.value)) for each in said] == [(answer, returns)]
        assert left(running) == 0


async def test_what_was_answered_is_what_was_asked(processes: Processes, autojump_clock: MockClock) -> None:
    """Another release asks in other words: what was said of the old ones counts no more, and it is asked anew."""
    said = list[Any]()
    async with opened(buyer(said, choices=CHOICES), journal=processes()) as running:
        await running.ref("desk").tell(Order())
        (wait,) = await waiting(running)
    async with opened(buyer(said, choices=CHOICES[::-1]), journal=processes()) as running:
        await running.rule("desk", Answered("ada", "ups"), key=wait.key)
        await trio.sleep(1)
        (other,) = await waiting(running)
        assert (said, other.about["choices"], other.key == wait.key) == ([], list(CHOICES[::-1]), False)
        await running.rule("desk", Refused("ada", reason="no idea"), key=other.key)
        await trio.sleep(1)
        assert [type(each) for each in said] == [Refused]


async def test_nobody_answers(processes: Processes, autojump_clock: MockClock) -> None:
    said = list[Any]()
    async with opened(buyer(said), journal=processes()) as running:
        await running.ref("desk").tell(Order())
        (wait,) = await waiting(running)
        await trio.sleep(101)
        assert said == [Expired(wait.until or 0.0)]


async def test_what_is_to_be_approved_has_no_answer(processes: Processes, autojump_clock: MockClock) -> None:
    async with opened(buyer([]), journal=processes()) as running:
        await running.ref("desk").tell(Pay(5))
        (wait,) = await waiting(running)
        with pytest.raises(ConfigurationError, match=r"the pay of Pay .* is no question, and has no answer"):
            await running.rule("desk", Answered("ada", "yes"), key=wait.key)
        with pytest.raises(ConfigurationError, match="no question with the key '0' waits there, but"):
            await running.rule("desk", Answered("ada", "yes"), key="0")
        assert await waiting(running) == [wait]


async def test_a_test_says_what_a_person_answered() -> None:
    run = await run_handler(Buyer({"choices": CHOICES}), Order())
    assert run.parked is not None
    assert (run.parked.name, run.parked.about.prompt, run.parked.about.choices) == ("supplier", "Which one?", CHOICES)
    said = list[Any]()
    await run_handler(Buyer({}, said), Order(), waits={"supplier": Answered("ada", "ups")})
    assert said == [Answered("ada", "ups")]
    wrong = await run_handler(Buyer({}), Order(), waits={"supplier": Approved("ada")})
    assert "ask_person('supplier'): waits says Approved" in str(wrong.error)
    other = await run_handler(Buyer({}), Pay(5), waits={"pay": Answered("ada", "ups")})
    assert "approval('pay'): waits says Answered" in str(other.error)
    none = await run_handler(Buyer({"choices": CHOICES}), Order(), waits={"supplier": Answered("ada", "usp")})
    assert isinstance(none.error, ConfigurationError)
    assert "ask_person('supplier'): waits says what nobody could: the answer 'usp' is none of" in str(none.error)
    await run_handler(Buyer({"returns": int}, said), Order(), waits={"supplier": Answered("ada", "5")})
    assert said[-1].value == 5, "as it is when a shell or a form has said it"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"prompt": 5}, "prompt is 5; it must be a text"),
        ({"prompt": " "}, "prompt is ' '; say what a person is asked"),
        ({"choices": "ab"}, "choices is 'ab'; give a tuple of texts"),
        ({"choices": {"a"}}, "choices is {'a'}; give a tuple of texts"),
        ({"choices": ("a", "a")}, r"choices\[1\] is 'a' once more"),
        ({"choices": ("a", "b\n")}, r"choices\[1\] is 'b\\n'; give a text of one line"),
        ({"choices": (5,)}, r"choices\[0\] is 5; give a text of one line"),
        ({"returns": bool}, "returns is <class 'bool'>; a person answers with str, int or float"),
        ({"returns": int, "choices": ("1",)}, "returns is int, and there are choices"),
        ({"within": 0}, "within is 0; give the seconds"),
    ],
    ids=["number", "blank", "text", "set", "twice", "line", "choice", "bool", "both", "within"],
)
async def test_what_cannot_be_asked(form: dict[str, Any], text: str) -> None:
    run = await run_handler(Buyer(form), Order())
    assert isinstance(run.error, ConfigurationError)
    with pytest.raises(ConfigurationError, match=rf"agent: ask_person\('supplier'\): {text}|agent: ask_person: {text}"):
        raise run.error
