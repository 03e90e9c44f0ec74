# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportPrivateUsage=false
# pyright: reportUnknownMemberType=false
"""Ways to break treewarden on purpose: each takes one promise out, by replacing one attribute of a module or a class.

They are applied in a process of their own, which ends after it; nothing is edited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import trio
from attrs import evolve

from treewarden.agents.core.exit import KILLED
from treewarden.agents.mailbox import Mailbox
from treewarden.agents.ports import KEEP
from treewarden.supervisor import acting, children, fence, recovery
from treewarden.supervisor.core.history import RestartHistory
from treewarden.supervisor.fence import AgentLife
from treewarden.supervisor.journal.owned import OwnedFile
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.settling import SlotStore
from treewarden.supervisor.timers import Timers

__all__ = ["MUTANTS"]


def acknowledge_early() -> None:
    """A told message is acknowledged before it is on disk."""

    async def accept(self: Any, slot: Any, envelope: Any) -> None:
        row = self.row_for(envelope)
        self._common.timers.at(
            self._common.clock.now() + 0.2, lambda: self._common.journal.submit(Commit(accepted=(row,)), _nobody)
        )
        slot.fill(envelope, envelope.priority)

    _replace(SlotStore, "accept", accept)


def forget_the_state() -> None:
    """A settle does not write the state."""
    _change_commits(lambda commit: evolve(commit, states=()))


def forget_the_acknowledgement() -> None:
    """A settle leaves its message in the mailbox."""
    _change_commits(lambda commit: evolve(commit, acked=()))


def forget_what_was_told() -> None:
    """A settle does not write the messages that its handler told."""
    _change_commits(lambda commit: evolve(commit, accepted=()))


def leave_before_the_commit() -> None:
    """What a handler told and replied leaves before its settle is on disk."""
    settle = SlotStore.settle

    def early(self: Any, done: Any, then: Callable[[BaseException | None], None]) -> None:
        settle(self, done, _nobody)
        then(None)

    _replace(SlotStore, "settle", early)


def ignore_failed_commits() -> None:
    """A settle that was not kept is taken for one that was."""
    settle = SlotStore.settle

    def deaf(self: Any, done: Any, then: Callable[[BaseException | None], None]) -> None:
        settle(self, done, lambda error: then(None))
        self._broken = None

    _replace(SlotStore, "settle", deaf)


def assume_that_it_was_kept() -> None:
    """A commit that raised is taken for kept, without reading back."""
    _replace(OwnedFile, "_stands", lambda self, batch, cause: True)


def assume_that_it_was_lost() -> None:
    """A commit that raised is taken for lost, without reading back."""
    _replace(OwnedFile, "_stands", lambda self, batch, cause: False)


def forget_the_epoch() -> None:
    """A process that has lost its journal to another one goes on writing."""
    _replace(OwnedFile, "_lose", lambda self, connection: None)


def swallow_a_cancellation() -> None:
    """An agent that is cancelled goes on, for half an hour."""
    run = fence.run_agent

    async def deaf(life: Any) -> Any:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1800.0):
            return await run(life)
        return KILLED

    _replace(fence, "run_agent", deaf)


def restart_without_restoring() -> None:
    """A restarted agent begins with the state of its class."""
    make = AgentLife._make

    def fresh(self: Any) -> Any:
        self.slot.state = KEEP
        return make(self)

    _replace(AgentLife, "_make", fresh)


def lose_what_was_in_hand() -> None:
    """The message that an agent died on does not come back."""
    _replace(acting, "return_in_hand", _drop_in_hand)


def lose_what_a_killed_supervisor_had() -> None:
    """What workers had in hand whose supervisor was killed does not come back."""
    account = children.Children.account_orphan

    def forgetful(self: Any, life: Any) -> None:
        _drop_in_hand(life)
        account(self, life)

    _replace(children.Children, "account_orphan", forgetful)


def lose_what_was_stopped() -> None:
    """What an agent had in hand that did not end within its grace does not come back."""
    _replace(children, "keep_in_hand", _drop_in_hand)


def put_back_at_the_end() -> None:
    """A message that comes back goes behind those that wait."""

    def behind(self: Any, items: list[Any]) -> None:
        for item in items:
            self.restock(item)

    _replace(Mailbox, "put_back", behind)


def forget_the_first_message() -> None:
    """After a crash of the process the first message of a mailbox is not read."""
    restock = recovery._restock

    def rest(*args: Any, head: bool, **options: Any) -> None:
        if not head:
            restock(*args, head=head, **options)

    _replace(recovery, "_restock", rest)


def lose_a_timer() -> None:
    """Every third timer does not fire."""
    at, count = Timers.at, [0]

    def sometimes(self: Any, when: float, call: Callable[[], None]) -> Any:
        entry = at(self, when, call)
        count[0] += 1
        if count[0] % 3 == 0:
            entry.cancel()
        return entry

    _replace(Timers, "at", sometimes)


def allow_one_restart_more() -> None:
    """The intensity of a supervisor is off by one."""
    exceeded = RestartHistory.exceeded
    _replace(
        RestartHistory,
        "exceeded",
        lambda self, intensity: exceeded(self, evolve(intensity, max_restarts=intensity.max_restarts + 1)),
    )


def keep_the_journal() -> None:
    """A tree that ends in order does not give its journal back."""
    _replace(OwnedFile, "close", lambda self: self._disconnect())


def leave_a_connection() -> None:
    """A tree that ends in order leaves its connection open."""
    _replace(OwnedFile, "_disconnect", lambda self: None)


def _drop_in_hand(life: Any, *_: Any) -> None:
    life.in_hand = None


def _nobody(error: BaseException | None) -> None:
    return None


def _change_commits(change: Callable[[Commit], Commit]) -> None:
    commit = SlotStore._commit
    _replace(SlotStore, "_commit", lambda self, done: change(commit(self, done)))


def _replace(owner: Any, name: str, value: Any) -> None:
    if not hasattr(owner, name):
        raise AttributeError(f"{owner!r} has no {name} any more: mend this mutant")
    setattr(owner, name, value)


_ALL: Final[Sequence[Callable[[], None]]] = (
    acknowledge_early, forget_the_state, forget_the_acknowledgement, forget_what_was_told, leave_before_the_commit,
    ignore_failed_commits, assume_that_it_was_kept, assume_that_it_was_lost, forget_the_epoch,
    swallow_a_cancellation, restart_without_restoring,
    lose_what_was_in_hand, lose_what_a_killed_supervisor_had, lose_what_was_stopped, put_back_at_the_end,
    forget_the_first_message, lose_a_timer, allow_one_restart_more, keep_the_journal, leave_a_connection,
)  # fmt: skip

MUTANTS: Final = {mutant.__name__: mutant for mutant in _ALL}
"""By name; each breaks this process for good."""
