"""A model of OTP's supervisor: processes, mailboxes and links, without a line of treewarden.

It is an oracle for scenarios that nobody has recorded. What it knows is what `supervisor.erl` of OTP 27 does, in the
words of FORMAT.md; the recorded vectors hold it to that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final, TypeAlias, cast

from attrs import define, field
from otpvec import child_of_template, is_dynamic, is_supervisor

__all__ = ["run"]

Json: TypeAlias = dict[str, Any]
Steps: TypeAlias = Generator[Callable[[], bool], None, Any]
"""What a process does: it yields what it waits for, and returns what it comes to."""

STRATEGIES: Final = ("one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one")
RESTARTING: Final = "restarting"
_REST: Final = 100
"""Milliseconds from one step to the next."""


def clean(reason: Any) -> bool:
    return reason in ("normal", "shutdown") or (isinstance(reason, list) and cast("list[Any]", reason)[0] == "shutdown")


@define(eq=False)
class Process:
    world: World
    path: str
    node: Json
    parent: Supervisor | None
    number: int = 0
    alive: bool = True
    reason: Any = None

    def die(self, reason: Any) -> None:
        if self.alive:
            self.alive, self.reason = False, reason
            if self.world.lives.get(self.path) is self:
                del self.world.lives[self.path]
            if self.number:
                self.world.events.append(["exit", self.path, self.number, reason])
            if self.parent is not None and self.parent.alive and self.number:
                self.parent.mailbox.append(("exit", self))

    def begin(self) -> None:
        self.world.starts[self.path] = self.number = self.world.starts.get(self.path, 0) + 1
        self.world.newest[self.path] = self.world.lives[self.path] = self
        self.world.events.append(["start", self.path, self.number])

    def ask(self) -> None:
        """Asked to stop by its supervisor."""

    def kill(self) -> None:
        self.die("killed")

    def orphan(self, reason: Any) -> None:
        """Its supervisor has died."""
        self.die(reason)


@define(eq=False)
class Worker(Process):
    held: bool = False

    def ask(self) -> None:
        reaction = self.node.get("on_stop", "exit")
        if reaction == "exit":
            self.die("shutdown")
        elif reaction == "hold":
            self.held = True
            self.world.events.append(["stop_gate", self.path])
        elif reaction != "ignore":
            reason = reaction.get("reason", "shutdown")
            self.world.later(reaction.get("delay_ms", 0), lambda: self.die(reason), lambda: self.alive)


@define(eq=False)
class Child:
    id: str
    node: Json
    path: str
    pid: Any = None
    """A process, None, or RESTARTING."""
    last: Process | None = None

    @property
    def restart(self) -> str:
        return self.node.get("restart", "permanent")

    @property
    def temporary(self) -> bool:
        return self.restart == "temporary"

    @property
    def significant(self) -> bool:
        return self.node.get("significant", False)

    @property
    def kind(self) -> str:
        return self.node.get("type", "worker")

    @property
    def shutdown(self) -> Any:
        return self.node.get("shutdown", "infinity" if is_supervisor(self.node) else 5000)

    def wanted(self, reason: Any) -> bool:
        """Whether it is as it should be that it stopped with this reason."""
        if reason == ("killed" if self.shutdown == "brutal_kill" else "shutdown"):
            return True
        return clean(reason) and self.restart != "permanent"


@define(eq=False)
class Supervisor(Process):
    children: list[Child] = field(factory=list[Child])
    mailbox: deque[Any] = field(factory=deque[Any])
    restarts: list[float] = field(factory=list[float])
    busy: bool = True
    outcome: Any = None
    """What its start came to; None while it starts."""
    starting: Process | None = None
    call: int | None = None
    """The call that it is answering."""

    # -- flags

    def flag(self, name: str, default: Any) -> Any:
        return self.node.get("flags", {}).get(name, default)

    @property
    def strategy(self) -> str:
        return self.flag("strategy", "one_for_one")

    @property
    def dynamic(self) -> bool:
        return is_dynamic(self.node)

    # -- its life

    def main(self) -> Steps:
        failed = yield from self.init()
        if failed is not None:
            self.outcome = ["error", failed]
            self.alive = False
            self.world.events.append(["start_error", self.path, failed])
            self.refuse(failed)
            return
        self.outcome = "ok"
        self.begin()
        while True:
            self.busy = False
            yield lambda: bool(self.mailbox)
            self.busy = True
            reason = yield from self.handle(self.mailbox.popleft())
            if reason is not None:
                self.die(reason)
                self.refuse(reason)
                return

    def init(self) -> Steps:
        if self.dynamic:
            return None
        self.children = [Child(node["id"], node, f"{self.path}/{node['id']}") for node in self.node.get("children", [])]
        failed = yield from self.start_all(list(self.children))
        if failed is None:
            return None
        child, reason = failed
        self.report("start_error", child.id, reason)
        yield from self.terminate_all()
        return ["shutdown", ["failed_to_start_child", child.id, reason]]

    def kill(self) -> None:
        self.die("killed")
        self.world.stopped.add(self)
        self.refuse("killed")
        below = [child.pid for child in self.children if isinstance(child.pid, Process)]
        if self.starting is not None:
            below.append(self.starting)
        for process in below:
            process.orphan("killed")
        self.world.gates = {path: gate for path, gate in self.world.gates.items() if gate[0] is not self}

    def orphan(self, reason: Any) -> None:
        self.mailbox.append(("stop", reason))

    def ask(self) -> None:
        self.mailbox.append(("stop", "shutdown"))

    def refuse(self, reason: Any) -> None:
        calls = [message[1] for message in self.mailbox if message[0] == "call"]
        for number in ([] if self.call is None else [self.call], calls):
            for each in number:
                self.world.answers[each] = ["sup_exit", reason]
        self.mailbox.clear()

    def handle(self, message: Any) -> Steps:
        match message:
            case ("exit", process):
                child = next((each for each in self.children if each.pid is process), None)
                return (yield from self.ended(child, process.reason)) if child is not None else None
            case ("retry", child):
                if child in self.children and child.pid == RESTARTING:
                    return (yield from self.again(child))
            case ("stop", reason):
                yield from self.terminate_all(last=True)
                return reason
            case ("call", number, step):
                self.call = number
                change = step["op"] == "code_change"
                answer = self.change(step) if change else (yield from self.answer(step))
                self.call = None
                self.world.answers[number] = answer
            case _:
                raise AssertionError(message)
        return None

    # -- starts

    def start(self, child: Child) -> Steps:
        """`(True, info)`, `(None, None)` for one that stays away, or `(False, reason)`."""
        world, path = self.world, child.path
        attempt = world.attempts[path] = world.attempts.get(path, 0) + 1
        starts = child.node.get("starts", [])
        outcome = starts[attempt - 1] if attempt <= len(starts) else child.node.get("then", "ok")
        if outcome == "gate":
            gate = world.gates[path] = [self, None]
            world.events.append(["gate", path])
            yield lambda: gate[1] is not None
            world.gates.pop(path)
            outcome = gate[1]
        if outcome == "ignore":
            world.events.append(["ignore", path])
            return None, None
        if outcome not in ("ok", "ok_info"):
            reason = {"crash": ["EXIT", "start_crash"], "already_started": ["already_started", "<pid>"]}
            told = "already_started" if outcome == "already_started" else reason.get(outcome, "start_failed")
            world.events.append(["start_error", path, told])
            return False, reason.get(outcome, "start_failed")
        if is_supervisor(child.node):
            process: Process = Supervisor(world, path, child.node, self)
            self.starting = process
            world.run(process)
            yield lambda: process.outcome is not None
            self.starting = None
            if process.outcome != "ok":
                return False, process.outcome[1]
        else:
            process = Worker(world, path, child.node, self)
            process.begin()
        child.pid = child.last = process
        return True, "info" if outcome == "ok_info" else None

    def start_all(self, children: list[Child]) -> Steps:
        """Start these; the one that fails with its reason, after which no more are tried."""
        for child in children:
            well, what = yield from self.start(child)
            if well is None and child.temporary:
                self.children.remove(child)
            if well is False:
                return child, what
        return None

    # -- ends and restarts

    def ended(self, child: Child, reason: Any) -> Steps:
        child.pid = None
        if child.restart == "permanent" or not clean(reason):
            self.report("child_terminated", child.id, reason)
        if child.restart == "permanent" or (child.restart == "transient" and not clean(reason)):
            return (yield from self.again(child))
        self.clear(child)
        if child.significant and self.over():
            yield from self.terminate_all(last=True)
            return "shutdown"
        return None

    def clear(self, child: Child) -> None:
        child.pid = None
        if child.temporary or self.dynamic:
            self.children.remove(child)

    def over(self) -> bool:
        kind = self.flag("auto_shutdown", "never")
        others = any(each.significant and each.pid is not None for each in self.children)
        return kind == "any_significant" or (kind == "all_significant" and not others)

    def again(self, child: Child) -> Steps:
        now, period = self.world.now, 1000 * self.flag("period", 5)
        self.restarts = [now, *(each for each in self.restarts if each >= now - period)]
        if len(self.restarts) > self.flag("intensity", 1):
            self.report("shutdown", child.id, "reached_max_restart_intensity")
            self.clear(child)
            yield from self.terminate_all(last=True)
            return "shutdown"
        group = [child]
        if self.strategy == "rest_for_one":
            group = self.children[self.children.index(child) :]
        elif self.strategy == "one_for_all":
            group = list(self.children)
        child.pid = None
        if len(group) > 1 or self.strategy in ("rest_for_one", "one_for_all"):
            yield from self.terminate(group)
        failed = yield from self.start_all([each for each in group if each in self.children])
        if failed is not None:
            culprit, reason = failed
            self.report("start_error", culprit.id, reason)
            culprit.pid = RESTARTING
            self.mailbox.append(("retry", culprit))
        elif self.dynamic and child.pid is None:
            self.children.remove(child)
        return None

    # -- stops

    def terminate_all(self, *, last: bool = False) -> Steps:
        if self.dynamic:
            yield from self.terminate_at_once(last)
        else:
            yield from self.terminate(list(self.children))

    def terminate(self, children: list[Child]) -> Steps:
        for child in reversed(children):
            yield from self.stop(child)
            if child.temporary:
                self.children.remove(child)

    def stop(self, child: Child) -> Steps:
        process = child.pid
        if not isinstance(process, Process):
            child.pid = None
            return
        yield from self.bring_down([process], child.shutdown)
        child.pid = None
        if not child.wanted(process.reason):
            self.report("shutdown_error", child.id, process.reason)

    def bring_down(self, processes: list[Process], shutdown: Any) -> Steps:
        """Ask, wait, kill; whoever is dead already is only accounted for."""
        for process in processes:
            if process.alive:
                process.kill() if shutdown == "brutal_kill" else process.ask()
        late = [False]
        if isinstance(shutdown, (int, float)):
            self.world.later(shutdown, lambda: late.__setitem__(0, True), lambda: _live(processes))
        yield lambda: late[0] or not _live(processes)
        for process in processes:
            if process.alive:
                process.kill()
        self.mailbox = deque(each for each in self.mailbox if each[0] != "exit" or each[1] not in processes)

    def terminate_at_once(self, last: bool) -> Steps:
        children = [child for child in self.children if isinstance(child.pid, Process)]
        yield from self.bring_down([child.pid for child in children], children[0].shutdown if children else 0)
        reasons = [child.pid.reason for child in children if not child.wanted(child.pid.reason)]
        for place, reason in enumerate(reasons):
            if last and reason not in reasons[:place]:
                self.report("shutdown_error", ["many", reasons.count(reason)], reason)
        self.children = []

    # -- calls

    def answer(self, step: Json) -> Steps:
        match step["fn"]:
            case "start_child":
                return (yield from self.call_start(step))
            case "terminate_child":
                return (yield from self.call_terminate(step))
            case "restart_child" | "delete_child" if self.dynamic:
                return ["error", "simple_one_for_one"]
            case "restart_child" | "delete_child":
                child = self.child(step["id"])
                if child is None or child.pid is not None:
                    word = "not_found" if child is None else "restarting" if child.pid == RESTARTING else "running"
                    return ["error", word]
                if step["fn"] == "delete_child":
                    self.children.remove(child)
                    return "ok"
                well, what = yield from self.start(child)
                return self.begun(child, well, what)
            case "which_children":
                return self.listed()
            case "count_children":
                return self.counts()
            case "get_childspec":
                return self.spec(step)
            case unknown:
                raise AssertionError(unknown)

    def child(self, id: str) -> Child | None:
        return next((child for child in self.children if child.id == id), None)

    def call_start(self, step: Json) -> Steps:
        if self.dynamic:
            tag = step["args"][0]
            child = Child(tag, child_of_template(self.node["children"][0], tag), f"{self.path}/{tag}")
        else:
            node = step["spec"]
            if not _is_sound(node, self.flag("auto_shutdown", "never")):
                return ["error", "invalid"]
            child = Child(node["id"], node, f"{self.path}/{node['id']}")
            present = self.child(child.id)
            if present is not None:
                if isinstance(present.pid, Process):
                    return ["error", ["already_started", self.pid(present.pid)]]
                return ["error", "already_present"]
        well, what = yield from self.start(child)
        if well or (well is None and not child.temporary and not self.dynamic):
            self.children.append(child)
        return self.begun(child, well, what)

    def begun(self, child: Child, well: bool | None, what: Any) -> Any:
        if well is None:
            if child.temporary and child in self.children:
                self.children.remove(child)
            return ["ok", None]
        if not well:
            return ["error", what]
        return ["ok", self.pid(child.pid), *([] if what is None else [what])]

    def call_terminate(self, step: Json) -> Steps:
        if self.dynamic:
            if "id" in step:
                return ["error", "simple_one_for_one"]
            process = self.world.newest.get(step["pid_of"])
            child = next((each for each in self.children if process is not None and self.meant(each, process)), None)
            if child is None:
                return "ok" if process is not None and not process.alive else ["error", "not_found"]
        else:
            child = self.child(step["id"]) if "id" in step else None
            if child is None:
                return ["error", "not_found"]
        yield from self.stop(child)
        if child.temporary or self.dynamic:
            self.children.remove(child)
        return "ok"

    def meant(self, child: Child, process: Process) -> bool:
        return child.pid is process or (child.pid == RESTARTING and child.last is process)

    def spec(self, step: Json) -> Any:
        if self.dynamic:
            template = Child("", self.node["children"][0], "")
            if "pid_of" in step:
                process = self.world.newest.get(step["pid_of"])
                ours = any(process is not None and self.meant(each, process) for each in self.children)
                known = ours or (process is not None and not process.alive)
            else:
                known = step["id"] == template.node["id"]
            child = template if known else None
        else:
            child = self.child(step["id"]) if "id" in step else None
        if child is None:
            return ["error", "not_found"]
        told = {"restart": child.restart, "shutdown": child.shutdown, "significant": child.significant}
        return ["ok", {"id": child.node["id"], "type": child.kind, **told}]

    def change(self, step: Json) -> Any:
        """New flags and specs; nobody starts or stops."""
        if step.get("returns") == "ignore":
            return "ok"
        nodes, flags = step.get("children", []), step.get("flags", {})
        if "returns" in step or not _are_sound(nodes, flags, dynamic=self.dynamic):
            return ["error", "invalid"]
        self.node = {**self.node, "flags": flags, "children": nodes}
        if self.dynamic:
            for child in self.children:
                child.node = child_of_template(nodes[0], child.id)
            return "ok"
        known = {child.id: child for child in self.children}
        listed = [known.pop(node["id"], Child(node["id"], node, f"{self.path}/{node['id']}")) for node in nodes]
        for child, node in zip(listed, nodes, strict=True):
            child.node = node
        self.children = [*listed, *known.values()]
        return "ok"

    # -- what is told

    def pid(self, process: Process) -> str:
        return f"{process.path}#{process.number}"

    def report(self, context: str, id: Any, reason: Any) -> None:
        self.world.reports.append([self.path, context, id, reason])

    def listed(self) -> list[Any]:
        found: list[Any] = []
        for child in self.children:
            status = child.pid.number if isinstance(child.pid, Process) else child.pid
            found.append([None if self.dynamic and status == RESTARTING else child.id, status, child.kind])
        return sorted(found, key=lambda each: (each[0] is not None, each)) if self.dynamic else found

    def counts(self) -> list[int]:
        active = sum(isinstance(child.pid, Process) for child in self.children)
        above = sum(child.kind == "supervisor" for child in self.children)
        specs = 1 if self.dynamic else len(self.children)
        return [specs, active, above, len(self.children) - above]


def _live(processes: list[Process]) -> bool:
    return any(process.alive for process in processes)


def _is_sound(node: Any, auto_shutdown: str) -> bool:
    """Whether a node can be a child at all, as far as scenarios get that wrong."""
    if not isinstance(node, dict) or "id" not in node:
        return False
    node = cast("Json", node)
    if node.get("no_start") or node.get("bad_start"):
        return False
    restart = node.get("restart", "permanent")
    shutdown = node.get("shutdown", 0)
    if restart not in ("permanent", "transient", "temporary") or (isinstance(shutdown, int) and shutdown < 0):
        return False
    return not node.get("significant") or (restart != "permanent" and auto_shutdown != "never")


def _are_sound(nodes: list[Any], flags: Any, *, dynamic: bool) -> bool:
    """Whether these can be the flags and children of one supervisor, as far as scenarios get that wrong."""
    if not isinstance(flags, dict):
        return False
    flags = cast("Json", flags)
    well = flags.get("strategy", "one_for_one") in STRATEGIES and isinstance(flags.get("intensity", 1), int)
    ids: list[str] = [node["id"] for node in nodes if isinstance(node, dict) and "id" in node]
    sound = all(_is_sound(node, flags.get("auto_shutdown", "never")) for node in nodes)
    return well and sound and len(set(ids)) == len(nodes) and (not dynamic or len(nodes) == 1)


@define(eq=False)
class World:
    """All processes, and their time."""

    now: float = 0
    events: list[Any] = field(factory=list[Any])
    reports: list[Any] = field(factory=list[Any])
    attempts: dict[str, int] = field(factory=dict[str, int])
    starts: dict[str, int] = field(factory=dict[str, int])
    newest: dict[str, Process] = field(factory=dict[str, Process])
    lives: dict[str, Process] = field(factory=dict[str, Process])
    gates: dict[str, list[Any]] = field(factory=dict[str, list[Any]])
    answers: dict[int, Any] = field(factory=dict[int, Any])
    stopped: set[Process] = field(factory=set[Process])
    timers: list[tuple[float, Callable[[], None], Callable[[], bool]]] = field(factory=list[Any])
    running: list[tuple[Supervisor, Steps, Callable[[], bool]]] = field(factory=list[Any])

    def run(self, supervisor: Supervisor) -> None:
        """Let a process begin."""
        self.running.append((supervisor, supervisor.main(), lambda: True))

    def later(self, after: float, call: Callable[[], None], needed: Callable[[], bool]) -> None:
        """Call this after so many milliseconds, if it is needed then."""
        if after == 0:
            call()
        else:
            self.timers.append((self.now + after, call, needed))

    def settle(self) -> None:
        """Run until nobody can go on and no time is waited for."""
        while True:
            self._run_all()
            self.timers = sorted((each for each in self.timers if each[2]()), key=lambda each: each[0])
            if not self.timers:
                return
            at, call, _ = self.timers.pop(0)
            self.now = max(self.now, at)
            call()

    def _run_all(self) -> None:
        going = True
        while going:
            going = False
            for entry in list(self.running):
                supervisor, steps, ready = entry
                if supervisor in self.stopped:
                    self.running.remove(entry)
                elif ready():
                    going = True
                    self.running.remove(entry)
                    with suppress(StopIteration):
                        self.running.append((supervisor, steps, next(steps)))


# -- scenarios


def run(scenario: Json) -> list[Json]:
    """The flat trace that OTP would leave of a scenario."""
    world = World()
    pending: set[int] = set()
    flat: list[Json] = []
    for number, step in enumerate(scenario["steps"]):
        world.events, world.reports = [], []
        result = _do(world, scenario, number, step)
        world.settle()
        world.now += _REST
        completed = [[each, world.answers[each]] for each in sorted(pending) if each in world.answers]
        pending -= {each for each, _ in completed}
        if result is None:
            result = world.answers.get(number, "pending")
            if number not in world.answers:
                pending.add(number)
        state = {path: _state(each) for path, each in _supervisors(world).items()}
        step_seen = {"events": world.events, "reports": world.reports, "completed": completed}
        flat.append({**step_seen, "result": result, "state": state})
    return flat


def _supervisors(world: World) -> dict[str, Supervisor]:
    return {each.path: each for each, _, _ in world.running if each.alive and each not in world.stopped}


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
            supervisor.mailbox.append(("call", number, step))
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
