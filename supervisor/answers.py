"""How a supervisor answers its calls: in its own loop, one at a time. A refusal is an answer too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import LONGEST_ID, LONGEST_PATH, ROOT
from treewarden.agents.core.said import plural
from treewarden.agents.errors import (
    AlreadyPresent,
    AlreadyStarted,
    ConfigurationError,
    IsDynamic,
    JournalError,
    NotFound,
    StartFailed,
    StillRestarting,
    StillRunning,
    SupervisionError,
)

from .calls import ChildView, Counts, Started
from .child import Child
from .core.check import check_child, check_part, check_supervisor, check_tree
from .core.incident_events import Outcome
from .core.spec import ChildSpec, RestartPolicy, Spec, Strategy, SupervisorSpec, made_from
from .orders import wait_for
from .putting_off import is_put_off
from .recovery import check_storable
from .sleeper import Sleeper

if TYPE_CHECKING:
    from .core.checkpoint import Checkpoint
    from .orders import Call
    from .orphans import Emptied
    from .performing import UnderWay
    from .reload import Changes
    from .supervisor import Supervisor

__all__ = ["answer", "start_dynamic", "terminate_dynamic"]

_DEEP: Final = LONGEST_PATH - LONGEST_ID - len("/")
"""Characters of a path below which a child has one that can be named, whatever its id is."""


async def answer(supervisor: Supervisor, call: Call) -> None:
    """Carry out one call and answer it. Calls never end the supervisor."""
    if call.what == "suspend":
        over: trio.Event = call.argument
        call.resolve(None)
        await over.wait()
        return
    if is_put_off(supervisor, call):
        return
    try:
        call.resolve(await _CALLS[call.what](supervisor, call.argument))
    except (SupervisionError, ConfigurationError, JournalError) as error:
        call.fail(error)


async def _start_child(supervisor: Supervisor, spec: Spec) -> Started:
    _must_be_static(supervisor, "use start_dynamic with arguments for its template")
    _sound(check_child, supervisor, spec, supervisor.spec.auto_shutdown, new=True)
    present = supervisor.children.get(spec.id)
    if present is not None:
        raise _present(present)
    return await _start_new(supervisor, spec)


def start_dynamic(supervisor: Supervisor, call: Call) -> Coroutine[Any, Any, None] | None:
    """As `answer`, for this call to a supervisor that has nothing else to do. Returns what is left to wait for."""
    if is_put_off(supervisor, call):
        return None
    try:
        new = _added(supervisor, call.argument)
        if isinstance(new, Started):
            call.resolve(new)
        elif supervisor.children.can_start_at_once(new):
            call.resolve(_new(supervisor, new, supervisor.children.start_at_once(new, asked=True)))
        else:
            return _answer_with(call, _start_added(supervisor, new))
    except (SupervisionError, ConfigurationError) as error:
        call.fail(error)
    return None


def terminate_dynamic(supervisor: Supervisor, call: Call) -> Coroutine[Any, Any, None] | None:
    """As `start_dynamic`."""
    if is_put_off(supervisor, call):
        return None
    try:
        if not _ended_at_once(supervisor, *call.argument):
            return _answer_with(call, _terminate_dynamic(supervisor, call.argument))
        call.resolve(None)
    except (SupervisionError, ConfigurationError) as error:
        call.fail(error)
    return None


async def _answer_with(call: Call, rest: Coroutine[Any, Any, Any]) -> None:
    try:
        call.resolve(await rest)
    except (SupervisionError, ConfigurationError, JournalError) as error:
        call.fail(error)


async def _start_dynamic(supervisor: Supervisor, argument: tuple[dict[str, Any], str | None]) -> Started:
    new = _added(supervisor, argument)
    return new if isinstance(new, Started) else await _start_added(supervisor, new)


def _added(supervisor: Supervisor, argument: tuple[dict[str, Any], str | None]) -> Child | Started:
    """A new child of a dynamic supervisor, not yet started; or what came of its start, if it is one who sleeps."""
    _must_be_dynamic(supervisor, "it has no template; use start_child with a spec")
    args, id = argument
    limit, children = supervisor.spec.max_children, supervisor.children
    present = None if id is None else children.get(id)
    if present is not None:
        raise _present(present)
    if limit is not None and len(children) >= limit:
        many = plural(len(children), "child", "children")
        raise ConfigurationError(f"{supervisor.path}: it has {many}, and max_children is {limit}")
    template = supervisor.spec.children[0]
    name = id if id is not None else children.free_id(template.id)
    if len(supervisor.path) > _DEEP or not isinstance(template, ChildSpec):
        from .core.fields import check_paths

        _checked(lambda: check_paths(template, supervisor.path / name), supervisor)
    sleeper = _checked(children.enrol_like, supervisor, template, name, args)
    if sleeper is None:
        return children.add(_checked(made_from, supervisor, template, name, args), args=args)
    failure = children.start_sleeper(name, sleeper, asked=True)
    child = None if failure is None else children.get(name)
    if child is not None:
        return _new(supervisor, child, failure)
    return Started(supervisor.path / name, sleeper.lives, sleeper.last)


def _present(child: Child) -> SupervisionError:
    if child.current is not None:
        return AlreadyStarted(f"{child.path} runs already; the new spec was discarded", path=child.path)
    if child.state is SlotState.RESTARTING:
        text = f"{child.path} exists and waits for its next start; the new spec was discarded"
        return AlreadyPresent(text, path=child.path)
    if child.state is SlotState.HELD:
        text = f"{child.path} exists and is held; resume it, or terminate it first"
        return AlreadyPresent(text, path=child.path)
    return AlreadyPresent(f"{child.path} exists and does not run; restart it, or delete it first", path=child.path)


async def _start_new(supervisor: Supervisor, spec: Spec) -> Started:
    child = supervisor.children.add(spec)
    supervisor.children.beyond_spec.add(spec.id)
    return await _start_added(supervisor, child)


async def _start_added(supervisor: Supervisor, child: Child) -> Started:
    return _new(supervisor, child, await supervisor.children.start(child, asked=True))


def _new(supervisor: Supervisor, child: Child, failure: Failure | None) -> Started:
    if failure is not None:
        supervisor.children.drop(child, "it did not start", stays=True)
        raise StartFailed(child.path, failure)
    return _started(child)


def _started(child: Child) -> Started:
    life = child.current
    if life is None:
        return Started(child.path, None, None)
    return Started(child.path, life.number, life.serial, life.info)


async def _terminate_child(supervisor: Supervisor, id: str) -> Emptied | None:
    _must_be_static(supervisor, "use terminate_dynamic")
    child = _child(supervisor, id)
    return await _terminate(supervisor, child, keep=child.spec.restart is not RestartPolicy.TEMPORARY)


async def _terminate_dynamic(supervisor: Supervisor, argument: tuple[str, int | None]) -> Emptied | None:
    if _ended_at_once(supervisor, *argument):
        return None
    return await _terminate(supervisor, _child(supervisor, argument[0]), keep=False)


def _ended_at_once(supervisor: Supervisor, id: str, life: int | None) -> bool:
    """`terminate_dynamic`, where nothing has to be waited for; nobody is woken for that. False: nothing was done."""
    _must_be_dynamic(supervisor, "use terminate_child")
    children = supervisor.children
    entry = children.entry(id)
    if life is not None and (entry is None or entry.last != life):
        return True  # that life has ended: nothing is left to do
    if isinstance(entry, Sleeper) and children.stop_sleeper(id, entry, "shutdown") and children.sleeps(id):
        children.drop_asleep(id)
        return True
    child = _child(supervisor, id)
    if child.current is None or not children.stop_at_once(child, "shutdown"):
        return False
    supervisor.close_incident(child, Outcome.UNOBSERVED)
    children.drop(child, "it was terminated")
    return True


async def _terminate(supervisor: Supervisor, child: Child, *, keep: bool) -> Emptied | None:
    """Returns what the caller waits for, if somebody lives still below it."""
    put_off = child.alarm is not None
    await supervisor.children.stop(child)
    supervisor.close_incident(child, Outcome.UNOBSERVED)
    if keep:
        supervisor.children.close(child, "it was terminated")
    else:
        supervisor.children.drop(child, "it was terminated")
    if put_off:  # its group is down for its delay, of which OTP knows nothing; a failed start keeps others down there
        await wait_for(supervisor.restarts.go_on_without(child))
    return supervisor.children.orphans.below(child.spec.id)


async def _restart_child(supervisor: Supervisor, id: str) -> Started:
    child = _down(supervisor, id)
    supervisor.remedies.resume(child, "it was started")
    failure = await supervisor.children.start(child, asked=True)
    if failure is not None:
        raise StartFailed(child.path, failure)
    return _started(child)


async def _delete_child(supervisor: Supervisor, id: str) -> None:
    supervisor.children.drop(_down(supervisor, id), "it was deleted")


async def _roll_back(supervisor: Supervisor, argument: tuple[str, int | str | None, str]) -> Checkpoint | None:
    from .keeping import roll_back

    id, to, by = argument
    return await roll_back(supervisor, _child(supervisor, id), to, by)


async def _perform(supervisor: Supervisor, argument: tuple[str, str, str]) -> UnderWay:
    id, name, by = argument
    return supervisor.performing.ask(_child(supervisor, id), name, by)


async def _spec(supervisor: Supervisor, id: str) -> Spec:
    if supervisor.spec.strategy is not Strategy.DYNAMIC:
        return _child(supervisor, id).spec
    template = supervisor.spec.children[0]
    if id != template.id:
        _child(supervisor, id)
    return template


async def _children(supervisor: Supervisor, _: None) -> tuple[ChildView, ...]:
    return tuple(
        ChildView(
            id=id,
            path=supervisor.path / id,
            state=entry.state,
            incarnation=entry.lives,
            supervisor=isinstance(entry.spec, SupervisorSpec),
            note=entry.note,
            life=entry.last,
        )
        for id, entry in supervisor.children.entries
    )


async def _count(supervisor: Supervisor, _: None) -> Counts:
    children = supervisor.children
    below = sum(isinstance(child.spec, SupervisorSpec) for child in children.awake)
    dynamic = supervisor.spec.strategy is Strategy.DYNAMIC
    # One that has died counts no more, though its end may still wait behind this call; a dynamic supervisor counts its
    # table, as OTP's does.
    lives = () if dynamic else [child.current for child in children.awake]
    dead = sum(life is not None and life.exit is not None for life in lives)
    return Counts(
        specs=1 if dynamic else len(children),
        active=children.running - dead,
        supervisors=below,
        workers=len(children) - below,
    )


async def _replace(supervisor: Supervisor, spec: SupervisorSpec) -> tuple[str, ...]:
    from .reload import check_change

    _sound(check_supervisor, supervisor, spec)
    check_change(supervisor, spec)
    supervisor.adopt(spec)
    if spec.strategy is Strategy.DYNAMIC:
        supervisor.children.remake(spec.children[0])
        return ()
    return tuple(child.spec.id for child in supervisor.children.reorder(spec.children))


async def _reload(supervisor: Supervisor, argument: tuple[SupervisorSpec, Changes]) -> None:
    from .reload import check_change, reload

    spec, changes = argument
    _sound(check_tree, supervisor, spec)
    check_change(supervisor, spec, below=True)
    await reload(supervisor, spec, changes)


def _sound(check: Callable[..., Any], supervisor: Supervisor, spec: Any, *args: Any, new: bool = False) -> None:
    """`spec`, of a `new` child or of the supervisor, passes `check`; so do the fields that nobody looks at before they
    are needed, where all that is below it is to live, and what is stored of that."""
    from .core.fields import check_fields, check_paths  # with the first spec that comes to a supervisor that runs

    _checked(check, supervisor, spec, *args)
    _checked(check_fields, supervisor, spec)
    path = supervisor.path / spec.id if new else supervisor.path
    _checked(check_paths, supervisor, spec, path)
    _checked(partial(check_part, whole=path == ROOT), supervisor, spec)
    check_storable(path, spec, supervisor.common)


def _checked(check: Callable[..., Any], supervisor: Supervisor, *args: Any) -> Any:
    try:
        return check(*args)
    except ValueError as error:
        raise ConfigurationError(f"{supervisor.path}: {error}") from None


def _must_be_static(supervisor: Supervisor, remedy: str) -> None:
    if supervisor.spec.strategy is Strategy.DYNAMIC:
        raise IsDynamic(f"{supervisor.path}: it is a dynamic supervisor; {remedy}", path=supervisor.path)


def _must_be_dynamic(supervisor: Supervisor, remedy: str) -> None:
    if supervisor.spec.strategy is not Strategy.DYNAMIC:
        raise IsDynamic(f"{supervisor.path}: it is not a dynamic supervisor; {remedy}", path=supervisor.path)


def _child(supervisor: Supervisor, id: str) -> Child:
    child = supervisor.children.get(id)
    if child is None:
        raise NotFound(f"{supervisor.path}: it has no child {id!r}", path=supervisor.path / id)
    return child


def _down(supervisor: Supervisor, id: str) -> Child:
    """A child of a static supervisor that has no current life and waits for none."""
    _must_be_static(supervisor, "its children end for good")
    child = _child(supervisor, id)
    if child.current is not None:
        raise StillRunning(f"{child.path} runs; terminate it first", path=child.path)
    if child.state is SlotState.RESTARTING:
        raise StillRestarting(f"{child.path} waits for its next start; terminate it first", path=child.path)
    return child


_CALLS: Final[Mapping[str, Callable[[Supervisor, Any], Awaitable[Any]]]] = {
    "start_child": _start_child,
    "start_dynamic": _start_dynamic,
    "terminate_child": _terminate_child,
    "terminate_dynamic": _terminate_dynamic,
    "restart_child": _restart_child,
    "delete_child": _delete_child,
    "roll_back": _roll_back,
    "perform": _perform,
    "spec": _spec,
    "children": _children,
    "count": _count,
    "replace": _replace,
    "reload": _reload,
}
