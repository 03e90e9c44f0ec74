"""Limits of what is measured, in a TOML file: read as in Python, and refused by place, value and remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from treewarden.supervisor.core.measures import BudgetLimit, LatencyLimit, Limit, MemoryLimit
from treewarden.supervisor.core.spec import ChildSpec
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.toml import loads

CODE = "from treewarden.agents import Agent\n\n\nclass Desk(Agent[None]): ...\n"


def limits_of(text: str, folder: Path) -> tuple[Limit, ...]:
    module = re.sub(r"\W", "_", f"limited_{folder.name}")  # another one in each folder: modules are imported once
    (folder / f"{module}.py").write_text(CODE)
    (spec,) = loads(
        f"children = [{{ id = 'a', agent = '{module}:Desk', limits = {text} }}]\n", folder
    ).blueprint.children
    assert isinstance(spec, ChildSpec)
    return spec.limits


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", ()),
        ("{ memory = { grows = 1e6, every = 1 } }", (MemoryLimit(grows=1e6, every=1),)),
        (
            "{ latency = { most = 0.5, p = 0.9, last = 50, of = 'said' }, budget = { most = 5, within = 60 } }",
            (LatencyLimit(most=0.5, p=0.9, last=50, of="said"), BudgetLimit(most=5, within=60)),
        ),
        ("{ latency = { most = 0.5 } }", (LatencyLimit(most=0.5, of="message"),)),
        ("{ latency = { most = 0.5, of = 'message' } }", (LatencyLimit(most=0.5),)),
        ("{ latency = { most = 0.5, of = 'handler' } }", (LatencyLimit(most=0.5, of="handler"),)),
    ],
)
def test_they_are_read(text: str, found: tuple[Limit, ...], tmp_path: Path) -> None:
    assert limits_of(text, tmp_path) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{ memory = {} }", "a MemoryLimit needs `grows` (bytes per second) or `most` (bytes)"),
        ("{ latency = {} }", "says not how much is too much; write { most = 0.5 }"),
        ("{ latency = { most = -1 } }", "tree.children[0].limits.latency.most: -1"),
        ("{ latency = { most = true } }", "tree.children[0].limits.latency.most: true"),
        ("{ latency = { most = nan } }", "tree.children[0].limits.latency.most: nan"),
        ("{ latency = { most = 1, of = 'guess' } }", "tree.children[0].limits.latency.of: 'guess'"),
        ("{ budget = { most = inf } }", "tree.children[0].limits.budget.most: inf"),
        ("{ budget = 5 }", "tree.children[0].limits.budget: 5"),
        ("{ speed = { most = 5 } }", "speed"),
        ("[1]", "tree.children[0].limits"),
    ],
)
def test_what_cannot_be_is_refused_by_its_place(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BlueprintError) as refused:
        limits_of(text, tmp_path)
    assert says in str(refused.value)
