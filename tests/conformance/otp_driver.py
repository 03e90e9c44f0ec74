"""Runs one scenario against the real supervisor and records what happens, as a flat trace."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, cast

import trio
import trio.testing
from attrs import evolve
from otp_specs import Malformed, auto_shutdown, child_spec, description, supervisor_spec
from otp_state import counted, listed, state_of
from otp_terms import INVALID, exit_as_term, exit_for, failure_as_term, ours, theirs
from otp_world import RecordingJournal, World, briefly
from otpvec import Nodes, Vector, parent_of

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.errors import (
    AlreadyPresent,
    AlreadyStarted,
    ConfigurationError,
    Ignore,
    IsDynamic,
    NotFound,
    StartFailed,
    StillRestarting,
    StillRunning,
    SupervisionError,
    SupervisorGone,
)
from treewarden.supervisor.calls import Started, SupervisorRef
from treewarden.supervisor.child import Child
from treewarden.supervisor.common import Common, LoopClock
from treewarden.supervisor.core.check import check_children
from treewarden.supervisor.core.policies import otp
from treewarden.supervisor.core.spec import Spec, SupervisorSpec
from treewarden.supervisor.journal.port import Commit
from treewarden.supervisor.registry import Registry
from treewarden.supervisor.timers import Timers
from treewarden.topologies.root import Root

__all__ = ["run"]

_PENDING: Final = "pending"
_REFUSED: Final = {
    AlreadyPresent: "already_present",
    IsDynamic: "simple_one_for_one",
    NotFound: "not_found",
    StillRestarting: "restarting",
    StillRunning: "running",
    ConfigurationError: INVALID,
}


def run(vector: Vector, seed: int = 0) -> list[dict[str, Any]]:
    """The flat trace of a scenario under a mock clock, with `otp()`, no backoff and a journal in memory."""
    clock = trio.testing.MockClock(autojump_threshold=0)

    async def main() -> list[dict[str, Any]]:
        return await _run(vector, seed)

    return trio.run(main, clock=clock)


async def _run(vector: Vector, seed: int) -> list[dict[str, Any]]:
    journal = RecordingJournal(lambda commit: driver.see(commit))
    async with journal, trio.open_nursery() as nursery:
        timers = Timers()
        common = Common(
            clock=LoopClock(lambda: 0.0),
            timers=timers,
            registry=Registry(timers),
            journal=journal,
            random=random.Random(seed),
        )
        driver = Driver(vector, common, nursery)
        nursery.start_soon(common.timers.run)
        flat = [await driver.step(number) for number in range(len(vector.scenario["steps"]))]
        nursery.cancel_scope.cancel()
        return flat
    raise AssertionError("the nursery was left without an answer")


class Driver:
    """The outside of a tree: it starts the root, calls supervisors, and tells workers what to do."""

    def __init__(self, vector: Vector, common: Common, nursery: trio.Nursery) -> None:
        self.scenario = vector.scenario
        self.quiet = 0.1 if "sleep" in vector.tags else 10.0
        self.common = common
        self.nursery = nursery
        self.nodes = Nodes.of(vector.scenario)
        self.world = World(self._spec_at, self._life_at)
        self.world.dynamic = self.nodes.dynamic
        self.root: Root | None = None
        self.waiting: dict[int, list[Any]] = {}
        """Results that were not there at the end of their step: an empty list until they are."""

    def see(self, commit: Commit) -> None:
        for _, event in commit.events:
            self.world.note(event)
        for path in commit.forget:
            self.world.forgotten(theirs(path))

    def _child(self, path: str) -> Child | None:
        above = self.common.supervisors.get(ours(parent_of(path) or ""))
        return None if above is None or path == "root" else above.children.get(ours(path).name)

    def _spec_at(self, path: str) -> Spec | None:
        child = self._child(path)
        return None if child is None else child.spec

    def _life_at(self, path: str) -> int:
        child = self._child(path)
        return 0 if child is None else child.last

    def _ref(self, path: str) -> SupervisorRef:
        """A supervisor that has begun; one that still starts is nobody's to call."""
        begun = path in self.world.supervisors
        return SupervisorRef(ours(path), lambda where: self.common.supervisors.get(where) if begun else None)

    # -- steps

    async def step(self, number: int) -> dict[str, Any]:
        """Do what one step says, wait until nothing moves any more, and tell what was seen."""
        step = self.scenario["steps"][number]
        self.world.events, self.world.reports = [], []
        try:
            result = await self._do(number, step)
        except Exception as error:
            error.add_note(f"in step {number} {json.dumps(step)}")
            raise
        await trio.sleep(self.quiet)
        if result is _PENDING and self.waiting[number]:
            (result,) = self.waiting.pop(number)
        completed = [[place, *found] for place, found in self.waiting.items() if found and place != number]
        for place, _ in completed:
            del self.waiting[place]
        state = await state_of(self.common, self.nodes, self.world)
        events, reports = list(self.world.events), list(self.world.reports)
        return {"events": events, "reports": reports, "result": result, "completed": completed, "state": state}

    async def _do(self, number: int, step: Mapping[str, Any]) -> Any:
        match step["op"]:
            case "start":
                return self._later(number, self._start)
            case "stop":
                return self._stop()
            case "exit":
                return self._exit(step["target"], step["reason"])
            case "exit_many":
                return await self._exit_many(step["targets"])
            case "stop_sup":
                return self._stop_supervisor(step["target"], step["reason"])
            case "sleep":
                await trio.sleep(step["ms"] / 1000)
                return "ok"
            case "release":
                return self._release(step["target"], step["outcome"])
            case "call":
                return self._later(number, lambda: self._call(step))
            case "check_childspecs":
                return self._check(step)
            case "code_change":
                return self._later(number, lambda: self._code_change(step))
            case unknown:
                raise ValueError(f"no step is called {unknown!r}")

    def _later(self, number: int, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask in a task of its own; the answer is there at the end of this step, or of a later one."""
        answer = self.waiting[number] = []

        async def wait() -> None:
            answer.append(await ask())

        self.nursery.start_soon(wait)
        return _PENDING

    # -- lives

    async def _start(self) -> Any:
        try:
            spec = child_spec({"id": "root", **self.scenario["tree"], "type": "supervisor"}, self.world)
        except Malformed:
            return self._not_started(INVALID)
        assert isinstance(spec, SupervisorSpec)
        self.root = Root(self.common, self.nursery, otp(), spec)
        outcome = await self.root.supervisor.start()
        match outcome:
            case None:
                info = self.root.supervisor.info
                return ["ok", self.world.pid("root"), *([] if info is None else [info])]
            case Ignore():
                self.world.events.append(["ignore", "root"])
                return "ignore"
            case Failure():
                return self._not_started(failure_as_term(outcome))

    def _not_started(self, reason: Any) -> Any:
        self.world.events.append(["start_error", "root", briefly(reason)])
        return ["error", reason]

    def _stop(self) -> str:
        if self.root is None or self.root.exit is not None or "root" in self.world.gates:
            return "not_running"
        self.root.supervisor.order_stop("shutdown")
        return "ok"

    def _exit(self, path: str, reason: Any) -> str:
        if path in self.world.supervisors:
            self.common.supervisors[ours(path)].kill()
        elif path not in self.world.workers:
            return "not_running"
        elif reason != "kill":
            self.world.workers[path].end(reason)
        else:
            child = self._child(path)
            assert child is not None
            assert child.current is not None
            child.current.kill()
        return "ok"

    async def _exit_many(self, targets: list[list[Any]]) -> list[str]:
        ref = self._ref(parent_of(targets[0][0]) or "")
        results: dict[str, str] = {}
        begun = len(self.world.events)
        async with AsyncExitStack() as stack:
            try:
                if not ref.busy:  # one that is busy reacts to the end that it waits for, and to nothing else
                    await stack.enter_async_context(ref.suspended())
            except SupervisorGone:
                pass
            for path, reason in sorted(targets, key=lambda target: self._is_awaited(target[0])):
                results[path] = self._exit(path, reason)
                await trio.testing.wait_all_tasks_blocked()
        paths = [path for path, _ in targets]
        self.world.reorder(begun, [path for path in paths if results[path] == "ok"])
        return [results[path] for path in paths]

    def _is_awaited(self, path: str) -> bool:
        child = self._child(path)
        return child is not None and child.state is SlotState.STOPPING

    def _stop_supervisor(self, path: str, reason: Any) -> str:
        if path not in self.world.supervisors:
            return "not_running"
        self.nursery.start_soon(self._ref(path).stop, exit_for(reason))
        return "ok"

    def _release(self, path: str, outcome: str) -> str:
        if path in self.world.gates:
            self.world.gates[path].open(outcome)
        elif path in self.world.workers and self.world.workers[path].held:
            self.world.workers[path].release(outcome)
        else:
            return "no_gate"
        return "ok"

    # -- calls

    async def _call(self, step: Mapping[str, Any]) -> Any:
        ref = self._ref(step["sup"])
        try:
            return await self._answered(ref, step)
        except SupervisorGone as gone:
            return _gone(gone)
        except AlreadyStarted as error:
            return ["error", ["already_started", self.world.pid(theirs(error.path))]]
        except StartFailed as error:
            return ["error", failure_as_term(error.failure)]
        except (SupervisionError, ConfigurationError) as error:
            return ["error", next(term for kind, term in _REFUSED.items() if isinstance(error, kind))]

    async def _answered(self, ref: SupervisorRef, step: Mapping[str, Any]) -> Any:
        match step["fn"]:
            case "start_child" if "args" in step:
                return self._begun(await ref.start_dynamic(id=step["args"][0]))
            case "start_child":
                return self._begun(await ref.start_child(await self._built(ref, step["spec"])))
            case "restart_child":
                return self._begun(await ref.restart_child(self._named(step)))
            case "terminate_child":
                await self._terminate(ref, step)
                return "ok"
            case "delete_child":
                await ref.delete_child(self._named(step))
                return "ok"
            case "get_childspec":
                return ["ok", description(await self._spec(ref, step))]
            case "which_children":
                return listed(self.nodes, self.world, theirs(ref.path), await ref.children())
            case "count_children":
                return await counted(ref)
            case unknown:
                raise ValueError(f"no call is called {unknown!r}")

    async def _built(self, ref: SupervisorRef, node: Any) -> Spec:
        try:
            return child_spec(node, self.world)
        except Malformed as error:
            await ref.count()  # a supervisor that is not there comes before a spec that is none
            raise ConfigurationError(str(error)) from error

    async def _terminate(self, ref: SupervisorRef, step: Mapping[str, Any]) -> None:
        if "id" in step or not self.nodes.dynamic(theirs(ref.path)):
            await ref.terminate_child(self._named(step))
        else:
            id, life = self._handle(ref, step["pid_of"])
            await ref.terminate_dynamic(id, life=life)

    def _named(self, step: Mapping[str, Any]) -> str:
        """Who is meant where only ids are known; a pid is no id."""
        return step["id"] if "id" in step else self.world.pid(step["pid_of"])

    async def _spec(self, ref: SupervisorRef, step: Mapping[str, Any]) -> Spec:
        supervisor = self.common.supervisors.get(ref.path)
        dynamic = supervisor is not None and self.nodes.dynamic(theirs(ref.path))
        templates = supervisor.spec.children if supervisor is not None and dynamic else ()
        template = templates[0].id if templates else None
        if "id" in step:
            is_tag = dynamic and step["id"] != template
            return await ref.spec(f"tag {step['id']}" if is_tag else step["id"])  # OTP's dynamic children have no id
        if template is None or self._is_stranger(ref, step["pid_of"]):
            return await ref.spec(self.world.pid(step["pid_of"]))  # a pid is no id
        return await ref.spec(template)  # all have the template's, also who is dead

    def _handle(self, ref: SupervisorRef, path: str) -> tuple[str, int | None]:
        """The newest incarnation of `path` as our calls name it; one that lives elsewhere is no child here."""
        if self._is_stranger(ref, path):
            return self.world.pid(path), None
        return ours(path).name, self.world.serials[path]

    def _is_stranger(self, ref: SupervisorRef, path: str) -> bool:
        lives = path in self.world.workers or path in self.world.supervisors
        return path not in self.world.starts or (lives and parent_of(path) != theirs(ref.path))

    def _begun(self, started: Started) -> Any:
        if started.incarnation is None:
            return ["ok", None]
        pid = self.world.pid(theirs(started.path))
        return ["ok", pid] if started.info is None else ["ok", pid, started.info]

    def _check(self, step: Mapping[str, Any]) -> Any:
        kind = auto_shutdown(step["auto_shutdown"]) if "auto_shutdown" in step else None
        nodes: Any = step["specs"]
        try:
            if isinstance(nodes, list):
                nodes = [child_spec(node, self.world) for node in cast("list[object]", nodes)]
            check_children(nodes, kind)
        except ValueError:
            return ["error", INVALID]
        return "ok"

    async def _code_change(self, step: Mapping[str, Any]) -> Any:
        ref = self._ref(step["sup"])
        supervisor = self.common.supervisors.get(ref.path)
        try:
            if step.get("returns") == "ignore":
                await ref.count()  # it has to be there to be asked
                return "ok"
            spec: Any = "no spec" if "returns" in step else self._changed(step)
            if isinstance(spec, SupervisorSpec) and supervisor is not None:
                old = supervisor.spec
                kept = {"id": old.id, "restart": old.restart, "shutdown": old.shutdown, "on_start": old.on_start}
                spec = evolve(spec, **kept, significant=old.significant)
            await ref.replace(spec)
        except ConfigurationError:
            return ["error", INVALID]
        except SupervisorGone as gone:
            return _gone(gone)
        return "ok"

    def _changed(self, step: Mapping[str, Any]) -> Any:
        try:
            return supervisor_spec({**step, "id": "changed", "type": "supervisor"}, self.world)
        except (TypeError, ValueError):
            return "no spec"  # a supervisor that is not there comes before that


def _gone(gone: SupervisorGone) -> Any:
    return ["noproc"] if gone.exit is None else ["sup_exit", exit_as_term(gone.exit)]
