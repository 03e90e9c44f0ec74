"""What an agent hands to its store: most is another state and nothing else."""

from __future__ import annotations

import attrs
import pytest
from attrs import evolve

from treewarden.agents.core.message import Envelope
from treewarden.agents.core.path import Path
from treewarden.agents.ports import Settled, state_settled

PATH = Path("desk")


@pytest.mark.parametrize("envelope", [None, Envelope(1)])
def test_a_state_alone_says_the_same_as_one_that_has_no_more(envelope: Envelope | None) -> None:
    alone = state_settled(PATH, envelope, 3, "done")
    same = Settled(PATH, envelope, state=3, reply="done")
    for each in attrs.fields(Settled):
        assert getattr(alone, each.name) == getattr(same, each.name)
    assert not alone.is_empty
    assert evolve(alone, events=("seen",)) == evolve(same, events=("seen",))
