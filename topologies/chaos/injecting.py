"""How each kind of fault strikes a world: at once, or armed at a gate for whoever passes it next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import trio

from treewarden.agents.core.path import Path
from treewarden.agents.errors import TreewardenError

from ..core.blueprint import Blueprint
from ..core.faults import Injection
from .instrumented import with_next_version
from .leaking import leak_memory
from .lost import Lost

if TYPE_CHECKING:
    from .world import World

__all__ = ["KINDS", "inject", "kill_deciding"]

Strike: TypeAlias = "Callable[[World, Injection, str], bool]"


def inject(world: World, injection: Injection, name: str) -> None:
    """Let `injection` happen now; `name` is whom its trigger has met. One that finds nobody is noted and over."""
    victim = name or injection.target
    if not KINDS[injection.kind](world, injection, name):
        world.note(f"{injection.kind} found nobody", victim)


def _chosen(world: World, injection: Injection, name: str, *, supervisors: bool = False) -> str:
    """Whom it hits: the one that the trigger has met, or one of those that the pattern fits now."""
    if name:
        return name
    found = [each for each in world.victims(injection.target, supervisors=supervisors) if each != "/"]
    return found[int(injection.pick * len(found))] if found else ""


def _kill(world: World, injection: Injection, name: str) -> bool:
    path = _chosen(world, injection, name)
    if not path or world.process.tree is None or not _killed(world, path):
        # At a place of a sweep somebody dies in any case: of a tree that begins, or a slot that ends, the process.
        return injection.trigger is not None and _crash(world, injection, "")
    world.struck("kill", path)
    return True


def _killed(world: World, path: str) -> bool:
    try:
        return world.tree.kill(path)
    except (TreewardenError, Lost):  # the slot has gone meanwhile, or the process
        return False


def _kill_supervisor(world: World, injection: Injection, name: str) -> bool:
    path = _chosen(world, injection, name, supervisors=True)
    if not path or not _killed(world, path):
        return False
    world.struck("kill_supervisor", path)
    return True


async def kill_deciding(world: World, above: str) -> None:
    """Kill a supervisor below the root that has just decided about a child: what it has begun to do is cut off."""
    await trio.lowlevel.checkpoint()
    if not _killed(world, above):
        world.note("kill_in_mid_restart came too late", above)


def _crash(world: World, injection: Injection, name: str) -> bool:
    if not world.process.crash(float(injection.knobs.get("down", 1.0))):
        return False
    world.struck("crash", "")
    return True


def _arm(world: World, injection: Injection, name: str) -> bool:
    _arm_for(world, injection, name or injection.target)
    return True


def _arm_storage(world: World, injection: Injection, name: str) -> bool:
    _arm_for(world, injection, "disk")
    return True


def _arm_for(world: World, injection: Injection, target: str) -> None:
    knobs = injection.knobs
    times, seconds = int(knobs.get("times", 1)), float(knobs.get("lasts", math.inf))
    world.gate.arm(injection.kind, target, knobs, times=times, seconds=seconds)


def _clock_jump(world: World, injection: Injection, name: str) -> bool:
    seconds = float(injection.knobs["seconds"])
    world.wall_offset += seconds
    world.struck("clock_jump", f"{seconds:+g} s")
    return True


def _clock_skew(world: World, injection: Injection, name: str) -> bool:
    rate = float(injection.knobs["factor"])
    world.wall_offset += trio.current_time() * (world.wall_rate - rate)
    world.wall_rate = rate
    world.struck("clock_skew", f"x{rate:g}")
    return True


def _suspend(world: World, injection: Injection, name: str) -> bool:
    """The machine sleeps: the loop's own time jumps, as after a laptop was opened again."""
    clock = cast("Any", trio.lowlevel.current_clock())
    clock.jump(float(injection.knobs["seconds"]))
    world.struck("suspend", f"{injection.knobs['seconds']} s")
    return True


def _stale_checkpoint(world: World, injection: Injection, name: str) -> bool:
    return _spoil(world, injection, "stale_checkpoint", _OLDEST)


def _corrupt_checkpoint(world: World, injection: Injection, name: str) -> bool:
    return _spoil(world, injection, "corrupt_checkpoint", _GARBAGE)


_OLDEST: Final = (
    "UPDATE checkpoints SET (kind, version, settled, seq, size, epoch, body, checksum) ="
    " (SELECT kind, version, settled, seq, size, epoch, body, checksum FROM checkpoints AS old"
    " WHERE old.path = checkpoints.path ORDER BY old.number LIMIT 1) WHERE path = ?"
)
_GARBAGE: Final = "UPDATE checkpoints SET body = substr(body, 1, length(body) / 2) || '?' WHERE path = ?"


def _spoil(world: World, injection: Injection, kind: str, sql: str) -> bool:
    """Spoil the kept checkpoints of one slot; its current state is another row, and stays sound."""
    path = _chosen(world, injection, name="")
    if not path or world.disk.database.in_transaction:
        return False
    if not world.disk.database.execute(sql, (path,)).rowcount:
        return False
    world.struck(kind, path)
    return True


def _leak(world: World, injection: Injection, name: str) -> bool:
    path = _chosen(world, injection, name)
    if not path:
        return False
    world.struck("leak", path)
    knobs = injection.knobs
    world.nursery.start_soon(leak_memory, world, path, float(knobs["grows"]), float(knobs["limit"]), name="faults")
    return True


def _drain(world: World, injection: Injection, name: str) -> bool:
    path = _chosen(world, injection, name)
    if path:
        world.nursery.start_soon(_operate, world, "drain", path)
    return bool(path)


def _deploy(world: World, injection: Injection, name: str) -> bool:
    path = _chosen(world, injection, name)
    process = world.process
    tree = process.tree
    if not path or tree is None:
        return False
    blueprint = with_next_version(tree.blueprint, Path(path))
    if blueprint is None:  # a child that was started at run time stands in no blueprint
        return False
    process.running = blueprint
    world.struck("deploy", path)
    world.nursery.start_soon(_reload, world, blueprint, path)
    return True


async def _reload(world: World, blueprint: Blueprint, path: str) -> None:
    try:
        await world.process.serve(lambda tree: tree.reload(blueprint))
    except (TreewardenError, Lost) as error:
        world.note(f"deploy: {type(error).__name__}", path)


def _cancel(world: World, injection: Injection, name: str) -> bool:
    path = _chosen(world, injection, name)
    if path:
        world.nursery.start_soon(_operate, world, "cancel", path)
    return bool(path)


async def _operate(world: World, what: str, path: str) -> None:
    """What an operator does to a slot, and takes back: what was drained or stopped is started again."""
    world.struck(what, path)
    above, id = str(Path(path).parent), Path(path).name
    try:
        await world.process.serve(lambda tree: _OPERATIONS[what](tree, path))
        await world.process.serve(lambda tree: tree.supervisor(above).restart_child(id))
    except (TreewardenError, Lost) as error:
        world.note(f"{what}: {type(error).__name__}", path)


_OPERATIONS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "drain": lambda tree, path: tree.drain(path, within=5.0),
    "cancel": lambda tree, path: tree.supervisor(str(Path(path).parent)).terminate_child(Path(path).name),
}


def _double_approval(world: World, injection: Injection, name: str) -> bool:
    path = _chosen(world, injection, name)
    if not path:
        return False
    for by in ("first operator", "second operator"):
        try:
            world.tree.resume(path, by)
        except TreewardenError:
            return False
    world.struck("double_approval", path)
    return True


_STORAGE: Final = ("full", "locked", "io_error", "lost_ack", "torn_write")
_ARMED: Final = (
    *("slow", "hang", "stubborn", "poison", "drop", "duplicate", "delay", "reorder", "bad_version", "decision_crash"),
    *("tool_loop", "full_context", "kill_in_mid_restart"),
    *("dependency_down", "dependency_slow", "rate_limited", "server_error", "malformed", "stream_cut"),
)

KINDS: Final[Mapping[str, Strike]] = {
    "kill": _kill,
    "crash": _crash,
    "kill_supervisor": _kill_supervisor,
    **dict.fromkeys(_STORAGE, _arm_storage),
    **dict.fromkeys(_ARMED, _arm),
    "corrupt_checkpoint": _corrupt_checkpoint,
    "stale_checkpoint": _stale_checkpoint,
    "clock_jump": _clock_jump,
    "clock_skew": _clock_skew,
    "suspend": _suspend,
    "leak": _leak,
    "drain": _drain,
    "deploy": _deploy,
    "cancel": _cancel,
    "double_approval": _double_approval,
}
"""What may be injected."""
