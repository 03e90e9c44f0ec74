"""The sabotage score: treewarden broken on purpose, one way at a time, and whether the kit notices."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

import trio

from treewarden.agents.core.path import Path
from treewarden.agents.errors import ConfigurationError, JournalError
from treewarden.supervisor.common import LoopClock
from treewarden.supervisor.core.event import ChaosEnded
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import Intensity
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.testing import journal_on

from ..child import child
from ..tree import tree
from . import faults
from .disk import Disk, Processes
from .handler_mutants import Score
from .mutants import MUTANTS
from .promises import restart_intensity
from .run import Body, Setting, run_world
from .subjects import SUBJECTS, Clerk, hard
from .world import World

__all__ = ["is_caught", "sabotage"]

_TREES: Final = ("tree/one_for_one/message", "nested/message", "pool/round_robin/message", "pipeline/message")
_LIMIT: Final = Intensity(2, 60.0)


async def _limited(world: World) -> None:
    """A tree that gives up when it has restarted often enough."""
    world.always(restart_intensity)
    world.may_give_up = True
    clerk = child(Clerk, args={"outside": world.outside})
    await world.start(tree(clerk, restarts=_LIMIT, policy=otp()))
    for _ in range(_LIMIT.max_restarts + 2):
        await trio.sleep(0.5)
        if world.process.tree is not None:
            world.process.tree.kill(Path("clerk"))
    await trio.sleep(1.0)
    if not world.process.failed:
        world.fail("restart_intensity", "it did not give up")


async def _fenced(world: World) -> None:
    """Two processes, of which the first does not know that it has lost the journal."""
    disk, clock = Disk(lambda commit: commit()), LoopClock(world.wall)
    event = (world.wall(), ChaosEnded(reason="a test"))
    try:
        async with (
            journal_on(disk.connect, clock, Processes(1), "fenced") as first,
            journal_on(disk.connect, clock, Processes(2), "fenced"),
        ):
            try:
                await first.commit(Commit(events=(event,)))
            except JournalError:
                return
            world.fail("who has lost the journal writes nothing", "it was written")
    except (JournalError, BaseExceptionGroup):  # the first one ends over it, as it has to
        pass
    finally:
        disk.close()


def is_caught(name: str, most: int) -> bool:
    """Break this process with the mutant `name`, and run worlds until one fails, at most `most`.

    An empty name breaks nothing: then nothing may be noticed. Raises `ConfigurationError` for an unknown one.
    """
    if name and name not in MUTANTS:
        raise ConfigurationError(f"there is no mutant {name!r}; there is {', '.join(MUTANTS)}")
    if name:
        MUTANTS[name]()
    for seed in range(1, most + 1):
        subject = SUBJECTS[_TREES[seed % len(_TREES)]]
        tries: list[tuple[Body, Setting]] = [(subject.run, _harder())]
        if seed <= 2:
            tries += [(_limited, Setting(within=0.1)), (_fenced, Setting(within=0.1))]
        if any(run_world(body, seed, setting).failed for body, setting in tries):
            return True
    return False


def _harder() -> Setting:
    """As treewarden's own trees have it, with more of what is rare."""
    more = (faults.stubborn(rate=0.5, budget=2), faults.cancel(rate=0.5, budget=2), faults.lost_ack(rate=1.0))
    return Setting(faults=(*hard().faults, *more), within=4.0)


def sabotage(say: Callable[[str], None], most: int, names: Sequence[str] = tuple(MUTANTS)) -> Score:
    """How many mutants are caught, each in a process of its own, and that treewarden as it is is not."""
    caught = 0
    for name in names:
        hit = _in_child(name, most)
        caught += hit
        say(f"  {'caught' if hit else 'MISSED'}  {name}: {(MUTANTS[name].__doc__ or '').strip()}")
    clean = not _in_child("", most)
    say(f"{caught} of {len(names)} caught" + ("" if clean else "; and so was treewarden as it is"))
    return Score(caught, len(names), clean)


def _in_child(name: str, most: int) -> bool:
    program = f"import sys; from {__name__} import is_caught; sys.exit(40 + is_caught({name!r}, {most}))"
    code = subprocess.run([sys.executable, "-c", program], check=False).returncode
    if code not in (40, 41):
        raise RuntimeError(f"the process of mutant {name!r} ended with {code}")
    return code == 41
