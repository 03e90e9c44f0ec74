from __future__ import annotations

import math
from typing import Any

import pytest

from treewarden.agents.core.durability import MESSAGE, Checkpointed, MailboxSpec, Overflow


def test_the_defaults_lose_nothing_and_wait() -> None:
    spec = MailboxSpec()
    assert (spec.capacity, spec.overflow, spec.durability, spec.deliveries) == (64, Overflow.WAIT, MESSAGE, 2)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"capacity": 0}, "capacity is 0; it must be a whole number, 1 or more"),
        ({"capacity": -1}, "capacity is -1"),
        ({"capacity": 1.5}, "capacity is 1.5"),
        ({"capacity": True}, "capacity is True"),
        ({"capacity": "8"}, "capacity is '8'"),
        ({"deliveries": 0}, "deliveries is 0"),
    ],
)
def test_a_mailbox_that_cannot_work_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text.replace("(", r"\(")):
        MailboxSpec(**fields)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "checkpoint every what"),
        ({"messages": 0}, "messages is 0"),
        ({"messages": True}, "messages is True"),
        ({"seconds": 0.0}, "seconds is 0.0"),
        ({"seconds": -1.0}, "seconds is -1.0"),
        ({"seconds": math.inf}, "seconds is inf"),
        ({"seconds": math.nan}, "seconds is nan"),
        ({"seconds": True}, "seconds is True"),
    ],
)
def test_a_checkpoint_that_never_comes_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Checkpointed(**fields)


def test_a_checkpoint_by_messages_by_seconds_or_by_both() -> None:
    assert Checkpointed(messages=3).seconds is None
    assert Checkpointed(seconds=0.5).messages is None
    assert Checkpointed(messages=3, seconds=0.5) == Checkpointed(3, 0.5)
