"""Which handler of a class, its bases and mixins a message goes to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from attrs import frozen

from treewarden.agents.agent import Agent, every, handles, lookup

from .trees import Add

T = TypeVar("T")


@frozen
class Sub:
    amount: int = 1


@frozen
class More(Add):
    pass


@frozen
class Box(Generic[T]):
    inner: T


def called(agent: type[Agent[Any]], message: object) -> Any:
    handler = lookup(agent, type(message))
    assert handler is not None
    return handler(agent(), message)


def test_a_union_is_each_of_its_types_and_a_generic_is_its_class() -> None:
    class Many(Agent[None]):
        @handles
        def some(self, message: Add | Box[int] | None) -> str:
            return "some"

    assert set(Many.handlers) == {Add, Box, type(None)}
    assert called(Many, Box(1)) == "some"


def test_a_subclass_handles_what_its_bases_do_and_a_mixin_too() -> None:
    class Mixin:
        @handles
        def sub(self, message: Sub) -> str:
            return "mixin"

        @every(5)
        def poll(self) -> None: ...

    class Base(Agent[None]):
        @handles
        def add(self, message: Add) -> str:
            return "base"

    class Both(Mixin, Base):
        @every(7)
        def other(self) -> None: ...

    assert called(Both, Add()) == "base"
    assert called(Both, Sub()) == "mixin"
    assert {each.name: each.period for each in Both.repeated} == {"poll": 5, "other": 7}
    assert Base.repeated == ()
    assert Agent.handlers == {}


def test_whoever_overrides_a_handler_handles_the_same_messages() -> None:
    class Base(Agent[None]):
        @handles
        def add(self, message: Add) -> str:
            return "base"

        @every(5)
        def poll(self) -> str:
            return "base"

    class Override(Base):
        def add(self, message: Add) -> str:
            return f"override of {super().add(message)}"

        def poll(self) -> str:
            return "override"

    assert called(Override, Add()) == "override of base"
    (poll,) = Override.repeated
    assert (poll.call(Override()), poll.period) == ("override", 5)
    assert called(Base, Add()) == "base"


def test_a_marked_override_may_handle_something_else() -> None:
    class Base(Agent[None]):
        @handles
        def add(self, message: Add) -> str:
            return "base"

    class Changed(Base):
        @handles
        def add(self, message: Sub) -> str:  # type: ignore[override]
            return "changed"

    assert set(Changed.handlers) == {Sub}


def test_the_nearest_class_wins_whatever_the_name_of_its_method() -> None:
    class Base(Agent[None]):
        @handles
        def add(self, message: Add) -> str:
            return "base"

    class Left(Base):
        pass

    class Right(Base):
        @handles
        def plus(self, message: Add) -> str:
            return "right"

    class Both(Left, Right):
        pass

    assert called(Both, Add()) == "right"


def test_a_message_of_a_subclass_goes_to_the_handler_of_its_base() -> None:
    class Base(Agent[None]):
        @handles
        def add(self, message: Add) -> str:
            return "add"

    assert called(Base, More()) == "add"
    assert lookup(Base, Sub) is None


def test_a_decorated_handler_keeps_its_message() -> None:
    def logged(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(self: Any, message: Any) -> Any:
            return ["logged", method(self, message)]

        return call

    class Logged(Agent[None]):
        @handles
        @logged
        def add(self, message: Add) -> str:
            return "add"

    assert called(Logged, Add()) == ["logged", "add"]
