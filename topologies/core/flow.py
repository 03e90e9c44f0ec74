"""Where the results of handlers go: the graph of outlets, and the order in which the stages of a pipeline start."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from treewarden.agents.core.values import frozen

from .problems import Problem, choose

__all__ = ["Flow", "find_cycle", "flow_problems"]

N = TypeVar("N", bound=Hashable)


@frozen
class Flow:
    """The stages of one pipeline by their ids, from the source to the sink, and where each sends its results."""

    ids: tuple[str, ...]
    to: tuple[Sequence[str] | None, ...]
    """None: to the stage declared next; the last one keeps them."""

    @property
    def edges(self) -> dict[str, tuple[str, ...]]:
        """The stages that each stage sends to."""
        found: dict[str, tuple[str, ...]] = {}
        for place, (id, to) in enumerate(zip(self.ids, self.to, strict=True)):
            onwards = self.ids[place + 1 : place + 2] if to is None else tuple(to)
            found[id] = (*found.get(id, ()), *onwards)
        return found

    @property
    def order(self) -> tuple[int, ...]:
        """Places in start order: every stage after all that it sends to, otherwise the one declared last first.

        Only for a flow without problems.
        """
        edges, started, waiting = self.edges, set[str](), list(reversed(range(len(self.ids))))
        order: list[int] = []
        while waiting:
            ready = next(place for place in waiting if started.issuperset(edges[self.ids[place]]))
            waiting.remove(ready)
            started.add(self.ids[ready])
            order.append(ready)
        return tuple(order)


def flow_problems(flow: Flow, at: str, places: Sequence[str]) -> Iterator[Problem]:
    """Everything that keeps `flow` from running: nothing in it, targets that it does not have, a cycle.

    `at` is where the list of stages stands, `places` where each stage does.
    """
    if not flow.ids:
        yield Problem(at, "[]", "is no pipeline", "give it a stage")
    for place, to in zip(places, flow.to, strict=True):
        for number, target in enumerate(to or ()):
            if target not in flow.ids:
                yield Problem(f"{place}.to[{number}]", repr(target), "is no stage here", choose(target, flow.ids))
    cycle = find_cycle(flow.edges)
    if cycle is not None:
        yield Problem(
            f"{places[flow.ids.index(cycle[0])]}.to",
            " -> ".join(cycle),
            "is a cycle: with full mailboxes each stage would wait for the next for ever",
            "take one of these arrows out",
        )


def find_cycle(edges: Mapping[N, Iterable[N]]) -> tuple[N, ...] | None:
    """One cycle as the nodes along it, the first again at the end, or None. Nodes that lead nowhere may be left out.

    >>> find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]})
    ('b', 'c', 'b')
    """
    done: set[N] = set()
    for start in edges:
        trail: dict[N, Iterator[N]] = {} if start in done else {start: iter(edges[start])}
        while trail:
            node = next(reversed(trail))
            target = next((each for each in trail[node] if each not in done), None)
            if target is None:
                done.add(node)
                del trail[node]
            elif target in trail:
                along = list(trail)
                return (*along[along.index(target) :], target)
            else:
                trail[target] = iter(edges.get(target, ()))
    return None
