"""Actions of one's own in a TOML file: imported as agents are, and refused as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from treewarden.supervisor.core.spec import ChildSpec
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.toml import loads

CODE = """\
from treewarden.agents import Agent

class Till(Agent[None]): ...

async def warm_up(occasion): ...

async def poll(): ...

def not_async(occasion): ...
"""
CHILD = "{ id = 'a', agent = 'action_desk:Till', actions = { warm_up = 'action_desk:warm_up' } }"


@pytest.fixture(scope="session")  # a process imports its module once
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("desk")
    (made / "action_desk.py").write_text(CODE)
    return made


def test_they_are_imported_for_a_child_and_for_a_tree(folder: Path) -> None:
    text = f"""
    actions = {{ check = {{ run = 'action_desk:warm_up', within = 3, helps = {{ overload = 0.7 }} }} }}
    policy = {{ rules = [{{ context = 'crash', action = 'perform:warm_up' }}] }}
    children = [{CHILD}, {{ id = 'below', actions = {{ look = 'action_desk:warm_up' }}, children = [] }}]
    """
    root = loads(text, folder).blueprint
    spec, below = root.children
    assert isinstance(spec, ChildSpec)
    assert [(name, each.run.__name__, each.within) for name, each in spec.actions.items()] == [
        ("warm_up", "warm_up", 30)
    ]
    assert (root.actions["check"].within, root.actions["check"].helps) == (3, {"overload": 0.7})
    assert list(below.actions) == ["look"]


def test_defaults_give_all_agents_below_the_same(folder: Path) -> None:
    text = """
    defaults = { actions = { warm_up = 'action_desk:warm_up' } }
    children = [{ id = 'a', agent = 'action_desk:Till' }, { id = 'b', worker = 'action_desk:poll' }]
    """
    assert [list(each.actions) for each in loads(text, folder).blueprint.children] == [["warm_up"], ["warm_up"]]


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        ("['action_desk:warm_up']", "children[0].actions: ['action_desk:warm_up'] is no table of actions; write"),
        ("{ warm_up = 'action_desk:not_async' }", "actions.warm_up: 'action_desk:not_async' is a function, not"),
        ("{ warm_up = { within = 3 } }", "actions.warm_up: { within = 3 } says not what is run"),
        ("{ warm_up = { run = 'action_desk:warm_up', within = 0 } }", "actions.warm_up.within: 0 is out of range"),
        ("{ warm_up = { run = 'action_desk:warm_up', helps = { overlod = 0.5 } } }", "did you mean 'overload'"),
        ("{ warm_up = { run = 'action_desk:warm_up', helps = { overload = 2 } } }", "overload: 2 is out of range"),
        ("{ restart = 'action_desk:warm_up' }", "actions has 'restart', which has a meaning already"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(actions: str, text: str, folder: Path) -> None:
    with pytest.raises(BlueprintError) as refused:
        loads(f"children = [{{ id = 'a', agent = 'action_desk:Till', actions = {actions} }}]\n", folder)
    assert text in str(refused.value)


def test_rules_speak_of_actions_that_somebody_registers(folder: Path) -> None:
    text = f"policy = {{ rules = [{{ context = 'crash', action = 'perform:warmup' }}] }}\nchildren = [{CHILD}]\n"
    with pytest.raises(BlueprintError) as refused:
        loads(text, folder)
    assert "tree.policy: 'warmup' is an action that nobody registers, did you mean 'warm_up'" in str(refused.value)
