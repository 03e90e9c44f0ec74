"""Calls to a supervisor: OTP's API, with its refusals as typed errors; one at a time, in arrival order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import trio
from attrs import evolve, frozen

from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.agents.errors import (
    AlreadyPresent,
    AlreadyStarted,
    ConfigurationError,
    IsDynamic,
    NotFound,
    StartFailed,
    StillRestarting,
    StillRunning,
    SupervisionError,
    SupervisorGone,
)

from .child import Child
from .core.incident import Outcome
from .core.spec import ChildSpec, RestartPolicy, Spec, Strategy, SupervisorSpec
from .reload import Changes, reload

if TYPE_CHECKING:
    from treewarden.agents.core.exit import Exit

    from .supervisor import Supervisor

__all__ = ["Call", "ChildView", "Counts", "SupervisorRef", "answer"]


@frozen
class ChildView:
    """One child as its supervisor sees it."""

    id: str
    path: Path
    state: SlotState
    incarnation: int
    """Of the current or the last life; 0 before the first."""
    supervisor: bool
    note: str = ""


@frozen
class Counts:
    """How many children there are (OTP's `count_children`)."""

    specs: int
    active: int
    supervisors: int
    workers: int


class Call:
    """One call in a supervisor's queue, and where its caller waits."""

    def __init__(self, what: str, argument: Any = None) -> None:
        self.what = what
        self.argument = argument
        self._done = trio.Event()
        self._value: Any = None
        self._error: Exception | None = None

    def resolve(self, value: Any) -> None:
        self._value = value
        self._done.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._done.set()

    def refuse(self, path: Path) -> None:
        """The supervisor has ended."""
        self.fail(SupervisorGone(f"{path}: the supervisor ended before it answered {self.what}", path=path))

    async def wait(self) -> Any:
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value


class SupervisorRef:
    """A running tree's supervisor, by its path. It stays good over restarts of the supervisor.

    Every call waits until the supervisor has time for it: while it starts or stops children, calls queue. Cancelling
    a call does not take it back. All raise `SupervisorGone` when the supervisor does not run or ends meanwhile.
    """

    def __init__(self, path: Path, find: Callable[[Path], Supervisor | None]) -> None:
        self.path = path
        self._find = find

    async def start_child(self, spec: Spec) -> Path:
        """Add a child at the end and start it; returns its path when it has begun, or when it chose to stay away.

        Raises `AlreadyStarted`, `AlreadyPresent` (the old spec wins), `StartFailed` (the spec is not kept),
        `IsDynamic` on a dynamic supervisor: that one has `start_dynamic`.
        """
        return await self._call("start_child", spec)

    async def start_dynamic(self, args: Mapping[str, Any] | None = None, *, id: str | None = None) -> Path:
        """Start a child of a dynamic supervisor from its template, with these arguments besides the template's.

        Raises `AlreadyStarted`, `StartFailed`, and `ConfigurationError` at the supervisor's `max_children`.
        """
        return await self._call("start_dynamic", (dict(args or {}), id))

    async def terminate_child(self, id: str) -> None:
        """Stop a child; its spec stays unless it is temporary or dynamic. Stopping one that is down is no error.

        Raises `NotFound`.
        """
        await self._call("terminate_child", id)

    async def restart_child(self, id: str) -> Path:
        """Start a child that is down.

        Raises `StillRunning`, `StillRestarting`, `NotFound`, `IsDynamic`, `StartFailed`.
        """
        return await self._call("restart_child", id)

    async def delete_child(self, id: str) -> None:
        """Take out the spec of a child that is down, with its state and mailbox.

        Raises `StillRunning`, `StillRestarting`, `NotFound`, `IsDynamic`.
        """
        await self._call("delete_child", id)

    async def spec(self, id: str) -> Spec:
        """The spec of a child. Raises `NotFound`."""
        return await self._call("spec", id)

    async def children(self) -> tuple[ChildView, ...]:
        """The children in start order."""
        return await self._call("children")

    async def count(self) -> Counts:
        """How many children there are."""
        return await self._call("count")

    async def replace(self, spec: SupervisorSpec) -> tuple[str, ...]:
        """Take new flags and specs (OTP's code change). Running children go on, with the new spec from their next
        start; ids that are new are added without being started and returned; ids no longer listed are kept behind the
        others. Raises `ConfigurationError` for a change of kind that cannot be made; nothing is changed then."""
        return await self._call("replace", spec)

    async def reload(self, spec: SupervisorSpec) -> Changes:
        """Take a new spec and act on it at once, here and in the supervisors below.

        New children start, those no longer listed end for good, changed ones are started anew with their mailbox and
        state. Raises `ConfigurationError` for a change that cannot be made; nothing is changed then.
        """
        changes = Changes()
        await self._call("reload", (spec, changes))
        return changes

    async def _call(self, what: str, argument: Any = None) -> Any:
        supervisor = self._find(self.path)
        if supervisor is None or supervisor.exit is not None:
            raise SupervisorGone(f"{self.path}: no supervisor runs there", path=self.path)
        call = Call(what, argument)
        supervisor.post(call)
        return await call.wait()


async def answer(supervisor: Supervisor, call: Call) -> Exit | None:
    """Carry out one call and answer it; a refusal is an answer too. Calls never end the supervisor."""
    try:
        call.resolve(await _CALLS[call.what](supervisor, call.argument))
    except (SupervisionError, ConfigurationError) as error:
        call.fail(error)
    return None


async def _start_child(supervisor: Supervisor, spec: Spec) -> Path:
    children = supervisor.children
    if supervisor.spec.strategy is Strategy.DYNAMIC:
        raise IsDynamic(f"{supervisor.path}: use start_dynamic with arguments for its template", path=supervisor.path)
    if spec.significant and supervisor.spec.auto_shutdown == "never":
        raise ConfigurationError(
            f"{supervisor.path / spec.id}: a significant child needs auto_shutdown, which is never"
        )
    present = children.get(spec.id)
    if present is not None:
        raise _present(present)
    return await _start_new(supervisor, spec)


async def _start_dynamic(supervisor: Supervisor, argument: tuple[dict[str, Any], str | None]) -> Path:
    if supervisor.spec.strategy is not Strategy.DYNAMIC:
        raise IsDynamic(f"{supervisor.path}: it has no template; use start_child with a spec", path=supervisor.path)
    args, id = argument
    limit = supervisor.spec.max_children
    if limit is not None and len(supervisor.children) >= limit:
        raise ConfigurationError(f"{supervisor.path}: it has {limit} children already (max_children)")
    template = supervisor.spec.children[0]
    name = id if id is not None else next(_free_ids(supervisor, template.id))
    present = supervisor.children.get(name)
    if present is not None:
        raise _present(present)
    if isinstance(template, ChildSpec):
        return await _start_new(supervisor, evolve(template, id=name, args={**template.args, **args}))
    return await _start_new(supervisor, evolve(template, id=name))


def _free_ids(supervisor: Supervisor, stem: str) -> Any:
    taken = supervisor.children
    return (name for n in itertools.count(1) if taken.get(name := f"{stem}-{n}") is None)


def _present(child: Child) -> SupervisionError:
    if child.current is not None:
        return AlreadyStarted(f"{child.path} runs already; the new spec was discarded", path=child.path)
    return AlreadyPresent(f"{child.path} exists and does not run; restart it, or delete it first", path=child.path)


async def _start_new(supervisor: Supervisor, spec: Spec) -> Path:
    child = supervisor.children.add(spec)
    failure = await supervisor.children.start(child)
    if failure is not None:
        supervisor.children.drop(child, "it did not start")
        raise StartFailed(child.path, failure)
    return child.path


async def _terminate_child(supervisor: Supervisor, id: str) -> None:
    child = _child(supervisor, id)
    await supervisor.children.stop(child)
    supervisor.common.note(*supervisor.judge.close(child, Outcome.UNOBSERVED))
    if child.spec.restart is RestartPolicy.TEMPORARY or supervisor.spec.strategy is Strategy.DYNAMIC:
        supervisor.children.drop(child, "it was terminated")
    else:
        supervisor.children.close(child, "it was terminated")


async def _restart_child(supervisor: Supervisor, id: str) -> Path:
    child = _static(supervisor, id)
    failure = await supervisor.children.start(child)
    if failure is not None:
        raise StartFailed(child.path, failure)
    return child.path


async def _delete_child(supervisor: Supervisor, id: str) -> None:
    child = _static(supervisor, id)
    supervisor.children.drop(child, "it was deleted")


async def _spec(supervisor: Supervisor, id: str) -> Spec:
    return _child(supervisor, id).spec


async def _children(supervisor: Supervisor, _: None) -> tuple[ChildView, ...]:
    return tuple(view(child) for child in supervisor.children)


async def _count(supervisor: Supervisor, _: None) -> Counts:
    children = list(supervisor.children)
    below = sum(isinstance(child.spec, SupervisorSpec) for child in children)
    dynamic = supervisor.spec.strategy is Strategy.DYNAMIC
    return Counts(
        specs=1 if dynamic else len(children),
        active=supervisor.children.running,
        supervisors=below,
        workers=len(children) - below,
    )


async def _replace(supervisor: Supervisor, spec: SupervisorSpec) -> tuple[str, ...]:
    if (spec.strategy is Strategy.DYNAMIC) is not (supervisor.spec.strategy is Strategy.DYNAMIC):
        raise ConfigurationError(f"{supervisor.path}: a running supervisor cannot become dynamic, or stop being so")
    ids = [child.id for child in spec.children]
    twice = next((id for id in ids if ids.count(id) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"{supervisor.path}: two children are called {twice!r}; ids are unique among siblings")
    supervisor.adopt(spec)
    if spec.strategy is Strategy.DYNAMIC:
        return ()
    return tuple(child.spec.id for child in supervisor.children.reorder(spec.children))


async def _reload(supervisor: Supervisor, argument: tuple[SupervisorSpec, Changes]) -> None:
    spec, changes = argument
    if spec.strategy is not supervisor.spec.strategy and Strategy.DYNAMIC in (spec.strategy, supervisor.spec.strategy):
        raise ConfigurationError(f"{supervisor.path}: a running supervisor cannot become dynamic, or stop being so")
    await reload(supervisor, spec, changes)


def view(child: Child) -> ChildView:
    """A child as data."""
    return ChildView(
        child.spec.id, child.path, child.state, child.lives, isinstance(child.spec, SupervisorSpec), child.note
    )


def _child(supervisor: Supervisor, id: str) -> Child:
    child = supervisor.children.get(id)
    if child is None:
        raise NotFound(f"{supervisor.path}: it has no child {id!r}", path=supervisor.path / id)
    return child


def _static(supervisor: Supervisor, id: str) -> Child:
    if supervisor.spec.strategy is Strategy.DYNAMIC:
        raise IsDynamic(f"{supervisor.path}: children of a dynamic supervisor end for good", path=supervisor.path)
    child = _child(supervisor, id)
    if child.current is not None:
        raise StillRunning(f"{child.path} runs; terminate it first", path=child.path)
    if child.state is SlotState.RESTARTING:
        raise StillRestarting(f"{child.path} waits for its next start; terminate it first", path=child.path)
    return child


_CALLS: Mapping[str, Callable[[Supervisor, Any], Any]] = {
    "start_child": _start_child,
    "start_dynamic": _start_dynamic,
    "terminate_child": _terminate_child,
    "restart_child": _restart_child,
    "delete_child": _delete_child,
    "spec": _spec,
    "children": _children,
    "count": _count,
    "replace": _replace,
    "reload": _reload,
}
