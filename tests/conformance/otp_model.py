"""A model of OTP's supervisor: processes, mailboxes and links, without a line of treewarden.

It is an oracle for scenarios that nobody has recorded. What it knows is what `supervisor.erl` of OTP 27 does, in the
words of FORMAT.md; the recorded vectors hold it to that.
"""

from __future__ import annotations

from typing import Any, Final

from otp_processes import Child, Json, Steps, Worker, World
from otp_supervisor import Supervisor

__all__ = ["run"]

_REST: Final = 100
"""Milliseconds from one step to the next."""


def run(scenario: Json) -> list[Json]:
    """The flat trace that OTP would leave of a scenario."""
    world = World()
    pending: set[int] = set()
    flat: list[Json] = []
    for number, step in enumerate(scenario["steps"]):
        world.events, world.reports = [], []
        result = _do(world, scenario, number, step)
        world.settle()
        world.undecided = world.undecided or any(map(_is_blocked_orphan, _alive(world)))
        world.now += _REST
        completed = [[each, world.answers[each]] for each in sorted(pending) if each in world.answers]
        pending -= {each for each, _ in completed}
        if result is None:
            result = world.answers.get(number, "pending")
            if number not in world.answers:
                pending.add(number)
        state = {path: _state(each) for path, each in _supervisors(world).items()}
        step_seen = {"events": world.events, "reports": world.reports, "completed": completed, "state": state}
        flat.append({**step_seen, "result": result, "undecided": world.undecided})
    return flat


def _supervisors(world: World) -> dict[str, Supervisor]:
    return {each.path: each for each in _alive(world)}


def _alive(world: World) -> list[Supervisor]:
    return [each for each, _, _ in world.running if each.alive and each not in world.stopped]


def _is_blocked_orphan(supervisor: Supervisor) -> bool:
    """Whether it waits below one that was killed, also where the successor of that has the same path."""
    above = supervisor.parent if supervisor.busy else None
    while above is not None and above.path:
        if not above.alive:
            return True
        above = above.parent
    return False


def _state(supervisor: Supervisor) -> Any:
    return "busy" if supervisor.busy else {"children": supervisor.listed(), "counts": supervisor.counts()}


def _do(world: World, scenario: Json, number: int, step: Json) -> Any:
    """Begin a step; its result, or None where that is an answer to come."""
    match step["op"]:
        case "start":
            return _start(world, scenario["tree"], number)
        case "stop":
            root = _supervisors(world).get("root")
            if root is None:
                return "not_running"
            root.mailbox.append(("stop", "shutdown"))
        case "exit":
            return _exit(world, step["target"], step["reason"])
        case "exit_many":
            return [_exit(world, path, reason) for path, reason in step["targets"]]
        case "stop_sup":
            supervisor = world.lives.get(step["target"])
            if not isinstance(supervisor, Supervisor):
                return "not_running"
            supervisor.mailbox.append(("stop", step["reason"]))
        case "sleep":
            world.now += step["ms"]
        case "release":
            return _release(world, step["target"], step["outcome"])
        case "call" | "code_change":
            supervisor = world.lives.get(step["sup"])
            if not isinstance(supervisor, Supervisor):
                return ["noproc"]
            meant = (
                world.newest.get(step["pid_of"]) if "pid_of" in step else None
            )  # a pid is read when the call is made
            supervisor.mailbox.append(("call", number, {**step, "pid": meant}))
            return None
        case unknown:
            raise AssertionError(unknown)
    return "ok"


def _start(world: World, tree: Json, number: int) -> Any:
    """The root is started by somebody who only waits for it."""
    outside = Supervisor(world, "", {"type": "supervisor"}, None)
    child = Child("root", {**tree, "type": "supervisor"}, "root")
    world.running.append((outside, _outside(outside, child, number), lambda: True))
    outside.alive = False
    return None


def _outside(outside: Supervisor, child: Child, number: int) -> Steps:
    well, what = yield from outside.start(child)
    answer: Any = "ignore" if well is None else ["error", what]
    outside.world.answers[number] = ["ok", outside.pid(child.pid)] if well else answer


def _exit(world: World, path: str, reason: Any) -> str:
    process = world.lives.get(path)
    if process is None:
        return "not_running"
    if reason == "kill" or isinstance(process, Supervisor):
        process.kill()
    else:
        process.die(reason)
    return "ok"


def _release(world: World, path: str, outcome: str) -> str:
    process = world.lives.get(path)
    if path in world.gates:
        world.gates[path][1] = outcome
    elif isinstance(process, Worker) and process.held:
        process.die(outcome)
    else:
        return "no_gate"
    return "ok"
