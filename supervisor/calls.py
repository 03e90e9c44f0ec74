"""Calls to a supervisor from outside: OTP's API, with its refusals as typed errors; one at a time, as they arrive."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from treewarden.agents.core.exit import Exit, Failed, Failure, Stopped
from treewarden.agents.core.lifecycle import SlotState
from treewarden.agents.core.path import Path
from treewarden.agents.core.said import check_text, shown
from treewarden.agents.core.values import frozen
from treewarden.agents.errors import ConfigurationError, SupervisorGone

from .core.spec import Spec, SupervisorSpec
from .orders import Call

if TYPE_CHECKING:
    from .core.checkpoint import Checkpoint
    from .core.event import ActionPerformed
    from .orphans import Emptied
    from .performing import UnderWay
    from .reload import Changes
    from .supervisor import Supervisor

__all__ = ["ChildView", "Counts", "Started", "SupervisorRef", "checked_limit", "must_be_text"]

_MOST: Final = 1 << 62
"""Rows: more than any database has."""


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
    life: int = 0
    """The serial number of that life: no other life of this tree has it."""


@frozen
class Started:
    """What became of a start that was asked for."""

    path: Path
    incarnation: int | None
    """None: it chose to stay away (`Ignore`)."""
    life: int | None
    """The serial number of the life that began."""
    info: Any = None
    """What its `on_start` returned."""


@frozen
class Counts:
    """How many children there are (OTP's `count_children`)."""

    specs: int
    active: int
    supervisors: int
    workers: int


class SupervisorRef:
    """A running tree's supervisor, by its path. It stays good over restarts of the supervisor.

    Every call waits until the supervisor has time for it: while it starts or stops children, calls queue. One that
    begins a child where somebody lives still below who was there before waits for their end, with those after it that
    name the same child, or bring another spec of the supervisor; others pass it. Cancelling a call does not take it
    back. All raise `SupervisorGone` when the supervisor does not run or ends meanwhile.
    """

    def __init__(self, path: Path, find: Callable[[Path], Supervisor | None]) -> None:
        self.path = path
        self._find = find

    # -- children of a static supervisor

    async def start_child(self, spec: Spec) -> Started:
        """Add a child at the end and start it; returns when it has begun, or has chosen to stay away.

        Raises `AlreadyStarted`, `AlreadyPresent` (the old spec wins), `StartFailed` (the spec is not kept),
        `ConfigurationError` for a spec that cannot work, and `IsDynamic` on a dynamic supervisor: that one has
        `start_dynamic`.
        """
        await self._given_up(getattr(spec, "id", None))
        return await self._call("start_child", spec)

    async def terminate_child(self, id: str) -> None:
        """Stop a child; its spec stays unless it is temporary. Stopping one that is down is no error. Returns when
        nobody lives below it any more; the supervisor goes on as soon as the child itself has ended.

        A restart that waits is given up; a group that was down for its delay starts without it. Raises `NotFound`,
        `IsDynamic`.
        """
        await _gone(await self._call("terminate_child", self._named(id)))

    async def restart_child(self, id: str) -> Started:
        """Start a child that is down. It does not count towards the intensity.

        Raises `StillRunning`, `StillRestarting`, `NotFound`, `IsDynamic`, `StartFailed` (the spec is kept).
        """
        return await self._call("restart_child", self._named(id))

    async def delete_child(self, id: str) -> None:
        """Take out the spec of a child that is down, with its state and mailbox.

        Raises `StillRunning`, `StillRestarting`, `NotFound`, `IsDynamic`.
        """
        await self._call("delete_child", self._named(id))

    async def roll_back(self, id: str, to: int | str | None, by: str = "operator") -> Checkpoint | None:
        """Make the state of a child that of a checkpoint (see `Tree.roll_back`). Returns the checkpoint.

        Raises `NotFound`, `CheckpointRefused`, `UnknownKind`, `CommitFailed`, and `StartFailed` for one that does not
        start with the state that it has now.
        """
        must_be_text("by", by)
        if isinstance(to, str):
            must_be_text("to", to)
        _must_be(int | str | None, "to", to, "give a checkpoint's number or name, or None")
        return await self._call("roll_back", (self._named(id), to, by))

    async def perform(self, id: str, name: str, by: str = "operator") -> ActionPerformed:
        """Run an action that is registered under `name` for a child, beside the supervisor's loop; wait for its end.

        Cancelled: it goes on. Raises `NotFound` for a child that there is not, `NoSuchAction`.
        """
        must_be_text("by", by)
        must_be_text("name", name)
        running: UnderWay = await self._call("perform", (self._named(id), name, by))
        return await running.wait()

    # -- children of a dynamic one

    async def start_dynamic(self, args: Mapping[str, Any] | None = None, *, id: str | None = None) -> Started:
        """Start a child of a dynamic supervisor from its template, with these arguments besides the template's.

        Without an `id` it is named after the template, with a number. A child that is down for good is forgotten, and
        so is its id.
        Raises `AlreadyStarted`, `StartFailed`, and `ConfigurationError` at the supervisor's `max_children`, and for
        arguments that are no mapping.
        """
        try:
            given = dict(args or {})
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"{self.path}: args are {args!r}; give a mapping, by the names of the arguments"
            ) from None
        name = None if id is None else self._named(id)
        await self._given_up(name)
        return await self._call("start_dynamic", (given, name))

    async def terminate_dynamic(self, id: str, *, life: int | None = None) -> None:
        """Stop a child of a dynamic supervisor, and forget it.

        With a `life`, only if that life is the child's current one, or the last one of a child that waits for its
        next start; a life that has ended is no error. Raises `NotFound` for an id that no child has, `IsDynamic` on
        a supervisor that is not dynamic.
        """
        await _gone(await self._call("terminate_dynamic", (self._named(id), life)))

    # -- looking

    async def spec(self, id: str) -> Spec:
        """The spec of a child; on a dynamic supervisor the template, for its own id and that of any child.

        Raises `NotFound`.
        """
        return await self._call("spec", self._named(id))

    async def children(self) -> tuple[ChildView, ...]:
        """The children in start order."""
        return await self._call("children")

    async def count(self) -> Counts:
        """How many children there are."""
        return await self._call("count")

    @property
    def busy(self) -> bool:
        """Whether it is starting or stopping children now, so that calls and signals wait. False if it does not run."""
        supervisor = self._find(self.path)
        return supervisor is not None and supervisor.exit is None and supervisor.busy

    # -- the supervisor itself

    async def stop(self, exit: Exit = Stopped("shutdown")) -> None:  # noqa: B008 (a frozen value)
        """Ask it to stop its children in order and to end with `exit`; returns when nobody lives below it any more.

        The supervisor above sees that end as any other: a permanent one is started again, a transient one after a
        `Failed`. What was asked of it before comes first. Cancelling does not take it back.
        """
        _must_be_exit(exit)
        supervisor = self._running()
        supervisor.stop_with(exit)
        await supervisor.wait_emptied()

    @asynccontextmanager
    async def suspended(self) -> AsyncGenerator[None]:
        """Let it handle nothing for the length of the block: ends, signals, calls and stops wait in their order.

        For changing several things before it reacts to the first. Entering waits as a call does; calling it from
        inside the block waits for ever. Its parent's grace goes on: a suspended supervisor can be killed.
        """
        over = trio.Event()
        call = Call("suspend", over)
        self._running().post(call)
        try:
            await call.wait()
            yield
        finally:
            over.set()

    async def replace(self, spec: SupervisorSpec) -> tuple[str, ...]:
        """Take new flags and specs (OTP's code change). Running children go on, with the new spec from their next
        start; ids that are new are added without being started and returned; ids no longer listed are kept behind the
        others. Raises `ConfigurationError` for a spec that cannot work or a change that cannot be made; nothing is
        changed then."""
        return await self._call("replace", spec)

    async def reload(self, spec: SupervisorSpec) -> Changes:
        """Take a new spec and act on it at once, here and in the supervisors below.

        New children start, those no longer listed end for good, changed ones are started anew with their mailbox and
        state; where one had to be killed for that, when nobody lives below it any more. One that is gone, as a
        temporary child that has ended or one that was deleted, is new only if its spec is. Raises `ConfigurationError`
        for a spec or a change that cannot work; nothing is changed then.
        """
        from .reload import Changes

        changes = Changes()
        await self._call("reload", (spec, changes))
        for call in changes.later:  # of those, others may be put off in their turn
            with suppress(SupervisorGone):  # its next life begins by the new spec
                await call.wait()
        for below in changes.leaving:
            await _gone(below)
        return changes

    def _named(self, id: str) -> str:
        """`id`, if it may be one. What is no text would end whoever looks it up, which is the supervisor."""
        if not isinstance(id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{self.path}: {shown(id)} names no child; give one id, as a text")
        return id

    def _running(self) -> Supervisor:
        supervisor = self._find(self.path)
        if supervisor is None or supervisor.exit is not None:
            raise SupervisorGone(f"{self.path}: no supervisor runs there", path=self.path)
        return supervisor

    async def _given_up(self, id: object) -> None:
        """Wait here, and not in the supervisor, until what is left of one who was `id` is given up: otherwise that is
        done at once when the next one begins. Looking costs nothing as long as nothing is left of anybody."""
        supervisor = self._find(self.path)
        leftovers = None if supervisor is None else supervisor.common.leftovers
        if leftovers is not None and isinstance(id, str) and leftovers.any_below(self.path, id):
            await leftovers.gone()

    async def _call(self, what: str, argument: Any = None) -> Any:
        call = Call(what, argument)
        self._running().post(call)
        return await call.wait()


async def _gone(below: Emptied | None) -> None:
    if below is not None:
        await below.wait()


def _must_be(kind: Any, name: str, value: object, remedy: str) -> None:
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} is {shown(value)}; {remedy}")


def _must_be_exit(exit: Exit) -> None:
    _must_be(Exit, "exit", exit, "give Stopped(reason), Finished() or Failed(failure)")
    if isinstance(exit, Stopped):
        must_be_text("the reason of exit", exit.reason)
    if isinstance(exit, Failed):
        _must_be(Failure, "the failure of exit", exit.failure, "give a Failure: its type, and a text")
        must_be_text("the text of exit", exit.failure.text)


def must_be_text(name: str, value: object) -> None:
    """Raise `ConfigurationError` unless this is a text that an event can hold: one with anything else in its place is
    written, and can never be read again."""
    try:
        check_text(name, value)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def checked_limit(value: object) -> int:
    """How many are asked for. Raises `ConfigurationError` for what is no number, or below 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"limit is {shown(value)}; give 1 or more")
    return min(value, _MOST)
