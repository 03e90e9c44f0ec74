"""Values of the wrong kind where Python checks no annotation: refused before anything starts, with the remedy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, cast

import pytest

from treewarden.agents.agent import Agent
from treewarden.agents.core.durability import Checkpointed, MailboxSpec
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.process import process
from treewarden.agents.retry import retry
from treewarden.supervisor.core.limits import QueueLimit
from treewarden.supervisor.core.measures import LatencyLimit
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import ChildSpec, SupervisorSpec
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import validate
from treewarden.topologies.core.routing import partition_of
from treewarden.topologies.gather import gather
from treewarden.topologies.open import open_tree
from treewarden.topologies.pipeline import stage
from treewarden.topologies.pool import pool
from treewarden.topologies.portal import open_portal
from treewarden.topologies.toml import loads
from treewarden.topologies.tree import tree


class Desk(Agent[int]):
    state = 0


def odd(value: object) -> Any:
    return value


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("restart", "permanent", "'permanent' is not a RestartPolicy; use RestartPolicy.PERMANENT, "),
        ("restore", "latest", "'latest' is not a Restore; use Restore.LATEST or Restore.INITIAL"),
        ("shutdown", 3, "3 is not a Grace or a BrutalKill; give Grace(seconds) or BRUTAL_KILL"),
        ("significant", 0, "0 is not a bool; give True or False"),
        ("mailbox", 5, "5 is not a MailboxSpec; give MailboxSpec(capacity=...)"),
        ("backoff", 0.5, "0.5 is not a Backoff; give Backoff(first=...)"),
        ("restarts", 3, "3 is not an Intensity or None; give Intensity(max_restarts, within)"),
        ("uses", "demo", "'demo' is not a tuple of texts; give ('name',)"),
        ("outlet", ("a", 3), "('a', 3) is not a tuple of texts; give ('../sibling',)"),
        ("overload", 3, "3 is not a QueueLimit or None; give QueueLimit(high=...)"),
        ("agent", 3, "3 makes no agents; give an Agent class"),
        ("args", 3, "3 is no mapping; give {'name': value}"),
    ],
)
def test_a_field_of_an_agent(field: str, value: object, text: str) -> None:
    fields: dict[str, Any] = {"id": "desk", "agent": Desk, field: value}
    (problem,) = validate(SupervisorSpec(id="office", children=(ChildSpec(**fields),)))
    assert str(problem).startswith(f"office.children[desk].{field}: {text}")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"overflow": "wait"},
            "mailbox.overflow: 'wait' is not an Overflow; use Overflow.WAIT, ",
        ),
        ({"durability": "volatile"}, "mailbox.durability: 'volatile' is not a Volatile, a Checkpointed or a Message; "),
    ],
)
def test_a_field_of_a_mailbox(fields: dict[str, Any], text: str) -> None:
    (problem,) = validate(tree(child(Desk, mailbox=MailboxSpec(**fields))))
    assert str(problem).startswith(f"tree.children[desk].{text}")


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("strategy", "one_for_one", "'one_for_one' is not a Strategy; use Strategy.ONE_FOR_ONE, "),
        ("auto_shutdown", "never", "'never' is not an AutoShutdown; use AutoShutdown.NEVER, "),
        ("restarts", 3, "3 is not an Intensity; give Intensity(max_restarts, within)"),
        ("policy", "otp", "'otp' is no policy; give what ladder(), otp(), table(...) or another of them returns"),
        ("policy", otp, "otp is no policy; give what ladder(), otp(), table(...) or another of them returns"),
        ("max_children", "3", "'3' is not a whole number; give one, 1 or more, or None"),
        ("on_start", 3, "3 cannot be called; give an async function of the path, or None"),
        ("router", 3, "3 chooses nobody; give SHARED, or None, or build it with pool(...) or partitions(...)"),
        ("entry", "a b", "'a b' is no path; give one that is seen from each child, or None"),
        ("topic", "../desk", "'../desk' is not a tuple of subscribers; build it with topic(...), or give None"),
    ],
)
def test_a_field_of_a_supervisor(field: str, value: object, text: str) -> None:
    (problem,) = validate(tree(Desk, id="office", **{field: odd(value)}))
    assert str(problem).startswith(f"office.{field}: {text}")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: child(Desk, args=odd(3)), "desk: args is 3; give a mapping, {'name': value}"),
        (lambda: stage(Desk, to=odd("sink")), "give the ids of stages, as in to=['sink'], or [] for none"),
        (lambda: stage(Desk, to=odd(None)), "give the ids of stages, as in to=['sink'], or [] for none"),
        (lambda: pool(Desk, size=2, route=odd(["shared"])), "is no route; use "),
        (lambda: pool(Desk, size=10**9), "desk.size: 1000000000 are more workers than a pool may have; give 1000000 "),
    ],
)
def test_what_a_builder_refuses(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Checkpointed(messages=odd("5")), "messages is '5'; it must be a whole number, 1 or more"),
        (lambda: Checkpointed(seconds=odd("5")), "seconds is '5'; it must be positive and finite"),
        (lambda: QueueLimit(high=odd("0.9")), "high is '0.9'; it is a share of the capacity, from 0 to 1"),
        (lambda: QueueLimit(oldest=odd("5")), "oldest is '5'; it must be more than 0 seconds, or None"),
        (lambda: LatencyLimit(most=1, of=odd(["handler"])), "of is ['handler']; say 'message', 'handler' or 'said'"),
    ],
)
def test_what_a_value_refuses(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        make()


@pytest.mark.parametrize(
    ("blueprint", "text"),
    [
        (Desk, "Desk is no blueprint; give what tree(...), pool(...) or pipeline(...) returns"),
        (child(Desk), "is no blueprint; give what tree("),
        (None, "None is no blueprint"),
    ],
)
async def test_what_is_no_blueprint(blueprint: object, text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        async with open_tree(cast("SupervisorSpec", blueprint)):
            pass
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"production": "no"}, "production is 'no'; give True or False"),
        ({"production": None}, "production is None; give True or False"),
        ({"wall": lambda: "12:00"}, "wall() is '12:00'; give a function that returns seconds since 1970"),
        ({"wall": lambda: math.nan}, "wall() is nan; give a function that returns seconds since 1970"),
        ({"wall": 12}, "wall is 12; give a function of nothing"),
    ],
)
async def test_an_option_of_a_tree(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(text)):
        async with open_tree(tree(Desk), **options):
            pass


@pytest.mark.parametrize("value", [None, 3, Desk])
async def test_a_call_says_what_it_was_to_be_given(value: object) -> None:
    with pytest.raises(ConfigurationError, match="is no list of refs; give gather those that"):
        await gather(odd(value), odd(value))
    with pytest.raises(ConfigurationError, match="is no tree that runs; give what"):
        async with open_portal(odd(value)):
            pass
    with pytest.raises(ConfigurationError, match="is no text; give that of a TOML file"):
        loads(odd(value))
    with pytest.raises(ConfigurationError, match="names no function; write 'module:name'"):
        process(odd(value))
    if value is not Desk:
        with pytest.raises(ConfigurationError, match="cannot be called; give an async function of nothing, and"):
            await retry(odd(value), within=1)
    if value != 3:
        with pytest.raises(TypeError, match="; give a whole number"):
            partition_of("key", odd(value))


async def test_what_is_no_path() -> None:
    async with open_tree(tree(Desk)) as running:
        with pytest.raises(ConfigurationError, match=r"3 is no path; give a text such as 'desk/writer'"):
            running.ref(odd(3))
        with pytest.raises(ConfigurationError, match="'a b' cannot name a slot"):
            running.kill("a b")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: child(Desk, **odd({"stop_within": 3})),
            "desk: there is no option 'stop_within'; did you mean 'start_within'? use ",
        ),
        (
            lambda: tree(Desk, **odd({"intensity": 3})),
            "tree: there is no option 'intensity'; use actions, auto_shutdown, ",
        ),
        (
            lambda: child(Desk, **odd({"deliveries": 3})),
            "desk: there is no option 'deliveries'; it stands in mailbox=MailboxSpec(deliveries=...)",
        ),
        (
            lambda: tree(Desk, **odd({"max_restarts": 3})),
            "tree: there is no option 'max_restarts'; it stands in restarts=Intensity(max_restarts=...)",
        ),
        (
            lambda: pool(Desk, **odd({"mailbox": 3})),
            "desk: there is no option 'mailbox'; it is one of an agent: child(..., mailbox=...)",
        ),
        (lambda: pool(Desk, **odd({"sise": 3})), "desk: there is no option 'sise'; use actions, auto_shutdown, "),
    ],
)
def test_an_option_that_there_is_not(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(text)}"):
        make()


@pytest.mark.parametrize(
    ("children", "text"),
    [
        (5, "children: 5 is not a tuple of specs; give a tuple of what child(...) and tree(...) return"),
        ("ab", "children: 'ab' is not a tuple of specs; "),
        ((Desk,), " is not a tuple of specs; "),
    ],
)
@pytest.mark.parametrize("below", [False, True])
async def test_children_that_are_none(children: object, text: str, below: bool) -> None:
    office = SupervisorSpec(id="office", children=odd(children))
    with pytest.raises(ConfigurationError) as refused:
        async with open_tree(SupervisorSpec(children=(office,)) if below else office):
            pass
    assert text in str(refused.value)
