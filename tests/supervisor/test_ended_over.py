"""Over what a supervisor ends a life that works: its asker is told."""

from __future__ import annotations

import pytest
import trio
from attrs import frozen
from trio.testing import MockClock

from treewarden.agents import Agent, AgentFailed, Request, handles
from treewarden.supervisor import Rule, table
from treewarden.topologies import child, open_tree, tree


@frozen
class Write(Request[str]):
    report: str = ""


class Writer(Agent[None]):
    @handles
    async def write(self, message: Write) -> str:
        if message.report:
            self.signal("bad_answers", 0.9, message.report)
        await trio.sleep(60)
        return "a page"


@pytest.mark.parametrize(
    ("report", "text"),
    [
        ("3 in a row", "Reported: reported bad_answers 0.90: 3 in a row"),
        ("", "Stalled: nothing new for 5 s (limit 5 s), handling Write"),
    ],
)
async def test_who_waited_is_told_over_what(report: str, text: str, autojump_clock: MockClock) -> None:
    writer = child(Writer, progress_within=5.0)
    policy = table([Rule("reported:bad_answers", "restart"), Rule("stalled", "restart")])
    async with open_tree(tree(writer, policy=policy), seed=0) as running:
        with pytest.raises(AgentFailed) as failed:
            await running.ref("writer").ask(Write(report), within=30.0)
        assert str(failed.value) == f"writer: {text}"
