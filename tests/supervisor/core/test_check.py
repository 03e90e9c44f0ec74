"""Which specs a supervisor refuses before it starts anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from treewarden.agents.agent import Agent
from treewarden.supervisor.core.check import check_child, check_children, check_supervisor, check_tree
from treewarden.supervisor.core.spec import (
    BRUTAL_KILL,
    AutoShutdown,
    ChildSpec,
    Grace,
    Intensity,
    RestartPolicy,
    Spec,
    Strategy,
    SupervisorSpec,
)


class Nobody(Agent[None]):
    pass


def child(id: str = "a", **fields: Any) -> ChildSpec:
    return ChildSpec(id=id, agent=Nobody, **fields)


def under(*children: Spec, **fields: Any) -> SupervisorSpec:
    return SupervisorSpec(id="s", children=children, **fields)


SIGNIFICANT = child(significant=True, restart=RestartPolicy.TRANSIENT)

SOUND: list[SupervisorSpec] = [
    under(),
    under(child("a"), child("b", shutdown=BRUTAL_KILL), under()),
    under(SIGNIFICANT, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT),
    under(child(), strategy=Strategy.DYNAMIC),
    under(under(child()), strategy=Strategy.DYNAMIC),
]
UNSOUND: dict[str, tuple[Callable[[], object], str]] = {
    "a child that is none": (lambda: check_child("a"), "describes no child"),
    "a restart type": (lambda: check_child(child(restart="always")), "restart is 'always'.*PERMANENT"),
    "a shutdown": (lambda: check_child(child(shutdown=5)), "shutdown is 5.*Grace"),
    "significance": (lambda: check_child(child(restart=RestartPolicy.TEMPORARY, significant="very")), "significant is"),
    "an agent": (lambda: check_child(evolve(child(), agent=cast("Any", "Nobody"))), "agent is 'Nobody'"),
    "a mailbox": (lambda: check_child(child(mailbox=100)), "mailbox is 100"),
    "significant for nobody": (lambda: check_child(SIGNIFICANT, AutoShutdown.NEVER), "auto_shutdown is never"),
    "twins": (lambda: check_children([child(), under(), child()]), "two children are called 'a'"),
    "unknown auto_shutdown": (lambda: check_children([], cast("Any", "sometimes")), "auto_shutdown is"),
    "no list": (lambda: check_children("children"), "no sequence"),
    "a supervisor that is none": (lambda: check_supervisor(child()), "describes no supervisor"),
    "a strategy": (lambda: check_supervisor(under(strategy="none_for_one")), "strategy is 'none_for_one'"),
    "auto_shutdown": (lambda: check_supervisor(under(auto_shutdown="sometimes")), "auto_shutdown is 'sometimes'"),
    "an intensity": (lambda: check_supervisor(under(restarts=3)), "restarts is 3"),
    "two templates": (lambda: check_supervisor(under(child(), child("b"), strategy=Strategy.DYNAMIC)), "not 2"),
    "no template": (lambda: check_supervisor(under(strategy=Strategy.DYNAMIC)), "not 0"),
    "auto_shutdown of a dynamic one": (
        lambda: check_supervisor(
            under(SIGNIFICANT, strategy=Strategy.DYNAMIC, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
        ),
        "knows no auto_shutdown",
    ),
    "twins below": (lambda: check_tree(under(under(child(), child()))), "two children"),
}


@pytest.mark.parametrize("spec", SOUND)
def test_what_can_work_is_taken(spec: SupervisorSpec) -> None:
    assert check_tree(spec) is spec


@pytest.mark.parametrize("what", UNSOUND)
def test_what_cannot_work_is_refused_with_its_remedy(what: str) -> None:
    check, said = UNSOUND[what]
    with pytest.raises(ValueError, match=said):
        check()


def test_a_supervisor_does_not_look_below_its_children() -> None:
    broken = under(child(), child())
    assert check_supervisor(SupervisorSpec(children=(broken,)))


def test_auto_shutdown_can_be_left_out() -> None:
    assert check_child(SIGNIFICANT) is SIGNIFICANT
    assert check_children((SIGNIFICANT,)) == (SIGNIFICANT,)


@given(st.lists(st.sampled_from("abcd")), st.sampled_from(list(AutoShutdown)))
def test_only_equal_ids_keep_sound_children_apart(ids: list[str], auto_shutdown: AutoShutdown) -> None:
    specs = [child(id, shutdown=Grace(1), restarts=Intensity()) for id in ids]
    if len(set(ids)) == len(ids):
        assert check_children(specs, auto_shutdown) == tuple(specs)
    else:
        with pytest.raises(ValueError, match="two children are called"):
            check_children(specs, auto_shutdown)
