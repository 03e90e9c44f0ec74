"""TOML files that are good: the same blueprints as in Python, includes, imports."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from treewarden.agents.core.durability import MESSAGE, VOLATILE, Checkpointed, MailboxSpec, Overflow
from treewarden.agents.worker import worker
from treewarden.supervisor.core.checkpoint import Retention
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.policies import kubernetes, otp
from treewarden.supervisor.core.spec import (
    BRUTAL_KILL,
    AutoShutdown,
    Backoff,
    ChildSpec,
    Grace,
    Intensity,
    RestartPolicy,
    Restore,
    Strategy,
)
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint, walk
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.pipeline import pipeline, stage
from treewarden.topologies.pool import pool
from treewarden.topologies.toml import loads
from treewarden.topologies.tree import tree

FOLDER: Final = Path(__file__).parent / "bad_toml"


def read(text: str) -> Blueprint:
    return loads(text, FOLDER).blueprint


@pytest.fixture
def desk() -> Any:
    """The module that the files name, as they import it."""
    read('children = [{ id = "intake", agent = "sample_desk:Intake" }]')
    return sys.modules["sample_desk"]


def test_a_tree_is_the_same_as_in_python(desk: Any) -> None:
    assert read(
        """
        strategy = "rest_for_one"
        restarts = { max_restarts = 5, within = 30 }
        policy = "ladder"
        children = [
          { id = "intake", agent = "sample_desk:Intake" },
          { id = "writer", pool = { agent = "sample_desk:Writer", size = 4, route = "least_loaded" } },
          { id = "outbox", agent = "sample_desk:Outbox" },
        ]
        """
    ) == tree(
        desk.Intake,
        pool(desk.Writer, size=4, route="least_loaded"),
        desk.Outbox,
        strategy=Strategy.REST_FOR_ONE,
        restarts=Intensity(5, within=30),
        policy=ladder(),
    )


def test_every_option_is_the_same_as_in_python(desk: Any) -> None:
    assert read(
        """
        id = "front"
        policy = "otp"
        auto_shutdown = "any_significant"
        [[children]]
        id = "poller"
        agent = "sample_desk:Poller"
        args = { url = "http://a", timeout = 3, headers = { "X-Token" = "b" }, codes = [200, 204] }
        restart = "transient"
        shutdown = 2.5
        significant = true
        mailbox.capacity = 8
        mailbox.overflow = "drop_oldest"
        mailbox.durability = { messages = 10, seconds = 30 }
        mailbox.deliveries = 3
        backoff = { first = 1, factor = 3, most = 60, jitter = 0 }
        start_within = 1
        progress_within = 20
        stable_after = 0
        restarts = { max_restarts = 0, within = inf }
        restore = "initial"
        retention = { every = 1, last = 3, within = 60, tagged = ["good"] }
        uses = ["api.example.com", "disk"]
        [[children]]
        id = "now"
        agent = "sample_desk:Outbox"
        shutdown = "brutal_kill"
        mailbox = { durability = "volatile" }
        [[children]]
        id = "late"
        agent = "sample_desk:Outbox"
        shutdown = "infinity"
        mailbox = { durability = "message" }
        [[children]]
        id = "nested"
        strategy = "simple_one_for_one"
        max_children = 3
        restart = "temporary"
        significant = true
        stable_after = 5
        shutdown = 60
        policy = "kubernetes"
        children = [{ id = "job", agent = "sample_desk:Intake" }]
        """
    ) == tree(
        child(
            desk.Poller,
            id="poller",
            args={"url": "http://a", "timeout": 3, "headers": {"X-Token": "b"}, "codes": [200, 204]},
            restart=RestartPolicy.TRANSIENT,
            shutdown=Grace(2.5),
            significant=True,
            mailbox=MailboxSpec(
                capacity=8, overflow=Overflow.DROP_OLDEST, durability=Checkpointed(10, 30), deliveries=3
            ),
            backoff=Backoff(first=1, factor=3, most=60, jitter=0),
            start_within=1,
            progress_within=20,
            stable_after=0,
            restarts=Intensity(0, within=math.inf),
            restore=Restore.INITIAL,
            retention=Retention(every=1, last=3, within=60, tagged=("good",)),
            uses=("api.example.com", "disk"),
        ),
        child(desk.Outbox, id="now", shutdown=BRUTAL_KILL, mailbox=MailboxSpec(durability=VOLATILE)),
        child(desk.Outbox, id="late", shutdown=Grace(math.inf), mailbox=MailboxSpec(durability=MESSAGE)),
        tree(
            child(desk.Intake, id="job"),
            id="nested",
            strategy=Strategy.DYNAMIC,
            max_children=3,
            restart=RestartPolicy.TEMPORARY,
            significant=True,
            stable_after=5,
            shutdown=Grace(60),
            policy=kubernetes(),
        ),
        id="front",
        policy=otp(),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )


def test_workers_are_the_same_as_in_python(desk: Any) -> None:
    assert read(
        """
        children = [
          { id = "poll", worker = "sample_desk:poll", every = 30, spread = 9, restart = "transient" },
          { id = "once", worker = "sample_desk:poll" },
          { id = "daily", worker = "sample_desk:poll", at = "09:00", zone = "Europe/Berlin", days = "mon-fri" },
          { id = "often", worker = "sample_desk:poll", at = ["09:00", "17:30"] },
        ]
        """
    ) == tree(
        child(worker(desk.poll, every=30, spread=9), restart=RestartPolicy.TRANSIENT),
        child(worker(desk.poll), id="once"),
        child(worker(desk.poll, at="09:00", zone="Europe/Berlin", days="mon-fri"), id="daily"),
        child(worker(desk.poll, at="09:00,17:30"), id="often"),
    )


def test_a_pool_is_the_same_as_in_python(desk: Any) -> None:
    assert read(
        """
        [[children]]
        id = "writers"
        restarts = { max_restarts = 9 }
        [children.pool]
        agent = "sample_desk:Writer"
        size = 2
        route = "by_key"
        key = "text"
        args = { style = "dry" }
        restart = "transient"
        """
    ) == tree(
        pool(
            child(desk.Writer, args={"style": "dry"}, restart=RestartPolicy.TRANSIENT),
            size=2,
            route="by_key",
            key="text",
            id="writers",
            restarts=Intensity(9),
        )
    )


def test_a_pipeline_is_the_same_as_in_python(desk: Any) -> None:
    assert read(
        """
        [[children]]
        id = "flow"
        restarts = { max_restarts = 1 }
        pipeline = [
          { id = "read", agent = "sample_desk:Intake", to = ["write", "log"] },
          { id = "write", pool = { agent = "sample_desk:Writer", size = 2 }, to = ["keep"] },
          { id = "log", agent = "sample_desk:Outbox", to = [] },
          { id = "keep", agent = "sample_desk:Outbox", restart = "transient" },
        ]
        """
    ) == tree(
        pipeline(
            stage(child(desk.Intake, id="read"), to=["write", "log"]),
            stage(pool(desk.Writer, size=2, id="write"), to=["keep"]),
            stage(child(desk.Outbox, id="log"), to=[]),
            child(desk.Outbox, id="keep", restart=RestartPolicy.TRANSIENT),
            id="flow",
            restarts=Intensity(1),
        )
    )


def test_a_function_makes_the_same_tree_as_in_python(desk: Any) -> None:
    made = read('children = [{ id = "d", tree = "sample_desk:desk", args = { size = 3 }, shutdown = 5 }]')
    assert made == tree(tree(desk.Intake, pool(desk.Writer, size=3), id="d", shutdown=Grace(5)))


def test_a_template_may_leave_arguments_to_its_children(desk: Any) -> None:
    assert read(
        """
        strategy = "simple_one_for_one"
        children = [{ id = "poller", agent = "sample_desk:Poller", args = { timeout = 3 } }]
        """
    ) == tree(child(desk.Poller, id="poller", args={"timeout": 3}), strategy=Strategy.DYNAMIC)


def test_defaults_reach_agents_workers_of_pools_and_stages(desk: Any) -> None:
    made = read(
        """
        [defaults]
        restart = "transient"
        mailbox = { capacity = 8, overflow = "refuse" }
        [[children]]
        id = "a"
        agent = "sample_desk:Intake"
        [[children]]
        id = "b"
        agent = "sample_desk:Intake"
        restart = "temporary"
        mailbox = { capacity = 9 }
        [[children]]
        id = "c"
        pool = { agent = "sample_desk:Writer", size = 1 }
        [[children]]
        id = "d"
        pipeline = [{ id = "x", agent = "sample_desk:Intake" }]
        [[children]]
        id = "e"
        worker = "sample_desk:poll"
        [[children]]
        id = "f"
        children = [{ id = "y", agent = "sample_desk:Intake" }]
        """
    )
    found = {
        path: (spec.restart.value, spec.mailbox.capacity) for path, spec in walk(made) if isinstance(spec, ChildSpec)
    }
    assert found == {
        "a": ("transient", 8),
        "b": ("temporary", 9),
        "c/0": ("transient", 8),
        "d/x": ("transient", 8),
        "e": ("transient", 8),
        "f/y": ("permanent", 64),  # a nested tree has defaults of its own
    }
    assert {spec.restart for _, spec in walk(made) if not isinstance(spec, ChildSpec)} == {RestartPolicy.PERMANENT}
    overflows = [spec.mailbox.overflow.value for _, spec in walk(made) if isinstance(spec, ChildSpec)]
    assert overflows == ["refuse"] * 5 + ["wait"]


def test_defaults_may_say_what_lives_there_and_with_which_arguments(desk: Any) -> None:
    assert read(
        """
        [defaults]
        agent = "sample_desk:Poller"
        args = { timeout = 3, codes = [200] }
        every = 30
        [[children]]
        id = "a"
        args = { url = "http://a" }
        [[children]]
        id = "b"
        args = { url = "http://b", codes = [201] }
        [[children]]
        id = "c"
        worker = "sample_desk:poll"
        """
    ) == tree(
        child(desk.Poller, id="a", args={"timeout": 3, "codes": [200], "url": "http://a"}),
        child(desk.Poller, id="b", args={"timeout": 3, "codes": [201], "url": "http://b"}),
        child(worker(desk.poll, every=30), id="c"),
    )


ENVIRONED: Final = """
children = [
  { id = "a", agent = "sample_desk:Poller", args = { url = { env = "D_URL" }, headers = { K = { env = "D_KEY" } } } },
  { id = "b", pool = { agent = "sample_desk:Poller", size = 1, args = { url = "", hook = [{ env = "D_KEY" }, 2] } } },
]
"""


def test_arguments_may_stand_in_the_environment(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("D_URL", "http://here")
    monkeypatch.setenv("D_KEY", "")
    found = {path: spec.args for path, spec in walk(read(ENVIRONED)) if isinstance(spec, ChildSpec)}
    assert found == {
        "a": {"url": "http://here", "headers": {"K": ""}},
        "b/0": {"url": "", "hook": ["", 2]},
    }


def test_what_is_not_set_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("D_URL", "http://here")
    monkeypatch.delenv("D_KEY", raising=False)
    with pytest.raises(BlueprintError) as refused:
        read(ENVIRONED)
    remedy = "'D_KEY' is not set in the environment; set it, or write what it is to be in its place"
    assert [str(problem).partition(".children")[2] for problem in refused.value.problems] == [
        f"[0].args.headers.K.env: {remedy}",
        f"[1].pool.args.hook[0].env: {remedy}",
    ]


@pytest.mark.parametrize("given", ['{ env = "D_KEY" }', '[200, { env = "D_KEY" }]'])
def test_what_stands_in_the_environment_is_in_no_error(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("D_KEY", "hunter2hunter2")
    with pytest.raises(BlueprintError) as refused:
        read(f'children = [{{ id = "a", agent = "sample_desk:Poller", args = {{ url = "x", codes = {given} }} }}]')
    text = str(refused.value)
    assert "hunter2" not in text
    assert "{ env = 'D_KEY' }" in text
    assert "has the wrong type; Poller takes codes" in text


@pytest.mark.parametrize("name", ["5", '""', '"a=b"', r'"a\u0000b"', '["A"]'])
def test_what_names_no_variable_is_refused(name: str) -> None:
    with pytest.raises(BlueprintError, match=r"\.args\.url\.env: "):
        read(f'children = [{{ id = "a", agent = "sample_desk:Poller", args = {{ url = {{ env = {name} }} }} }}]')
