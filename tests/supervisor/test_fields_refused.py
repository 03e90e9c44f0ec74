"""A spec that comes to a supervisor that runs is looked at whole: one field of another kind ended the tree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import attrs
import pytest
from attrs import evolve, frozen
from trio.testing import MockClock

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.calls import SupervisorRef
from treewarden.supervisor.core.fields import check_fields
from treewarden.supervisor.core.spec import (
    SHARED,
    ChildSpec,
    RestartPolicy,
    Spec,
    Strategy,
    Subscriber,
    SupervisorSpec,
)
from treewarden.supervisor.registry import Pool
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree


@frozen
class Ping(Request[int]):
    """Ask for a sign of life."""


class Desk(Agent[None]):
    @handles
    def ping(self, message: Ping) -> int:
        return 1


ANY: Any = object()
DESK = ChildSpec(id="new", agent=Desk)
WRONG: dict[str, Spec] = {
    **{
        name: evolve(DESK, **{name: ANY})
        for name in (
            *("args", "backoff", "restarts", "restore", "loops", "intake", "overload", "retention"),
            *("variants", "uses", "outlet", "mailbox", "shutdown", "agent", "restart"),
        )
    },
    "agents of variants": evolve(DESK, variants={"old": ANY}),
    "overflow": evolve(DESK, mailbox=MailboxSpec(overflow=ANY)),
    "durability": evolve(DESK, mailbox=MailboxSpec(durability=ANY)),
}
CALLS: dict[str, Callable[[SupervisorRef, Spec], Awaitable[object]]] = {
    "start_child": lambda supervisor, spec: supervisor.start_child(spec),
    "start_child below": lambda supervisor, spec: supervisor.start_child(SupervisorSpec(id="below", children=(spec,))),
    "replace": lambda supervisor, spec: supervisor.replace(tree(Desk, cast("ChildSpec", spec))),
    "reload": lambda supervisor, spec: supervisor.reload(tree(Desk, cast("ChildSpec", spec))),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("field", WRONG)
async def test_is_refused_and_changes_nothing(field: str, call: str, autojump_clock: MockClock) -> None:
    async with open_tree(tree(Desk)) as running:
        with pytest.raises(ConfigurationError, match=r"^/: new: .*; (give|use) "):
            await CALLS[call](running.supervisor(), WRONG[field])
        assert [view.id for view in await running.supervisor().children()] == ["desk"]
        assert await running.ref("desk").ask(Ping()) == 1


@pytest.mark.parametrize("field", ["restarts", "restart_bucket", "policy", "max_children", "on_start", "children"])
def test_a_supervisor_is_looked_at_too(field: str) -> None:
    wrong = SupervisorSpec(id="below", **{field: ANY})
    with pytest.raises(ValueError, match=rf"^below: {field} is <object .*; give "):
        check_fields(SupervisorSpec(children=(wrong,)))


SHAPES: dict[str, dict[str, Any]] = {
    "router": {"router": ANY},
    "router, a class": {"router": Pool},
    "entry": {"router": SHARED, "entry": ANY},
    "entry, no path": {"router": SHARED, "entry": "a b"},
    "topic": {"topic": ANY},
    "topic, a text": {"topic": "../desk"},
    "topic of texts": {"topic": ("../desk",)},
    "topic, no path": {"topic": (Subscriber("../a b"),)},
    "topic, no overflow": {"topic": (Subscriber("../desk", overflow=ANY),)},
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("shape", SHAPES)
async def test_so_is_what_answers_at_a_path(shape: str, call: str, autojump_clock: MockClock) -> None:
    new = SupervisorSpec(id="new", children=(ChildSpec(id="x", agent=Desk),), **SHAPES[shape])
    async with open_tree(tree(Desk)) as running:
        with pytest.raises(ConfigurationError, match=r"^/: new: (router|entry|topic) is .*; (give|build) "):
            await CALLS[call](running.supervisor(), new)
        assert await running.ref("desk").ask(Ping()) == 1


@pytest.mark.parametrize("kind", [ChildSpec, SupervisorSpec])
def test_what_is_made_without_options_is_good(kind: type[Spec]) -> None:
    fields: dict[str, Any] = {"id": "a", "restart": RestartPolicy.TRANSIENT}
    if "agent" in attrs.fields_dict(kind):
        fields["agent"] = Desk
    assert check_fields(spec := kind(**fields)) is spec


LONG = "d" * 199
DEEP = "/".join([LONG] * 10)
"""One character less than a path may have."""


def below(spec: SupervisorSpec) -> SupervisorSpec:
    """With `spec` where its path is `DEEP`."""
    for _ in range(9):
        spec = SupervisorSpec(id=LONG, children=(spec,))
    return tree(spec)


PLACED: dict[str, Callable[[SupervisorRef], Awaitable[object]]] = {
    "start_child": lambda deep: deep.start_child(DESK),
    "replace": lambda deep: deep.replace(SupervisorSpec(id=LONG, children=(DESK,))),
    "reload": lambda deep: deep.reload(SupervisorSpec(id=LONG, children=(DESK,))),
}


@pytest.mark.parametrize("call", PLACED)
async def test_a_child_that_nobody_could_name_is_refused(call: str, autojump_clock: MockClock) -> None:
    async with open_tree(below(SupervisorSpec(id=LONG))) as running:
        deep = running.supervisor(DEEP)
        with pytest.raises(ConfigurationError, match="'new' would have a path of 2,003 characters, and 2,000 are the "):
            await PLACED[call](deep)
        assert await deep.children() == ()


@pytest.mark.parametrize("nested", [False, True])
async def test_so_is_a_dynamic_one(nested: bool, autojump_clock: MockClock) -> None:
    template = evolve(DESK, id="x" * 5)
    if nested:
        template = SupervisorSpec(id="x", children=(template,))
    id = LONG[:-8]
    async with open_tree(below(SupervisorSpec(id=id, strategy=Strategy.DYNAMIC, children=(template,)))) as running:
        deep = running.supervisor(DEEP[:-8])
        with pytest.raises(ConfigurationError, match=r"would have a path of 2,00\d characters"):
            await deep.start_dynamic(id="n" * (3 if nested else 9))
        assert await deep.children() == ()
        started = await deep.start_dynamic(id="n" * (2 if nested else 8))
        if not nested:
            assert await running.ref(started.path).ask(Ping()) == 1


async def test_a_dynamic_subtree_is_looked_at_wherever_it_begins(autojump_clock: MockClock) -> None:
    """With an id of five characters what is deepest in it has a path of 2,000."""
    template = evolve(below(SupervisorSpec(id=LONG[:-9], children=(DESK,))), id="t")
    async with open_tree(tree(template, strategy=Strategy.DYNAMIC)) as running:
        root = running.supervisor()
        with pytest.raises(ConfigurationError, match="'new' would have a path of 2,001 characters"):
            await root.start_dynamic(id="n" * 6)
        started = await root.start_dynamic(id="n" * 5)
        assert await running.ref(f"{started.path}/{DEEP[:-9]}/new").ask(Ping()) == 1
