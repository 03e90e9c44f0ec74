"""Messages of another process that begin in a trace which has a name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents import VOLATILE, Agent, MailboxSpec, Request, handles
from treewarden.topologies import child, open_tree, pool, tree
from treewarden.topologies.cli import main

from ..journals import on_disk
from .commanded import order

CLOCK = trio.testing.MockClock
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@frozen
class Pack:
    pass


@frozen
class Which(Request[str]):
    pass


class Yard(Agent[int]):
    state = 0

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    @handles
    def pack(self, message: Pack) -> None:
        self.seen.append(self.trace)

    @handles
    def which(self, message: Which) -> str:
        return self.trace


def shape(seen: list[str]) -> Any:
    light = child(Yard, id="light", args={"seen": seen}, mailbox=MailboxSpec(durability=VOLATILE))
    yard = child(Yard, id="yard", args={"seen": seen})
    return tree(yard, light, pool(yard, id="all", size=2, route="broadcast"))


@pytest.mark.parametrize(
    ("path", "trace", "seen"),
    [
        ("yard", "order-17", ["order-17"]),
        ("yard", PARENT, ["4bf92f3577b34da6a3ce929d0e0e4736"]),
        ("all", "order-17", ["order-17"] * 2),
        ("light", "order-17", [""]),
    ],
    ids=["one", "traceparent", "broadcast", "in memory"],
)
async def test_a_message_begins_there(
    path: str, trace: str, seen: list[str], tmp_path: Path, autojump_clock: CLOCK
) -> None:
    file, found = tmp_path / "tree.db", list[str]()
    async with open_tree(shape(found), journal=on_disk(file)):
        outcome = await order(file, "tell", path, kind="Pack", data={}, trace=trace)
        assert outcome.state == "applied"
        await trio.sleep(1)
    assert found == seen


async def test_an_ask_does(tmp_path: Path, autojump_clock: CLOCK) -> None:
    file = tmp_path / "tree.db"
    async with open_tree(shape([]), journal=on_disk(file)):
        assert (await order(file, "ask", "yard", kind="Which", data={}, trace="order-17")).text == '"order-17"'
        refused = await order(file, "ask", "yard", "c2", kind="Which", data={}, trace="no name")
        assert (refused.state, refused.text[:27]) == ("refused", "'no name' can name no trace")


@pytest.mark.parametrize("word", ["send", "ask"])
def test_a_name_that_can_be_none_is_refused_before(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word, "no.db", "yard", "Which", "--trace", "no name"]) == 2
    assert "'no name' can name no trace; give 1 to 64 letters" in capsys.readouterr().err
