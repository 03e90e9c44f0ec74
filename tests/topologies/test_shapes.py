"""Trees, pools and pipelines as the blueprints that they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import pytest
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.worker import Periodic, worker
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import (
    AutoShutdown,
    ChildSpec,
    Grace,
    Intensity,
    RestartPolicy,
    Strategy,
    SupervisorSpec,
)
from treewarden.topologies.child import child, slot_name
from treewarden.topologies.core.blueprint import validate, walk
from treewarden.topologies.core.routing import ByKey, LeastLoaded, RoundRobin
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.partition import partitions
from treewarden.topologies.pipeline import pipeline, stage
from treewarden.topologies.pool import pool
from treewarden.topologies.tree import tree

S = TypeVar("S")


@frozen
class Line:
    text: str


class LineReader(Agent[int]):
    state = 0


class Cleaner(Agent[int]):
    state = 0

    def __init__(self, language: str = "en") -> None:
        self.language = language

    @handles
    def clean(self, msg: Line) -> Line:
        return msg


class Keeper(Agent[int]):
    state = 0


async def poll() -> None: ...


def make_keeper() -> Keeper:
    return Keeper()


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        ("Counter", "counter"),
        ("LineReader", "line_reader"),
        ("HTTPPoller", "http_poller"),
        ("Writer2", "writer2"),
        ("_Hidden", "_hidden"),
        ("already_snake", "already_snake"),
    ],
)
def test_a_slot_is_named_after_its_class(name: str, slot: str) -> None:
    assert slot_name(name) == slot


def test_a_tree_of_anything() -> None:
    made = tree(LineReader, worker(poll, every=30), child(Keeper, id="k"), child(make_keeper), tree(Keeper, id="inner"))
    assert made == SupervisorSpec(
        id="tree",
        strategy=Strategy.ONE_FOR_ONE,
        children=(
            ChildSpec(id="line_reader", agent=LineReader),
            ChildSpec(id="poll", agent=Periodic, args={"fn": poll, "period": 30}),
            ChildSpec(id="k", agent=Keeper),
            ChildSpec(id="make_keeper", agent=make_keeper),
            SupervisorSpec(id="inner", children=(ChildSpec(id="keeper", agent=Keeper),)),
        ),
    )
    assert validate(made) == ()


class Shelf(Agent[S]):
    """Keeps what it is a shelf of."""


def test_a_generic_agent_is_its_class() -> None:
    assert tree(Shelf[int], child(Shelf[str], id="other")) == tree(Shelf, child(Shelf, id="other"))
    assert child(Shelf[int]).id == "shelf"


def test_options_reach_the_spec() -> None:
    mailbox = MailboxSpec(capacity=8, durability=VOLATILE)
    made = tree(
        child(Cleaner, args={"language": "de"}, restart=RestartPolicy.TRANSIENT, mailbox=mailbox, significant=True),
        id="desk",
        strategy=Strategy.ONE_FOR_ALL,
        restarts=Intensity(5, within=30),
        policy=otp(),
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
        shutdown=Grace(9),
    )
    assert made == SupervisorSpec(
        id="desk",
        strategy=Strategy.ONE_FOR_ALL,
        restarts=Intensity(5, within=30),
        policy=otp(),
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
        shutdown=Grace(9),
        children=(
            ChildSpec(
                id="cleaner",
                agent=Cleaner,
                args={"language": "de"},
                restart=RestartPolicy.TRANSIENT,
                mailbox=mailbox,
                significant=True,
            ),
        ),
    )
    assert tree(child(Keeper), strategy=Strategy.DYNAMIC, max_children=9).max_children == 9


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: tree(cast("Any", Keeper())), "an agent was given; give its class, Keeper"),
        (lambda: tree(cast("Any", poll)), "poll is an async function; write worker(poll)"),
        (lambda: tree(cast("Any", "desk:Keeper")), "'desk:Keeper' is no child; give an Agent class, worker(function)"),
        (lambda: tree(cast("Any", Line)), "is no child"),
        (lambda: child(Keeper, id="a b"), "keeper: 'a b' cannot name a slot"),
        (lambda: child(lambda: Keeper()), "'<lambda>' cannot name a slot.*without id="),
        (lambda: child(Keeper, start_within=-1), "^keeper: start_within is -1; it must be more than 0$"),
        (lambda: child(Keeper, significant=True), "^keeper: a permanent child cannot be significant; make it [a-z ]+$"),
        (lambda: pool(Cleaner, route="by_key", key=cast("Any", 3)), "cleaner.key: 3 is no attribute's name; use let"),
        (lambda: partitions(tree(Keeper), 2, key=cast("Any", 3)), "tree.key: 3 is no attribute's name; use letters"),
        (lambda: tree(id="a/b"), "a/b: 'a/b' cannot name a slot"),
    ],
)
def test_what_can_be_no_child_is_said_where_it_is_written(build: Callable[[], object], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text.replace("(", r"\(").replace(")", r"\)")):
        build()


def test_a_pool_is_workers_behind_an_address() -> None:
    made = pool(Cleaner, size=3)
    assert made == SupervisorSpec(
        id="cleaner",
        strategy=Strategy.ONE_FOR_ONE,
        router=RoundRobin(),
        children=tuple(ChildSpec(id=str(number), agent=Cleaner) for number in range(3)),
        restarts=Intensity(9, within=5),
    )
    assert pool(Cleaner, restarts=Intensity(1)).restarts == Intensity(1)
    assert validate(made) == ()


def test_a_pool_takes_options_for_its_workers_and_for_itself() -> None:
    workers = child(Cleaner, args={"language": "fr"}, restart=RestartPolicy.TRANSIENT)
    made = pool(workers, 2, "by_key", key="text", id="cleaners", restarts=Intensity(10, within=math.inf))
    assert made.router == ByKey("text")
    assert made.id == "cleaners"
    assert made.restarts == Intensity(10, within=math.inf)
    assert made.restart is RestartPolicy.PERMANENT
    assert made.children == (
        ChildSpec(id="0", agent=Cleaner, args={"language": "fr"}, restart=RestartPolicy.TRANSIENT),
        ChildSpec(id="1", agent=Cleaner, args={"language": "fr"}, restart=RestartPolicy.TRANSIENT),
    )
    assert pool(Cleaner, route="least_loaded").router == LeastLoaded()
    assert len(pool(Cleaner).children) == 4


def test_a_pool_that_cannot_work_says_everything() -> None:
    with pytest.raises(BlueprintError) as refused:
        pool(Cleaner, size=0, route=cast("Any", "round"), id="c")
    assert str(refused.value) == (
        "pool 'c' is refused, 2 problems:\n"
        "  c.size: 0 is no number of workers; give 1 or more\n"
        "  c.route: 'round' is no route, did you mean 'round_robin'? "
        "use round_robin, least_loaded, by_key, broadcast or shared"
    )


@pytest.mark.parametrize("size", [-1, True, 1.5, "4"])
def test_a_size_is_a_whole_number(size: Any) -> None:
    with pytest.raises(BlueprintError, match=r"cleaner\.size: .* is no number of workers"):
        pool(Cleaner, size=size)


@pytest.mark.parametrize(
    ("route", "key", "text"),
    [
        ("by_key", None, "c.key: key is missing, and the route is by_key"),
        ("broadcast", "text", "c.key: 'text' counts for nothing with the route broadcast"),
        ("by_key", "a b", "c.key: 'a b' is no attribute's name"),
    ],
)
def test_a_key_goes_with_its_route(route: Any, key: str | None, text: str) -> None:
    with pytest.raises(BlueprintError) as refused:
        pool(Cleaner, route=route, key=key, id="c")
    assert text in str(refused.value)


def test_a_pool_of_pools_is_none() -> None:
    with pytest.raises(BlueprintError, match="is a supervisor; a pool is made of agents"):
        pool(cast("Any", pool(Cleaner)))


def test_a_pipeline_runs_from_source_to_sink_and_starts_from_sink_to_source() -> None:
    made = pipeline(LineReader, Cleaner, Keeper)
    assert made == SupervisorSpec(
        id="pipeline",
        strategy=Strategy.REST_FOR_ONE,
        children=(
            ChildSpec(id="keeper", agent=Keeper),
            ChildSpec(id="cleaner", agent=Cleaner, outlet=("../keeper",)),
            ChildSpec(id="line_reader", agent=LineReader, outlet=("../cleaner",)),
        ),
    )
    assert validate(made) == ()


def test_a_pool_may_be_a_stage() -> None:
    made = tree(pipeline(LineReader, pool(Cleaner, size=2), Keeper, id="flow"))
    assert validate(made) == ()
    assert {path: spec.outlet for path, spec in walk(made) if isinstance(spec, ChildSpec)} == {
        "flow/keeper": (),
        "flow/cleaner/0": ("../../keeper",),
        "flow/cleaner/1": ("../../keeper",),
        "flow/line_reader": ("../cleaner",),
    }


def test_results_may_go_to_several_stages() -> None:
    made = pipeline(
        stage(LineReader, to=["clean", "log"]),
        child(Cleaner, id="clean"),
        stage(child(Keeper, id="keep"), to=[]),
        child(Keeper, id="log", outlet=("elsewhere",)),
        restarts=Intensity(1),
    )
    assert [(spec.id, cast("ChildSpec", spec).outlet) for spec in made.children] == [
        ("log", ("elsewhere",)),
        ("keep", ()),
        ("clean", ("../keep",)),
        ("line_reader", ("../clean", "../log")),
    ]
    assert made.restarts == Intensity(1)


def test_a_pipeline_that_cannot_work_says_everything() -> None:
    with pytest.raises(BlueprintError) as refused:
        pipeline(LineReader, stage(Keeper, to=["line_reader", "nobody"]), Keeper, tree(Cleaner))
    assert str(refused.value) == (
        "pipeline 'pipeline' is refused, 4 problems:\n"
        "  pipeline.stages[2].id: 'keeper' is the id of pipeline.stages[1] too; name one of them differently\n"
        "  pipeline.stages[3]: 'tree' has no mailbox of its own; a stage is an agent or a pool\n"
        "  pipeline.stages[1].to[1]: 'nobody' is no stage here; use line_reader, keeper, keeper or tree\n"
        "  pipeline.stages[0].to: line_reader -> keeper -> line_reader is a cycle: with full mailboxes each stage "
        "would wait for the next for ever; take one of these arrows out"
    )


def test_a_stage_may_not_send_to_itself() -> None:
    with pytest.raises(BlueprintError, match="keeper -> keeper is a cycle"):
        pipeline(stage(Keeper, to=["keeper"]))
