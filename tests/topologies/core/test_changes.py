"""What a reload has to do, from two blueprints."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.core.path import ROOT, Path
from treewarden.supervisor.core.spec import ChildSpec, Spec, Strategy, SupervisorSpec
from treewarden.topologies.core.blueprint import Blueprint, walk
from treewarden.topologies.core.changes import Changes, diff


def leaf(id: str, **args: object) -> ChildSpec:
    return ChildSpec(id=id, agent=dict, args=args)


def branch(id: str, *children: Spec, strategy: Strategy = Strategy.ONE_FOR_ONE) -> SupervisorSpec:
    return SupervisorSpec(id=id, children=children, strategy=strategy)


ids = st.sampled_from("abcd")
leaves = st.builds(leaf, ids, size=st.integers(0, 1))
specs: st.SearchStrategy[Spec] = st.recursive(
    leaves,
    lambda below: st.builds(
        SupervisorSpec,
        id=ids,
        children=st.lists(below, max_size=3, unique_by=lambda spec: spec.id).map(tuple),
        strategy=st.sampled_from([Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL]),
    ),
    max_leaves=8,
)
trees = st.lists(specs, max_size=4, unique_by=lambda spec: spec.id).map(lambda children: branch("tree", *children))


@given(trees)
def test_nothing_changed(tree: Blueprint) -> None:
    assert diff(tree, evolve(tree, id="renamed")) == Changes()
    assert not diff(tree, tree)


@given(trees, trees)
def test_what_is_not_listed_is_the_same(old: Blueprint, new: Blueprint) -> None:
    changes = diff(old, new)
    before, after = dict(walk(old)), dict(walk(new))
    moved = (*changes.added, *changes.removed, *changes.changed)
    for path in before.keys() | after.keys():
        if not any(path.is_within(each) for each in moved if each != ROOT):
            assert path in before
            assert path in after
            if isinstance(after[path], ChildSpec):
                assert before[path] == after[path]
    assert bool(changes) == (old != new)


@given(trees, trees)
def test_what_is_listed_differs(old: Blueprint, new: Blueprint) -> None:
    changes = diff(old, new)
    before, after = dict(walk(old)), dict(walk(new))
    assert all(path in after and path not in before and path.parent in before for path in changes.added)
    assert all(path in before and path not in after and path.parent in after for path in changes.removed)
    assert all(before[path] != after[path] for path in changes.changed)
    assert diff(new, old).added == tuple(reversed(changes.removed))


def test_only_the_top_of_a_subtree_is_listed() -> None:
    old = branch("tree", branch("desk", leaf("a")), leaf("x"))
    new = branch("tree", leaf("x"), branch("shop", leaf("b"), leaf("c")))
    assert diff(old, new) == Changes(added=(Path("shop"),), removed=(Path("desk"),))


def test_a_supervisor_changes_by_itself_and_its_children_by_themselves() -> None:
    old = branch("tree", branch("desk", leaf("a"), leaf("b", size=1)))
    new = branch("tree", branch("desk", leaf("a"), leaf("b", size=2), strategy=Strategy.ONE_FOR_ALL))
    assert diff(old, new).changed == (Path("desk"), Path("desk/b"))


def test_another_order_changes_the_supervisor() -> None:
    old, new = branch("tree", leaf("a"), leaf("b")), branch("tree", leaf("b"), leaf("c"), leaf("a"))
    assert diff(old, new) == Changes(added=(Path("c"),), changed=(ROOT,))


def test_an_agent_that_became_a_tree_is_changed_as_a_whole() -> None:
    old, new = branch("tree", leaf("a")), branch("tree", branch("a", leaf("b")))
    assert diff(old, new) == Changes(changed=(Path("a"),))


def test_orders_of_work() -> None:
    old = branch("tree", leaf("a"), leaf("b"), branch("desk", leaf("x"), leaf("y")))
    new = branch("tree", branch("desk", leaf("z")), leaf("c"), leaf("d"))
    assert diff(old, new) == Changes(
        added=(Path("desk/z"), Path("c"), Path("d")),
        removed=(Path("desk/y"), Path("desk/x"), Path("b"), Path("a")),
    )
