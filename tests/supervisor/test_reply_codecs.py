"""Which replies of an agent can be stored."""

from __future__ import annotations

import pytest
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.codecs import codec_of_class


@frozen
class Receipt:
    number: int


@frozen
class Pay(Request[Receipt]): ...


@frozen
class Peek(Request[object]): ...


class Desk(Agent[None]):
    @handles
    def pay(self, message: Pay) -> Receipt:
        return Receipt(1)

    @handles
    def peek(self, message: Peek) -> object:
        return object()


def test_a_reply_that_cannot_be_stored_costs_the_others_nothing() -> None:
    codec = codec_of_class(Desk)
    assert codec.encode(Receipt(1))[2] == '{"number":1}'
    with pytest.raises(ConfigurationError, match="builtins:object is not known to this agent's codec"):
        codec.encode(object())
