"""Policies of the user's in a race."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from treewarden.agents.errors import ConfigurationError
from treewarden.topologies.recovery.own import own
from treewarden.topologies.recovery.race import run_race

from .worlds import trouble_of, world_of


def rules(folder: Path, action: str) -> str:
    file = folder / "rules.toml"
    file.write_text(f'rules = [{{ context = "crash", action = "{action}" }}]', "utf-8")
    return str(file)


def test_who_is_stopped_is_started_by_the_person_who_notices(tmp_path: Path) -> None:
    contender = own(rules(tmp_path, "stop"))
    assert contender is not None
    world = evolve(world_of("transient"), notices=300.0)
    first, second = run_race(world, 0, contender).incidents
    assert (first.actions, first.pages) == (("stop",), 1)
    assert first.down == pytest.approx(300 + trouble_of(world).person, abs=60)
    assert second.actions == ("stop",), "and works again when the next trouble comes"


def test_an_action_of_ones_own_cannot_be_raced(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"rules\.toml would perform warm: .*; leave those rules out"):
        own(rules(tmp_path, "perform:warm"))
    assert own("ladder") is None
