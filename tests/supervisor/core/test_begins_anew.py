"""Whether a failure after work is another incident: each of the conditions alone takes it back."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from treewarden.agents.core.exit import KILLED, Finished
from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.case import begins_anew
from treewarden.supervisor.core.context import RECENT
from treewarden.supervisor.core.history import NO_RESTARTS
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.policies import akka, kubernetes, otp
from treewarden.supervisor.core.signal import RateLimitReached, RestartFailed, Stalled
from treewarden.supervisor.core.spec import Intensity, SupervisorSpec
from treewarden.supervisor.core.table import table

from .cases import PATH, SPEC, exited, failed, restarts

AT = 100.0
VARIED = evolve(SPEC, variants={"before": object})
DEFAULT: dict[str, Any] = {
    "policy": ladder(),
    "signal": exited(),
    "spec": SPEC,
    "intensity": Intensity(),
    "history": NO_RESTARTS,
    "child_history": NO_RESTARTS,
    "changed_at": None,
}


@pytest.mark.parametrize(
    ("given", "anew"),
    [
        ({}, True),
        ({"policy": belief()}, True),
        ({"policy": table([])}, True),
        ({"policy": otp()}, False),
        ({"policy": kubernetes()}, False),
        ({"policy": akka()}, False),
        ({"policy": evolve(ladder(), stable_after=60.0)}, False),
        ({"signal": Stalled(path=PATH, at=AT, idle=9.0, doing="Add")}, True),
        ({"signal": exited(KILLED)}, False),
        ({"signal": exited(Finished())}, False),
        ({"signal": RestartFailed(path=PATH, at=AT, failure=failed().failure)}, False),
        ({"signal": RateLimitReached(path=PATH, at=AT)}, False),
        ({"spec": SupervisorSpec(id="a")}, False),
        ({"changed_at": AT - RECENT}, True),
        ({"changed_at": AT - RECENT, "spec": VARIED}, False),
        ({"changed_at": AT - RECENT - 0.1, "spec": VARIED}, True),
        ({"history": restarts(1)}, False),
        ({"history": restarts(1), "intensity": Intensity(4, 5.0)}, True),
        ({"child_history": restarts(1)}, True),
        ({"child_history": restarts(1), "spec": evolve(SPEC, restarts=Intensity(3, 5.0))}, False),
        ({"child_history": restarts(1), "spec": evolve(SPEC, restarts=Intensity(4, 5.0))}, True),
    ],
)
def test_a_failure_after_work_is_another_incident(given: dict[str, Any], anew: bool) -> None:
    assert begins_anew(**{**DEFAULT, **given}) is anew
