"""treewarden's own trees in worlds that are hard on them; `make chaos` does the same for longer."""

from __future__ import annotations

import pytest

from treewarden.topologies.chaos.run import run_world
from treewarden.topologies.chaos.subjects import SUBJECTS, hard


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_tree_of_ours_bears_what_comes(name: str) -> None:
    run = run_world(SUBJECTS[name].run, len(name), hard())
    assert (run.failures, run.escapes) == ((), ())
