"""Partitions: equal parts of a tree, each with its share of the keys."""

from __future__ import annotations

from pathlib import Path as File
from typing import Any

import pytest
import trio
import trio.testing
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import AgentStopped, NoSuchSlot
from treewarden.supervisor.core.spec import Intensity
from treewarden.topologies.child import child
from treewarden.topologies.core.routing import partition_of
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.open import open_tree
from treewarden.topologies.partition import partitions
from treewarden.topologies.pipeline import pipeline
from treewarden.topologies.pool import pool
from treewarden.topologies.toml import loads
from treewarden.topologies.tree import tree

CLOCK = trio.testing.MockClock


@frozen
class Paid:
    account: str
    amount: int = 1


@frozen
class Balance(Request[int]):
    account: str


class Book(Agent[dict[str, int]]):
    state: dict[str, int] = {}  # noqa: RUF012 (replaced, never mutated)

    @handles
    async def paid(self, message: Paid) -> None:
        if message.amount < 0:
            raise RuntimeError("no debts")
        self.state = {**self.state, message.account: self.state.get(message.account, 0) + message.amount}

    @handles
    def balance(self, message: Balance) -> int:
        return self.state.get(message.account, 0)


class Audit(Book):
    pass


def accounts(count: int = 3, entry: str | None = "book", **options: Any) -> Any:
    bank = tree(Book, Audit, id="bank")
    return tree(partitions(bank, count, key="account", entry=entry, id="accounts", **options))


NAMES = [f"a{n}" for n in range(20)]


async def test_a_key_finds_its_partition_and_stays_there(autojump_clock: CLOCK) -> None:
    async with open_tree(accounts()) as running:
        for name in NAMES * 2:
            await running.ref("accounts").tell(Paid(name))
        for name in NAMES:
            assert await running.ref("accounts").ask(Balance(name)) == 2
            there = f"accounts/{partition_of(name, 3)}"
            assert await running.ref(f"{there}/book").ask(Balance(name)) == 2
            assert await running.ref(f"{there}/audit").ask(Balance(name)) == 0
        assert {partition_of(name, 3) for name in NAMES} == {0, 1, 2}


async def test_what_fails_in_one_leaves_the_others_alone(autojump_clock: CLOCK) -> None:
    async with open_tree(accounts(restarts=Intensity(10, 60))) as running:
        one, other = "a0", next(name for name in NAMES if partition_of(name, 3) != partition_of("a0", 3))
        for name in (one, other):
            await running.ref("accounts").tell(Paid(name))
        await running.supervisor(f"accounts/{partition_of(one, 3)}").stop()
        await running.ref("accounts").tell(Paid(one))
        await trio.sleep(10)
        lives = {str(slot.path): slot.incarnation for slot in running.snapshot()}
        assert lives[f"accounts/{partition_of(one, 3)}"] == 2
        assert lives[f"accounts/{partition_of(other, 3)}"] == 1
        assert await running.ref("accounts").ask(Balance(one)) == 2


async def test_a_key_does_not_move_when_its_partition_has_ended(autojump_clock: CLOCK) -> None:
    async with open_tree(accounts()) as running:
        await running.supervisor("accounts").terminate_child(str(partition_of("a0", 3)))
        with pytest.raises(AgentStopped):
            await running.ref("accounts").tell(Paid("a0"))
        await running.supervisor("accounts").restart_child(str(partition_of("a0", 3)))
        await running.ref("accounts").tell(Paid("a0"))
        assert await running.ref("accounts").ask(Balance("a0")) == 1
        assert running.ref("accounts").statistics().capacity == 3 * 64


async def test_a_key_moves_neither_for_a_child_that_is_added_nor_for_a_part_that_is_taken_out(
    autojump_clock: CLOCK,
) -> None:
    async with open_tree(accounts()) as running:
        for name in NAMES:
            await running.ref("accounts").tell(Paid(name))
        above, part = running.supervisor("accounts"), await running.supervisor("accounts").spec("0")
        await above.start_child(child(Book, id="guest"))
        await above.terminate_child("0")
        await above.delete_child("0")
        for name in NAMES:
            if partition_of(name, 3):
                assert await running.ref("accounts").ask(Balance(name)) == 1
            else:
                with pytest.raises(NoSuchSlot):
                    await running.ref("accounts").ask(Balance(name), within=1)
        await above.start_child(part)
        for name in NAMES:
            await running.ref("accounts").tell(Paid(name))
            assert await running.ref(f"accounts/{partition_of(name, 3)}/book").ask(Balance(name)) == 1 + bool(
                partition_of(name, 3)
            )


async def test_an_entry_may_be_a_pool_or_deeper(autojump_clock: CLOCK) -> None:
    bank = tree(tree(pool(Book, size=2, route="by_key", key="account"), id="desk"), id="bank")
    async with open_tree(tree(partitions(bank, 2, key="account", entry="desk/book"))) as running:
        for name in NAMES:
            await running.ref("bank").tell(Paid(name))
        assert [await running.ref("bank").ask(Balance(name)) for name in NAMES] == [1] * len(NAMES)


async def test_without_a_key_callers_choose(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(partitions(tree(Book, id="bank"), 2))) as running:
        await running.ref(f"bank/{partition_of('a0', 2)}/book").tell(Paid("a0"))
        assert await running.ref(f"bank/{partition_of('a0', 2)}/book").ask(Balance("a0")) == 1


async def test_agents_alone_can_be_partitioned_too(autojump_clock: CLOCK) -> None:
    async with open_tree(tree(partitions(Book, 2, key="account"))) as running:
        await running.ref("book").tell(Paid("a0"))
        assert await running.ref(f"book/{partition_of('a0', 2)}").ask(Balance("a0")) == 1


@given(st.one_of(st.text(), st.binary(), st.integers()), st.integers(1, 40))
def test_one_partition_more_takes_only_its_own_keys(key: str | bytes | int, count: int) -> None:
    before, after = partition_of(key, count), partition_of(key, count + 1)
    assert after in (before, count)
    assert 0 <= before < count


def test_what_is_no_key_or_count_is_refused() -> None:
    with pytest.raises(TypeError, match="give text, bytes or a whole number"):
        partition_of(1.5, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give 1 or more"):
        partition_of("a", 0)
    with pytest.raises(ValueError, match="give 1000000 or fewer"):
        partition_of("a", 10**9)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"count": 0}, "bank.count: 0 is no number of partitions"),
        ({"count": 10**9}, "bank.count: 1000000000 are more parts than a tree may have; give 1000000 or fewer"),
        ({"key": "a b"}, "bank.key: 'a b' is no attribute's name"),
        ({"entry": "book"}, "bank.key: key is missing, and there is an entry"),
        ({"key": "account", "entry": "../x"}, "bank.entry: '../x' is no path"),
    ],
)
def test_what_cannot_be_partitions_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(BlueprintError) as caught:
        partitions(tree(Book, id="bank"), **arguments)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "said"),
    [("nobody", "entry: 'nobody' points nowhere"), (None, "is a supervisor; a pool's workers are agents")],
)
async def test_an_entry_has_to_be_there(autojump_clock: CLOCK, entry: str | None, said: str) -> None:
    with pytest.raises(BlueprintError) as caught:
        async with open_tree(accounts(entry=entry)):
            pass
    assert said in str(caught.value)


def test_partitions_are_no_stage() -> None:
    with pytest.raises(BlueprintError, match="has no mailbox of its own"):
        pipeline(partitions(tree(Book, id="bank"), key="account", entry="book"), Book)


TOML = """
[[children]]
id = "accounts"
restarts = { max_restarts = 9, within = 1 }
partitions = { count = 2, key = "account", entry = "book", strategy = "rest_for_one", children = [
  { id = "book", agent = "books:Book" },
] }
"""


def test_toml_gives_the_same_blueprint(tmp_path: File) -> None:
    (tmp_path / "books.py").write_text("from tests.topologies.test_partitions import Book\n", "utf-8")
    read = loads(TOML, tmp_path).blueprint.children[0]
    made = tree(Book, id="bank")
    expected = partitions(made, 2, key="account", entry="book", id="accounts", restarts=Intensity(9, 1))
    assert (read.id, read.restarts, read.router, read.entry) == (  # type: ignore[union-attr]
        "accounts",
        expected.restarts,
        expected.router,
        "book",
    )
    assert [each.id for each in read.children] == ["0", "1"]  # type: ignore[union-attr]
    assert read.children[0].strategy == "rest_for_one"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("3", "partitions: 3 is no table"),
        ("{ count = 0, children = [] }", "partitions.count: 0 is out of range"),
        ("{ count = 1000000000, children = [] }", "are more parts than a tree may have"),
        ("{ entry = 'x', children = [] }", "is missing, and there is an entry"),
        ("{ key = 'k', entry = 'x', children = [] }", "points nowhere"),
        ("{ agent = 'a:B' }", "partitions.agent"),
    ],
)
def test_bad_partitions_in_toml_are_refused(tmp_path: File, written: str, said: str) -> None:
    with pytest.raises(BlueprintError) as caught:
        loads(f"[[children]]\nid = 'accounts'\npartitions = {written}\n", tmp_path)
    assert said in str(caught.value)
