"""The one queue of a pool by itself: whom it wakes, and for what."""

from __future__ import annotations

from functools import partial

import pytest

from treewarden.agents.core.path import Path
from treewarden.agents.shared import SharedQueue, SharedWorker

from .hands import MEMORY, Job


def woken(size: int = 2) -> tuple[SharedQueue, list[SharedWorker], list[str]]:
    """A queue, its workers, all of them asleep, and the names of those that are woken."""
    queue = SharedQueue(Path("hand"), MEMORY, lambda: 0.0, None)
    workers = [SharedWorker(Path(f"hand/{n}"), MEMORY, lambda: 0.0, None, queue) for n in range(size)]
    names: list[str] = []
    for each in workers:
        each.rouse = partial(names.append, each.path.name)
    return queue, workers, names


@pytest.mark.parametrize("leave", ["forget_orders", "pause"])
def test_what_a_worker_was_woken_for_and_does_not_take_is_for_another(leave: str) -> None:
    queue, workers, names = woken()
    queue.put_nowait(Job(0))
    assert names == ["0"]
    workers[0].pause("held") if leave == "pause" else workers[0].forget_orders()
    assert names == ["0", "1"]
    assert workers[1].take() == Job(0)


def test_nobody_is_woken_for_a_paused_queue_and_all_that_are_needed_when_it_goes_on() -> None:
    queue, workers, names = woken(4)
    queue.pause("drained")
    for n in range(3):
        queue.put_nowait(Job(n))
    assert names == []
    assert [each.take() for each in workers] == [None] * 4
    queue.resume("drained")
    assert names == ["0", "1", "2"]
    assert [each.take() for each in workers] == [Job(0), Job(1), Job(2), None]


def test_a_paused_worker_takes_nothing() -> None:
    queue, workers, names = woken()
    workers[0].pause("throttled")
    queue.put_nowait(Job(0))
    assert names == ["1"]
    assert workers[0].take() is None
    assert not workers[0].has_work
    workers[0].resume("throttled")
    assert names == ["1", "0"]


def test_a_worker_that_was_passed_over_while_it_was_paused_is_woken_for_what_comes_later() -> None:
    queue, workers, names = woken()
    workers[0].pause("held")
    queue.put_nowait(Job(0))
    assert workers[1].take() == Job(0)
    workers[0].resume("held")
    assert names == ["1"]
    queue.put_nowait(Job(1))
    assert names == ["1", "0"]
    assert workers[0].take() == Job(1)
