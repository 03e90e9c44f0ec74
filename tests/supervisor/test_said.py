"""Every way to say something about a slot: garbage is refused by name, and then nothing was said; the rest is kept."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, cast

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import check_facts
from treewarden.agents.errors import ConfigurationError
from treewarden.agents.testing import run_handler
from treewarden.supervisor.advisor import Advisor
from treewarden.supervisor.core.advice import Circumstances
from treewarden.supervisor.core.command import parse_command
from treewarden.supervisor.core.event import SignalNoted
from treewarden.supervisor.journal.event_codec import decode_event, encode_event
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Say:
    facts: Any


class Desk(Agent[None]):
    state = None

    @handles
    async def say(self, message: Say) -> None:
        self.signal(**message.facts)


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(2**63), 2**63, 0, 1, 900]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=20),
    st.sampled_from(["x" * 5000, "\ud800", "two\nlines", " slow ", ""]),
    st.binary(max_size=4),
    st.builds(object),
)
garbage = st.recursive(
    odd, lambda some: st.lists(some, max_size=4) | st.dictionaries(st.text(max_size=5) | odd, some, max_size=4)
)
keys = st.sampled_from(["kind", "severity", "text", "type", "cpu", "memory", "error_rate", "latency_ms", "extra", "x"])
said = garbage | st.fixed_dictionaries(
    {"kind": st.just("slow") | odd, "severity": st.floats(0, 1) | odd}, optional={"text": garbage, "cpu": garbage}
).flatmap(lambda some: st.dictionaries(keys, garbage, max_size=2).map(lambda more: {**more, **some}))


async def noted(journal: MemoryJournal) -> list[SignalNoted]:
    return [record.event for record in await journal.read(limit=1000) if isinstance(record.event, SignalNoted)]


def refused(say: Callable[[Any], object], what: Any, by: type[ValueError] = ValueError) -> str:
    """Why it was refused; empty if it was not."""
    try:
        say(what)
    except by as error:
        return str(error)
    return ""


@settings(max_examples=150)
@given(said)
@example({"kind": "slow", "severity": 0.5, "facts": {"a": [1, 2.5, "x", None, True]}})
@example({"kind": "slow", "severity": -0.1})
@example({"kind": "slow", "severity": 0.1, "cpu": 900})
def test_whatever_is_said_is_kept_or_refused_by_name(facts: Any) -> None:
    async def main() -> None:
        journal = MemoryJournal()
        async with open_tree(tree(child(Desk)), journal=journal) as running:
            why = refused(lambda facts: running.signal("desk", facts), facts, ConfigurationError)
            await running.supervisor().count()
            assert len(why) < 400
            if why:
                assert await noted(journal) == []
                return
            (event,) = await noted(journal)
            assert (event.kind, event.severity) == (facts["kind"], facts["severity"])
            assert decode_event(*encode_event(event)).kind == event.kind  # type: ignore[union-attr]

    trio.run(main, clock=trio.testing.MockClock())


@settings(max_examples=150)
@given(said)
def test_an_advisor_reads_or_refuses(event: Any) -> None:
    assert len(refused(Circumstances.of, event)) < 400


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"severity": 0.5}, "a signal needs 'kind'; it has severity"),
        ({"kind": "slow"}, "a signal needs 'severity'; it has kind"),
        ({"type": "slow", "severity": 0.5}, "a signal needs 'kind'; it has severity, type"),
        ({"kind": "slow", "severity": -0.5}, "severity is -0.5; it must be from 0 to 1"),
        ({"kind": "slow", "severity": math.nan}, "severity is nan; it must be a finite number"),
        ({"kind": "slow", "severity": math.inf}, "severity is inf; it must be a finite number"),
        ({"kind": "slow", "severity": True}, "severity is True; it must be a finite number"),
        ({"kind": "slow", "severity": "high"}, "severity is 'high'; it must be a finite number"),
        ({"kind": 3, "severity": 0.5}, "kind is 3; it must name what was noticed"),
        ({"kind": "k" * 101, "severity": 0.5}, "give at most 100 characters"),
        ({"kind": "two\nlines", "severity": 0.5}, "kind is 'two\\nlines'"),
        ({"kind": "slow", "severity": 0.5, "cpu": 900}, "cpu is 900; it must be from 0 to 100 (percent)"),
        ({"kind": "slow", "severity": 0.5, "cpu": True}, "cpu is True; it must be a finite number (percent)"),
        ({"kind": "slow", "severity": 0.5, "error_rate": 1.5}, "error_rate is 1.5; it must be from 0 to 1"),
        ({"kind": "slow", "severity": 0.5, "text": 7}, "text is 7; it must be a text"),
        ({"kind": "slow", "severity": 0.5, "text": "x" * 5000}, "text has 5,000 characters; give at most 4,000"),
        ({"kind": "slow", "severity": 0.5, "note": "\ud800"}, "note is '\\ud800'; it holds half a character"),
        ({"kind": "slow", "severity": 0.5, "rss": 10**30}, "rss is 1000000000000000000000000000000; a whole number"),
        ({"kind": "slow", "severity": 0.5, "rss": math.inf}, "rss is inf; it must be a finite number"),
        ({"kind": "slow", "severity": 0.5, "when": b"now"}, "when is b'now' (bytes); give numbers, texts"),
        ({"kind": "slow", "severity": 0.5, "deep": [{"er": math.nan}]}, "deep[0].er is nan"),
        ({"kind": "slow", "severity": 0.5, "deep": [[[[[1]]]]]}, "is nested too deep"),
        ({"kind": "slow", "severity": 0.5, "many": [0] * 201}, "is one value too many; give at most 200"),
        ({"kind": "slow", "severity": 0.5, "": 1}, "a field has the name ''"),
        ("slow", "'slow' is no signal; give a mapping"),
    ],
)
async def test_what_is_wrong_is_named_wherever_it_comes_in(autojump_clock: CLOCK, facts: Any, says: str) -> None:
    async with open_tree(tree(child(Desk)), journal=None) as running:
        with pytest.raises(ConfigurationError, match=re.escape(says)):
            running.signal("desk", facts)
        with pytest.raises(ConfigurationError):
            running.recovered("desk", "k" * 101)
    if isinstance(facts, dict) and {"kind", "severity"} <= facts.keys() and "" not in facts:
        run = await run_handler(Desk(), Say(facts), durability=VOLATILE)
        assert isinstance(run.error, ConfigurationError)
        assert says in str(run.error)
        assert run.signals == []
    own = {"kind", "severity", "text"}
    if isinstance(facts, dict):
        given = cast("dict[Any, Any]", facts)
        rest = {key: value for key, value in given.items() if key not in own}
        fields: dict[str, Any] = {**{key: given[key] for key in own & given.keys()}, "facts": rest}
        command: dict[str, Any] = {
            "v": 1,
            "what": "signal",
            "path": "desk",
            "by": "me",
            "within": 1.0,
            "fields": fields,
        }
        with pytest.raises(ValueError, match="severity|kind|text|" + re.escape(says)):
            parse_command(command)


def test_an_advisor_says_so_before_anything_is_written(tmp_path: Any) -> None:
    file = tmp_path / "api.db"
    with Advisor("api", journal=file) as advisor:
        for event in ({"type": "slow", "note": "x" * 5000}, {"type": "slow", "odd": object()}, {"severity": 0.5}):
            with pytest.raises(ConfigurationError, match="the event cannot be judged: "):
                advisor.process_sync(event)
    assert not file.exists()


def test_facts_may_be_what_json_can_hold() -> None:
    check_facts({"a": 1, "b": 2.5, "c": "text", "d": None, "e": True, "f": [1, {"g": "h"}], "cpu": 100, "memory": 0})


def test_a_repr_that_raises_is_named_too() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise LookupError

    with pytest.raises(ValueError, match="x is a Odd whose repr raises LookupError"):
        check_facts({"x": Odd()})


def test_a_command_keeps_its_facts_beside_what_it_says() -> None:
    fields: dict[str, Any] = {"kind": "slow", "severity": 0.5, "text": "late", "facts": {"behind": 4}}
    command = parse_command({"v": 1, "what": "signal", "path": "desk", "by": "me", "within": 1.0, "fields": fields})
    assert command.said == {"kind": "slow", "severity": 0.5, "text": "late", "behind": 4}
    assert command.path == Path("desk")
