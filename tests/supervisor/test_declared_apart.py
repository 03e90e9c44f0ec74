"""Who declares other dependencies is in no trouble with those that use one of them: three hundred hosts are not one."""

from __future__ import annotations

import re

import pytest
import trio
import trio.testing
from attrs import evolve, frozen

from treewarden.agents.agent import Agent, handles
from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.exit import Failed, Failure
from treewarden.agents.core.path import Path
from treewarden.agents.errors import RateLimited
from treewarden.supervisor.core.signal import RateLimitReached, Signal
from treewarden.supervisor.core.spec import Intensity
from treewarden.supervisor.core.symptom import Symptom
from treewarden.topologies.child import child
from treewarden.topologies.open import open_tree
from treewarden.topologies.tree import tree

from .core.cases import SPEC, case, exited

HOSTS = 24
NAMES = re.compile(r"(?:waits for|tries) (.*?)(?:[,;]|$)")
GOOD = {f"h{n}" for n in range(1, HOSTS, 2)}
REFUSED = evolve(exited(), exit=Failed(Failure("ConnectionError", fingerprint="f")))
TROUBLES: dict[str, tuple[Signal, bool]] = {
    "a connection": (REFUSED, True),
    "a timeout": (evolve(REFUSED, exit=Failed(Failure("ReadTimeout"))), True),
    "a limit": (RateLimitReached(path=REFUSED.path, at=REFUSED.at), True),
    "their code": (evolve(REFUSED, exit=Failed(Failure("TypeError"))), False),
}


@pytest.mark.parametrize(("trouble", "outside"), TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize(
    ("own", "others", "together"),
    [
        (("one",), ("two",), False),
        (("one", "net"), ("two", "net"), True),
        ((), ("two",), True),  # who declares nothing may use anything
        (("one",), (), True),
        ((), (), True),
    ],
)
def test_siblings_that_use_other_things_are_not_alike(
    trouble: Signal, outside: bool, own: tuple[str, ...], others: tuple[str, ...], together: bool
) -> None:
    window = case().window
    for place in range(12):
        window = window.add(evolve(trouble, path=Path(f"desk/s{place}")), others)
    context = case(trouble, window=window.add(trouble, own), spec=evolve(SPEC, uses=own)).context
    together = together or not outside  # the code is the same, whatever they talk to
    assert (context.alike, context.shows(Symptom.SIBLINGS_ALIKE)) == (13 if together else 1, together)


@frozen
class Fetch:
    limited: bool = False


class Host(Agent[int]):
    state = 0

    def __init__(self, bad: bool) -> None:
        self.bad = bad

    @handles
    async def fetch(self, message: Fetch) -> None:
        if self.bad and message.limited:
            raise RateLimited(after=1)
        if self.bad:
            raise ConnectionError("reset")
        self.state += 1


@pytest.mark.parametrize("limited", [False, True])
async def test_each_bad_host_is_left_alone_by_itself(autojump_clock: trio.testing.MockClock, limited: bool) -> None:
    hosts = [
        child(Host, id=f"h{n}", args={"bad": n % 2 == 0}, uses=(f"host{n}",), mailbox=MailboxSpec(capacity=100))
        for n in range(HOSTS)
    ]
    async with open_tree(tree(*hosts, restarts=Intensity(1000, 5.0)), seed=1) as running:
        waits = set[tuple[str, str]]()
        for second in range(90):
            for n in range(HOSTS):
                await running.ref(f"h{n}").tell(Fetch(limited))
            await trio.sleep(1)
            for slot in running.snapshot():
                found = NAMES.findall(slot.note)
                waits |= {(slot.path.name, name) for name in found}
                assert slot.path.name not in GOOD or (slot.handled, slot.note) == (second + 1, "")
        assert waits == {(f"h{n}", f"host{n}") for n in range(0, HOSTS, 2)}
