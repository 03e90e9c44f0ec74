"""What the watchdog's agents are tested with: endpoints that answer as told, in the time of the loop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import trio
from attrs import define, field
from fetching import Answer, Call, Unreachable
from watchdog import Endpoint

from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.supervisor.journal.memory import MemoryJournal
from treewarden.supervisor.journal.port import Journal
from treewarden.supervisor.journal.sqlite import SqliteJournal
from treewarden.topologies.child import child
from treewarden.topologies.core.blueprint import Blueprint
from treewarden.topologies.open import open_tree
from treewarden.topologies.running import Tree

__all__ = ["GOOD", "Net", "Reply", "endpoint", "opened"]

R = TypeVar("R")

Reply: TypeAlias = Callable[[int], Answer | str | float | None]
"""What the n-th request (from 1) gets: an answer, a text for one that cannot be reached, seconds after which it is
answered well, or None for never."""

GOOD = Answer(status=200, headers={}, body='{"ok": true}')


@define
class Net:
    """A network in memory; addresses without a reply of their own answer well."""

    answers: Mapping[str, Reply] = field(factory=dict[str, Reply])
    asked: dict[str, list[float]] = field(factory=lambda: defaultdict[str, list[float]](list))
    """When each address was asked, in the time of the loop."""
    calls: list[Call] = field(factory=list[Call])

    async def fetch(self, call: Call) -> Answer:
        times = self.asked[call.url]
        times.append(trio.current_time())
        self.calls.append(call)
        said = self.answers.get(call.url, lambda _: GOOD)(len(times))
        if said is None:
            await trio.sleep_forever()
        if isinstance(said, str):
            raise Unreachable(said)
        if isinstance(said, (int, float)):
            await trio.sleep(said)
            return GOOD
        return said


def opened(blueprint: Blueprint, file: Path | None = None) -> AbstractAsyncContextManager[Tree]:
    """The tree with its journal in memory or in `file`, in the time of the loop and without threads."""
    journal: Journal = (
        MemoryJournal() if file is None else SqliteJournal(file, clock=LoopClock(trio.current_time), run_sync=_inline)
    )
    return open_tree(blueprint, journal=journal, wall=trio.current_time)


async def _inline(call: Callable[..., R], /, *args: Any, **_: Any) -> R:
    await trio.lowlevel.checkpoint()
    return call(*args)


def endpoint(net: Net, id: str, args: Mapping[str, Any] | None = None, **options: Any) -> ChildSpec:
    """A child that watches `http://ID/` on `net`, every second unless `args` say otherwise."""
    given = {"url": f"http://{id}/", "every": 1.0, "fetch": net.fetch, **(args or {})}
    return child(Endpoint, id=id, args=given, **options)
