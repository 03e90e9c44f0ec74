"""What is wrong with an agent's class is said when the class is made."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, Optional, TypeVar, cast

import pytest
from attrs import frozen

from treewarden.agents.agent import (
    Agent,
    every,
    handles,
    is_agent_class,
    made_by,
    overrides,
    reply_type,
    state_type,
)
from treewarden.agents.core.message import Request
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.life import Life

T = TypeVar("T")


@frozen
class Add:
    amount: int = 1


@frozen
class Sub:
    amount: int = 1


@frozen
class Total(Request[int]):
    pass


@frozen
class Names(Request[list[str]]):
    pass


@frozen
class Later(Request["NotYet"]):
    pass


@frozen
class Tally:
    total: int = 0


class NotYet:
    pass


def no_annotation() -> type:
    class Wrong(Agent[None]):
        @handles
        def add(self, message) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    return Wrong


def no_message() -> type:
    class Wrong(Agent[None]):
        @handles
        def add(self) -> None: ...

    return Wrong


def two_messages() -> type:
    class Wrong(Agent[None]):
        @handles
        def add(self, one: Add, other: Sub) -> None: ...

    return Wrong


def any_number() -> type:
    class Wrong(Agent[None]):
        @handles
        def add(self, *messages: Add) -> None: ...

    return Wrong


def by_keyword() -> type:
    class Wrong(Agent[None]):
        @handles
        def add(self, *, message: Add) -> None: ...

    return Wrong


def not_a_class() -> type:
    class Wrong(Agent[None]):
        @handles
        def add(self, message: T) -> None: ...  # type: ignore[misc]

    return Wrong


def unknown() -> type:
    class Local:
        pass

    class Wrong(Agent[None]):
        @handles
        def add(self, message: Local) -> None: ...

    return Wrong


def twice() -> type:
    class Wrong(Agent[None]):
        @handles
        def add(self, message: Add) -> None: ...

        @handles
        def plus(self, message: Sub | Add) -> None: ...

    return Wrong


def yields() -> type:
    class Wrong(Agent[None]):
        @handles
        def add(self, message: Add) -> Iterator[int]:
            yield 1

    return Wrong


def yields_slowly() -> type:
    class Wrong(Agent[None]):
        @every(1)
        async def add(self) -> AsyncIterator[int]:
            yield 1

    return Wrong


def static() -> type:
    class Wrong(Agent[None]):
        @handles
        @staticmethod
        def add(message: Add) -> None: ...

    return Wrong


def tick_with_message() -> type:
    class Wrong(Agent[None]):
        @every(1)
        def poll(self, message: Add) -> None: ...

    return Wrong


def anything() -> type:
    class Wrong(Agent[None]):
        @handles
        def add(self, message: Any) -> None: ...

    return Wrong


def tick_too_often() -> type:
    class Wrong(Agent[None]):
        @every(0)
        def poll(self) -> None: ...

    return Wrong


def tick_without_period() -> type:
    class Wrong(Agent[None]):
        @every  # type: ignore[arg-type]
        def poll(self) -> None: ...

    return Wrong


def both_marked() -> type:
    class Wrong(Agent[None]):
        @every(1)
        @handles
        async def add(self, message: Add) -> None: ...

    return Wrong


def marked_both() -> type:
    class Wrong(Agent[None]):
        @handles
        @every(1)
        async def add(self, message: Add) -> None: ...

    return Wrong


def test_what_else_is_noted_beside_the_type_of_a_message_is_passed_over() -> None:
    def add(self: object, message: object) -> None: ...

    add.__annotations__["message"] = Annotated[Add | Annotated[Sub, "less"], "counted"]  # as it is without __future__
    made = type("Counter", (Agent,), {"add": handles(add)})
    assert made.handled == {Add, Sub}
    add.__annotations__["message"] = None
    assert type("Nothing", (Agent,), {"add": handles(add)}).handled == {type(None)}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (no_annotation, "Wrong.add: annotate 'message' with the type of message it handles"),
        (no_message, "Wrong.add: a handler takes self and one message, not (self)"),
        (two_messages, "Wrong.add: a handler takes self and one message, not (self, one: 'Add', other: 'Sub')"),
        (any_number, "Wrong.add: a handler takes self and one message"),
        (by_keyword, "Wrong.add: a handler takes self and one message"),
        (anything, "Wrong.add: Any names no class; write object for whatever comes"),
        (not_a_class, "Wrong.add: ~T is not a class; handle a class or a union of classes"),
        (unknown, "Wrong.add: the type of its message, Local, is not known when the class is made"),
        (twice, "Wrong.plus: add handles Add too; leave one of them"),
        (yields, "Wrong.add: it yields; a handler returns its reply"),
        (yields_slowly, "Wrong.add: it yields"),
        (static, "Wrong.add is a staticmethod; mark a method"),
        (tick_with_message, "Wrong.poll: an @every method takes nothing but self"),
        (tick_too_often, "Wrong.poll: its period is 0; give a positive number of seconds"),
        (tick_without_period, "Wrong.poll: @every needs its period; @every(30)"),
        (both_marked, "Wrong.add: it is marked as a handler and as a tick; a tick has no message: write two"),
        (marked_both, "Wrong.add: it is marked as a handler and as a tick"),
    ],
)
def test_a_class_that_cannot_work_is_refused(make: Callable[[], type], text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert text in str(refused.value)


def test_other_annotations_are_left_alone() -> None:
    class Fine(Agent[None]):
        @handles
        def add(self, message: Add) -> Missing: ...  # type: ignore[name-defined]  # noqa: F821

    assert set(Fine.handlers) == {Add}


# -- what a class says about itself


def test_the_type_of_a_state() -> None:
    class Declared(Agent[Tally]):
        state = Tally()

    class Inherited(Declared):
        pass

    class Undeclared(Agent):  # type: ignore[type-arg]
        state = Tally()

    class Without(Agent[None]):
        pass

    class Perhaps(Agent[Optional[Tally]]):  # noqa: UP045
        state = None

    assert [state_type(each) for each in (Declared, Inherited, Undeclared, Without)] == [
        Tally,
        Tally,
        Tally,
        type(None),
    ]
    assert state_type(Perhaps) == Tally | None


def test_the_type_of_a_reply() -> None:
    assert [reply_type(each) for each in (Total, Names, Add, Later)] == [int, list[str], type(None), type(None)]


def test_what_makes_agents() -> None:
    class Fine(Agent[None]):
        def __init__(self, size: int = 0) -> None:
            self.size = size

    assert is_agent_class(Fine)
    assert not is_agent_class(Fine())
    assert not is_agent_class(made_by)
    assert vars(made_by(Fine, {"size": 3})) == {"size": 3}
    assert isinstance(made_by(lambda: Fine(1), {}), Fine)
    with pytest.raises(ConfigurationError, match="gave dict, which is no Agent"):
        made_by(dict, {})


def test_what_a_class_overrides() -> None:
    class Starts(Agent[None]):
        async def on_start(self) -> None: ...

    class Inherits(Starts):
        pass

    assert overrides(Starts, "on_start")
    assert overrides(Inherits(), "on_start")
    assert not overrides(Starts, "run")


def test_an_agent_that_wakes_late_has_no_dict_of_its_own() -> None:
    """It would have, if its class heard of `state` and `life` when there are many instances: 230 bytes of each."""

    class Many(Agent[None]):
        def __init__(self, number: int) -> None:
            self.number = number

    made = [Many(number) for number in range(100)]
    for agent in made:
        agent.state = None
        agent.life = cast("Life", agent)
    assert not any(isinstance(each, dict) for each in gc.get_referents(made[-1]))
