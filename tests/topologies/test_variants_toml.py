"""Variants of an agent in a TOML file: imported as the agent is, and refused as the agent is."""

from __future__ import annotations

from pathlib import Path

import pytest

from treewarden.supervisor.core.spec import ChildSpec
from treewarden.topologies.errors import BlueprintError
from treewarden.topologies.toml import loads

CODE = "from treewarden.agents import Agent\n\n\nclass New(Agent[None]): ...\n\n\nclass Old(Agent[None]): ...\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: a module that was imported from another folder is not imported again."""
    made = tmp_path_factory.mktemp("variants")
    (made / "variant_desk.py").write_text(CODE)
    return made


def test_they_are_imported(folder: Path) -> None:
    text = "children = [{ id = 'a', agent = 'variant_desk:New', variants = { previous = 'variant_desk:Old' } }]\n"
    (spec,) = loads(text, folder).blueprint.children
    assert isinstance(spec, ChildSpec)
    assert [(name, made.__name__) for name, made in spec.variants.items()] == [("previous", "Old")]


@pytest.mark.parametrize(
    ("variants", "text"),
    [
        ("{ previous = 'variant_desk:Odl' }", "tree.children[0].variants.previous: 'variant_desk:Odl' "),
        ("['variant_desk:Old']", "is no table of variants; write { name = 'module:Class' }"),
    ],
)
def test_what_is_none_is_refused(variants: str, text: str, folder: Path) -> None:
    with pytest.raises(BlueprintError) as refused:
        loads(f"children = [{{ id = 'a', agent = 'variant_desk:New', variants = {variants} }}]\n", folder)
    assert text in str(refused.value)
