"""The graph of a pipeline: cycles, where results go, and who starts first."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treewarden.topologies.core.flow import Flow, find_cycle, flow_problems

graphs = st.dictionaries(st.integers(0, 7), st.lists(st.integers(0, 7), max_size=3), max_size=8)


def reaches(edges: dict[int, list[int]], start: int, end: int) -> bool:
    seen, waiting = set[int](), list(edges.get(start, ()))
    while waiting:
        node = waiting.pop()
        if node == end:
            return True
        if node not in seen:
            seen.add(node)
            waiting += edges.get(node, ())
    return False


@given(graphs)
def test_a_cycle_is_found_if_there_is_one(edges: dict[int, list[int]]) -> None:
    cycle = find_cycle(edges)
    if cycle is None:
        assert not any(reaches(edges, node, node) for node in edges)
        return
    assert cycle[0] == cycle[-1]
    assert len(set(cycle)) == len(cycle) - 1
    assert all(target in edges[node] for node, target in pairwise(cycle))


def test_a_long_chain_is_no_recursion() -> None:
    chain = {number: [number + 1] for number in range(10_000)}
    assert find_cycle(chain) is None
    assert find_cycle({**chain, 10_000: [9_999]}) == (9_999, 10_000, 9_999)


def test_a_node_with_many_ways_to_it_is_looked_at_once() -> None:
    ladder = {number: [number + 1, number + 2] for number in range(200)}
    assert find_cycle(ladder) is None


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Pipelines without cycles: each stage sends onwards only, but in no particular order."""
    ids = draw(st.permutations("abcdef"))
    to = [draw(st.lists(st.sampled_from(ids[place + 1 :]), unique=True)) for place in range(len(ids) - 1)]
    shuffled = draw(st.permutations(list(zip(ids, [*to, []], strict=True))))
    return Flow(tuple(id for id, _ in shuffled), tuple(tuple(each) for _, each in shuffled))


@given(flows())
def test_a_stage_starts_after_those_that_it_sends_to(flow: Flow) -> None:
    assert list(flow_problems(flow, "flow", flow.ids)) == []
    started: set[str] = set()
    for place in flow.order:
        assert started.issuperset(flow.edges[flow.ids[place]])
        started.add(flow.ids[place])
    assert started == set(flow.ids)


def test_a_row_starts_at_its_end() -> None:
    flow = Flow(("read", "clean", "keep"), (None, None, None))
    assert flow.edges == {"read": ("clean",), "clean": ("keep",), "keep": ()}
    assert flow.order == (2, 1, 0)


def test_an_empty_list_keeps_the_results() -> None:
    assert Flow(("read", "log", "keep"), (("log", "keep"), (), None)).edges == {
        "read": ("log", "keep"),
        "log": (),
        "keep": (),
    }


@pytest.mark.parametrize(
    ("flow", "texts"),
    [
        (Flow((), ()), ["f: [] is no pipeline; give it a stage"]),
        (Flow(("a", "b"), (("c",), None)), ["a.to[0]: 'c' is no stage here; use a or b"]),
        (
            Flow(("reader", "writer"), (("writer", "raeder"), None)),
            ["reader.to[1]: 'raeder' is no stage here, did you mean 'reader'? use reader or writer"],
        ),
        (
            Flow(("a", "b"), (None, ("a",))),
            [
                "a.to: a -> b -> a is a cycle: with full mailboxes each stage would wait for the next for ever; "
                "take one of these arrows out"
            ],
        ),
    ],
)
def test_what_cannot_run_is_said(flow: Flow, texts: list[str]) -> None:
    assert [str(each) for each in flow_problems(flow, "f", flow.ids)] == texts
