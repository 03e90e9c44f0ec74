"""What was spent is spent: over lives, processes and `kill -9`, and is forgotten when it does not count any more."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.message import Request
from treewarden.supervisor import BudgetLimit, ChildSpec, Strategy
from treewarden.supervisor.core.event import SignalNoted, Spent
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.topologies import Tree, child, open_tree, tree

CLOCK = trio.testing.MockClock
LIMIT = BudgetLimit(most=10.0, within=600.0)


@frozen
class Spend(Request[None]):
    amount: float


class Spender(Agent[None]):
    state = None

    @handles
    def spend(self, message: Spend) -> None:
        self.measured("cost", message.amount)


def spender(limit: BudgetLimit = LIMIT) -> ChildSpec:
    return child(Spender, limits=(limit,), mailbox=MailboxSpec(durability=VOLATILE))


async def spend(running: Tree, *amounts: float) -> None:
    for amount in amounts:
        await running.ref("spender").ask(Spend(amount))
    await running.supervisor().count()


async def told(journal: MemoryJournal) -> tuple[list[str], list[float]]:
    """What was signalled, and what was journaled as spent."""
    events = [record.event for record in await journal.read(limit=10_000)]
    signals = [event.text for event in events if isinstance(event, SignalNoted)]
    return signals, [event.amount for event in events if isinstance(event, Spent)]


async def test_the_next_process_goes_on_with_what_was_spent(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(spender()), journal=journal, wall=trio.current_time) as running:
        await spend(running, 4.0, 4.0)
        assert await told(journal) == ([], [4.0, 4.0]), "each is worth telling at once"
    await trio.sleep(400)
    async with open_tree(tree(spender()), journal=journal, wall=trio.current_time) as running:
        await spend(running, 3.0)
        assert (await told(journal))[0] == ["11 spent in 600 s (limit 10)"]
        await trio.sleep(300)
        assert (await told(journal))[0][1:] == ["recovered from budget: 3 spent in 600 s (limit 10)"]
    await trio.sleep(1000)
    async with open_tree(tree(spender()), journal=journal, wall=trio.current_time) as running:
        await spend(running, 9.0)
        assert len((await told(journal))[0]) == 2


async def test_small_amounts_are_told_together(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(spender()), journal=journal, wall=trio.current_time) as running:
        await spend(running, *[0.01] * 30)
        assert sum((await told(journal))[1]) == pytest.approx(0.2), "a fiftieth of the budget"
        await trio.sleep(30)
        assert sum((await told(journal))[1]) == pytest.approx(0.3)
        await spend(running, 0.05)
    assert (await told(journal))[1][-1] == pytest.approx(0.05), "the rest when it ends"


async def test_a_wrong_clock_forgets_nothing(autojump_clock: CLOCK) -> None:
    """What was spent later than now was spent now."""
    journal, wall = MemoryJournal(), 5000.0
    async with open_tree(tree(spender()), journal=journal, wall=lambda: wall) as running:
        await spend(running, 8.0)
    wall = 100.0
    async with open_tree(tree(spender()), journal=journal, wall=lambda: wall) as running:
        await spend(running, 3.0)
        assert (await told(journal))[0] == ["11 spent in 600 s (limit 10)"]


async def test_another_limit_forgets_nothing(autojump_clock: CLOCK) -> None:
    journal = MemoryJournal()
    async with open_tree(tree(spender()), journal=journal) as running:
        await spend(running, 6.0)
        await running.reload(tree(spender(BudgetLimit(most=5.0, within=300.0))))
        await trio.sleep(10)
        assert (await told(journal))[0] == ["6 spent in 300 s (limit 5)"]


async def test_those_who_come_and_go_are_not_remembered_for_ever(autojump_clock: CLOCK) -> None:
    template = spender(BudgetLimit(most=1e9, within=1e6))
    async with open_tree(tree(template, strategy=Strategy.DYNAMIC)) as running:
        gauges = running._common.gauges  # pyright: ignore[reportPrivateUsage]
        supervisor = running.supervisor()
        for n in range(2500):
            await supervisor.start_dynamic(id=f"n{n}")
            await running.ref(f"n{n}").ask(Spend(1.0))
            if n >= 10:
                await supervisor.terminate_dynamic(f"n{n - 10}")
        budgets = gauges._budgets  # pyright: ignore[reportPrivateUsage]
        assert len(budgets) <= 1020
        assert {f"n{n}" for n in range(2400, 2500)} <= {path.name for path in budgets}


PROGRAM = """
    import os, signal, sys
    import trio
    from treewarden.agents import Agent, Request, handles
    from treewarden.supervisor import BudgetLimit
    from treewarden.supervisor.core.event import SignalNoted
    from treewarden.supervisor.journal.port import Commit
    from treewarden.topologies import child, open_tree, tree
    from attrs import frozen

    @frozen
    class Spend(Request[None]):
        amount: float

    class Spender(Agent[None]):
        state = None

        @handles
        async def spend(self, message: Spend) -> None:
            self.measured("cost", message.amount)

    async def main():
        spec = tree(child(Spender, limits=(BudgetLimit(most=10.0),)))
        async with open_tree(spec, journal=sys.argv[1]) as running:
            await running.ref("spender").ask(Spend(float(sys.argv[2])))
            await running.supervisor().count()
            await running._common.journal.commit(Commit())
            if sys.argv[3:]:
                os.kill(os.getpid(), signal.SIGKILL)
            events = [each.event for each in await running._common.journal.read(limit=1000)]
            print([each.text for each in events if isinstance(each, SignalNoted)])

    trio.run(main)
"""


def test_kill_9_gives_nothing_back(tmp_path: Path) -> None:
    program, file = tmp_path / "spend.py", str(tmp_path / "tree.db")
    program.write_text(textwrap.dedent(PROGRAM))
    killed = subprocess.run([sys.executable, program, file, "8", "die"], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    again = subprocess.run([sys.executable, program, file, "3"], capture_output=True, text=True, check=False)
    assert "11 spent in 3600 s (limit 10)" in again.stdout, again.stderr
