"""What `validate` finds in blueprints that were built by hand."""

from __future__ import annotations

from typing import Any, cast

import attrs
import pytest

from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.spec import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    RestartPolicy,
    Spec,
    Strategy,
    SupervisorSpec,
)
from treewarden.topologies.core.blueprint import Place, validate, walk
from treewarden.topologies.core.routing import RoundRobin


def agent(size: int = 1) -> object:
    """Makes no agents, but has a signature."""
    return size


def needs(url: str) -> object:
    """As `agent`, with an argument that it cannot do without."""
    return url


def leaf(id: str, **fields: Any) -> ChildSpec:
    given: dict[str, Any] = {"agent": agent, **fields}
    return ChildSpec(id=id, **given)


def desk(*children: Spec, **fields: Any) -> SupervisorSpec:
    given: dict[str, Any] = {"id": "desk", **fields}
    return SupervisorSpec(children=children, **given)


def pool(id: str, *workers: Spec) -> SupervisorSpec:
    return SupervisorSpec(id=id, children=workers, router=RoundRobin())


def test_a_good_one_has_no_problems() -> None:
    tree = desk(
        pool("writer", leaf("0", outlet=("../../outbox",)), leaf("1", outlet=("outbox",))),
        leaf("outbox", outlet=("../nested/log",)),
        desk(leaf("log"), id="nested", strategy=Strategy.DYNAMIC, max_children=3),
        desk(leaf("job", agent=needs), id="jobs", strategy=Strategy.DYNAMIC),
        leaf("last", significant=True, restart=RestartPolicy.TRANSIENT, outlet=("/writer", "nested/job-7")),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    assert validate(tree) == ()


@pytest.mark.parametrize(
    ("tree", "texts"),
    [
        (
            desk(leaf("a"), leaf("b"), leaf("a"), leaf("a")),
            [
                "desk.children[2].id: 'a' is the id of desk.children[0] too; name one of them differently",
                "desk.children[3].id: 'a' is the id of desk.children[0] too; name one of them differently",
            ],
        ),
        (
            desk(leaf("a", significant=True, restart=RestartPolicy.TEMPORARY)),
            [
                "desk.children[a].significant: true counts for nothing while auto_shutdown of desk is 'never'; "
                "say there 'any_significant' or 'all_significant', or leave it out"
            ],
        ),
        (
            desk(
                leaf("a", restart=RestartPolicy.TRANSIENT),
                strategy=Strategy.DYNAMIC,
                auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
            ),
            [
                "desk.auto_shutdown: 'any_significant' is for children that are listed; under simple_one_for_one they "
                "come and go; leave it out"
            ],
        ),
        (
            desk(strategy=Strategy.DYNAMIC),
            [
                "desk.children: 'desk' has 0 children; under simple_one_for_one they are all made from one template; "
                "give exactly one child, the template"
            ],
        ),
        (
            desk(leaf("a"), strategy=Strategy.DYNAMIC, max_children=0),
            ["desk.max_children: 0 lets no child start; give 1 or more"],
        ),
        (
            desk(leaf("a"), max_children=3),
            [
                "desk.max_children: 3 limits only children of a template; "
                "say strategy = 'simple_one_for_one', or leave it out"
            ],
        ),
        (desk(pool("w")), ["desk.children[w].children: 'w' is a pool without workers; give it a worker"]),
        (
            desk(pool("w", desk(id="inner"))),
            ["desk.children[w].workers: 'inner' is a supervisor; a pool's workers are agents; give an agent"],
        ),
        (
            desk(leaf("a", backoff=Backoff(first=9, most=5))),
            ["desk.children[a].backoff.first: 9 is more than most, which is 5; lower it or raise most"],
        ),
        (
            desk(leaf("a", args={"sizes": 1}), desk(leaf("b", args={"size": 1, "x": 2}), id="nested")),
            [
                "desk.children[a].args.sizes: 'sizes' is not an argument, did you mean 'size'?",
                "desk.children[nested].children[b].args.x: 'x' is not an argument; agent takes size: int = 1",
            ],
        ),
        (
            desk(leaf("a", agent=needs), leaf("b", agent=needs, args={"url": ""}), leaf("c", agent=needs)),
            [
                "desk.children[a].args: 'url' is missing; needs takes url: str",
                "desk.children[c].args: 'url' is missing; needs takes url: str",
            ],
        ),
        (
            desk(leaf("a", agent=needs, args={"uri": ""}), strategy=Strategy.DYNAMIC),
            ["desk.children[a].args.uri: 'uri' is not an argument, did you mean 'url'?"],
        ),
        (
            desk(leaf("a", agent=cast("Any", "desk:Agent"))),
            ["desk.children[a].agent: 'desk:Agent' makes no agents; give an Agent class"],
        ),
        (
            desk(leaf("a", restart=cast("Any", "transient")), strategy=cast("Any", "one")),
            [
                "desk.strategy: 'one' is not a Strategy; "
                "use Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE or Strategy.DYNAMIC",
                "desk.children[a].restart: 'transient' is not a RestartPolicy; "
                "use RestartPolicy.PERMANENT, RestartPolicy.TRANSIENT or RestartPolicy.TEMPORARY",
            ],
        ),
        (
            desk(leaf("a", outlet=("../outbux", "../nested", "a b")), leaf("outbox"), desk(id="nested")),
            [
                "desk.children[a].outlet[0]: '../outbux' points nowhere, there is no outbux, did you mean 'outbox'?",
                "desk.children[a].outlet[1]: '../nested' is a supervisor, which has no mailbox; "
                "name an agent, a pool or a topic",
                "desk.children[a].outlet[2]: 'a b' is no path; 'a b' cannot name a slot: use letters, digits and "
                "_ . : @ + -, starting with a letter, digit or _",
            ],
        ),
        (
            desk(
                leaf("a", outlet=("../../../w",)), pool("w", leaf("0", outlet=("../../b",))), leaf("b", outlet=("a",))
            ),
            [
                "desk.children[a].outlet: a -> w -> w/0 -> b -> a is a cycle: "
                "with full mailboxes each would wait for the next for ever; take one of these arrows out"
            ],
        ),
        (
            desk(leaf("a", outlet=("../a",))),
            [
                "desk.children[a].outlet: a -> a is a cycle: "
                "with full mailboxes each would wait for the next for ever; take one of these arrows out"
            ],
        ),
    ],
)
def test_finds(tree: SupervisorSpec, texts: list[str]) -> None:
    assert [str(problem) for problem in validate(tree)] == texts


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, field.name)
        for kind in (ChildSpec, SupervisorSpec)
        for field in attrs.fields(kind)
        if field.name not in ("children", "router", "entry", "topic")  # which builders make
    ],
)
def test_no_field_takes_what_it_cannot_use(kind: type[ChildSpec | SupervisorSpec], name: str) -> None:
    """It is refused when the spec is made, or before the tree is opened; the text names the field."""
    fields: dict[str, Any] = {"id": "a", "restart": RestartPolicy.TRANSIENT, name: object()}
    if kind is ChildSpec:
        fields.setdefault("agent", agent)
    refused: list[str] = []
    try:
        spec = kind(**fields)
    except ValueError as error:
        refused = [str(error)]
    else:
        problems = validate(spec if isinstance(spec, SupervisorSpec) else desk(spec))
        refused = [problem.path.rpartition(".")[2] for problem in problems if problem.remedy]
    assert any(text.startswith(("<object object at", name)) for text in refused)


def test_finds_who_stands_too_deep() -> None:
    below: SupervisorSpec | ChildSpec = leaf("a" * 191)
    for level in range(10):
        below = desk(below, id=f"{level}" * 180)
    (problem,) = validate(desk(below))
    assert problem.path.endswith(".id")
    assert problem.fault == "has a path of 2,001 characters, and 2,000 are the most"


def test_finds_everything_at_once() -> None:
    tree = desk(leaf("a", args={"x": 1}), leaf("a", outlet=("b",)), desk(max_children=1, id="n"))
    assert [problem.path for problem in validate(tree)] == [
        "desk.children[1].id",
        "desk.children[0].args.x",
        "desk.children[n].max_children",
        "desk.children[1].outlet[0]",
    ]


def test_a_fault_of_all_workers_is_said_once() -> None:
    tree = desk(pool("w", *(leaf(str(number), args={"x": 1}) for number in range(5))))
    assert [problem.path for problem in validate(tree)] == ["desk.children[w].workers.args.x"]


def test_places_that_are_given_are_named() -> None:
    place = Place("desk", (Place("desk.children[0]", (Place("other.children[0]"),)),))
    tree = desk(desk(leaf("a", args={"x": 1}), id="n"))
    assert [problem.path for problem in validate(tree, place)] == ["other.children[0].args.x"]


def test_a_pool_may_be_the_root() -> None:
    tree = SupervisorSpec(id="w", router=RoundRobin(), children=(leaf("0", outlet=("..",)),))
    (problem,) = validate(tree)
    assert problem.value == "/ -> 0 -> /"


def test_walks_in_start_order() -> None:
    inner, last = desk(leaf("b"), id="n"), leaf("c")
    tree = desk(leaf("a"), inner, last)
    assert list(walk(tree)) == [
        (ROOT, tree),
        (Path("a"), leaf("a")),
        (Path("n"), inner),
        (Path("n/b"), leaf("b")),
        (Path("c"), last),
    ]
