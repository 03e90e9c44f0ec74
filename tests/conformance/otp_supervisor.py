"""The model's supervisor, as `supervisor.erl` has it: one process with a table, a mailbox and a window of restarts."""

from __future__ import annotations

from collections import deque
from typing import Any

import otp_answers
from attrs import define, field
from otp_processes import RESTARTING, Child, Process, Steps, Worker, any_alive, clean
from otpvec import is_dynamic, is_supervisor

__all__ = ["Supervisor"]


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
        if self.mailbox and self.parent is not None and self.parent.path:  # both go on, side by side
            self.world.undecided = True
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
                answer = otp_answers.changed(self, step) if change else (yield from otp_answers.answer(self, step))
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
            alive = [each.path for each, _, _ in world.running if each.alive]
            if path in alive or (self.mailbox and any(each.startswith(f"{path}/") for each in alive)):
                world.undecided = True  # it begins beside who is left below a killed one: ours does the rest first
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
            self.world.later(shutdown, lambda: late.__setitem__(0, True), lambda: any_alive(processes))
        yield lambda: late[0] or not any_alive(processes)
        for process in processes:
            if process.alive:
                process.kill()
        self.mailbox = deque(each for each in self.mailbox if each[0] != "exit" or each[1] not in processes)

    def terminate_at_once(self, last: bool) -> Steps:
        children = [child for child in self.children if isinstance(child.pid, Process)]
        holds = [child.pid.node.get("on_stop") == "hold" for child in children]
        if holds != sorted(holds, reverse=True):  # who ends, and who holds: they are asked at once
            self.world.undecided = True
        yield from self.bring_down([child.pid for child in children], children[0].shutdown if children else 0)
        reasons = [child.pid.reason for child in children if not child.wanted(child.pid.reason)]
        for place, reason in enumerate(reasons):
            if last and reason not in reasons[:place]:
                self.report("shutdown_error", ["many", reasons.count(reason)], reason)
        self.children = []

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
        up = [child.pid for child in self.children if isinstance(child.pid, Process)]
        active = len(up) if self.dynamic else sum(process.alive for process in up)
        above = sum(child.kind == "supervisor" for child in self.children)
        specs = 1 if self.dynamic else len(self.children)
        return [specs, active, above, len(self.children) - above]
