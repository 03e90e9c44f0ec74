"""`Agent[S]`: state that handlers replace, one message at a time."""

from __future__ import annotations

import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from copy import deepcopy
from inspect import isawaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeGuard, TypeVar, cast

import trio

from .core.diagnosis import Diagnosis
from .core.exit import Exit
from .core.label import Label, checked_tags
from .core.message import Request
from .core.path import Path
from .core.said import check_facts, check_kind, check_reading, check_share, check_text, shown
from .errors import ConfigurationError
from .handlers import Repeated, at, every, handles, marked_methods, plain_ones, refuse_clashes
from .own_steps import OwnSteps
from .ports import IN_HAND
from .ref import Ref

if TYPE_CHECKING:
    from .core.ended import Ended
    from .life import Life

__all__ = ["Agent", "at", "every", "handles"]

S = TypeVar("S")

_CHANGEABLE: Final = frozenset({list, dict, set, bytearray, deque, defaultdict, Counter, OrderedDict})


class Agent(OwnSteps, Generic[S]):
    """One actor: it handles one message at a time, and what it knows is `state`.

    `state` is a frozen value. A handler replaces it (`self.state = evolve(self.state, ...)`); it counts when the
    handler returns and is dropped when the handler raises. Everything else on `self` lasts as long as the incarnation.
    A change *in* a list or a dict that is the state is no settle: it is not stored, and nothing promises that it is
    undone. Every incarnation begins with a copy of its own of the one that stands in the class.

    Subclasses may take arguments in `__init__`; they come from the child's `args` at every start.
    """

    state: S = None  # type: ignore[assignment]  # agents without state leave it at None

    drains_body: ClassVar[bool] = False
    """Whether `run` watches `stop_requested` and ends by itself within the grace; otherwise it is cancelled at once."""

    keeps_task: ClassVar[bool] = False
    """Whether what a handler leaves open belongs to the task that it ran in: a `trio.Lock` or a limiter's token that it
    holds on to until a later message, a cancel scope. Such an agent never hibernates (see `falls_asleep`)."""

    handlers: ClassVar[Mapping[type, Callable[..., Any]]] = {}
    plain: ClassVar[Mapping[type, Callable[..., Any]]] = {}
    """Those of the handlers of requests that do not have to be awaited."""
    handled: ClassVar[frozenset[type]] = frozenset()
    """The message types that have a handler."""
    repeated: ClassVar[tuple[Repeated, ...]] = ()
    born_asleep: ClassVar[bool] = True
    """Without `on_start`, body or ticks: it has nothing to do before its first message."""
    ends_at_once: ClassVar[bool] = True
    """Without `on_stop`: it has nothing to do at its end."""

    falls_asleep: ClassVar[bool] = True
    """Whether it gives its task back when nothing has come for a while: not one with a body, nor one that does
    something at its start and at its end, for what is opened there may have to be closed in the same task."""

    life: Life
    """Set before `on_start`, or before the first message of an agent that sleeps until then; absent in `__init__`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_clashes(cls, Agent)
        cls.handlers, cls.repeated = marked_methods(cls)
        cls.plain = plain_ones(cls.handlers)
        cls.handled = frozenset(cls.handlers)
        cls.born_asleep = not (cls.repeated or overrides(cls, "on_start") or overrides(cls, "run"))
        cls.ends_at_once = not overrides(cls, "on_stop")
        from_start_to_end = overrides(cls, "on_start") and overrides(cls, "on_stop")
        cls.falls_asleep = not (cls.keeps_task or overrides(cls, "run") or from_start_to_end)
        _tell_of_attributes(cls)

    # -- what a subclass may define

    async def on_start(self) -> Any:
        """Run before the first message of every incarnation; the next sibling starts when it returns.

        What it returns goes to whoever asked for the start (`start_child`), and to nobody after a restart. Raise
        `Ignore` to stay away without being a failure; any other exception is a start that failed, and so is one that
        takes longer than `start_within`, for which it is cancelled.
        """

    async def on_stop(self, exit: Exit) -> None:
        """Run at the end of an incarnation that was not killed, within its grace, and cancelled when that is over.
        State changed here is not kept. Not run where a `BaseException` that is no `Exception` has ended it."""

    async def run(self) -> Any:
        """A body that runs beside the handlers; its return finishes the agent. Not called unless overridden.

        Cancelled when its incarnation ends; with `drains_body` it is asked to end before (`stop_requested`).
        """
        raise NotImplementedError

    # -- what a subclass may call

    @property
    def path(self) -> Path:
        """Where this agent lives."""
        return self.life.slot.path

    @property
    def diagnosis(self) -> Diagnosis | None:
        """Why this life begins with an earlier state than the last one had: cause, grounds, what was undone and which
        message was in hand. None if it does not, and again once the slot has been stable for a while.

        It outlives `kill -9`: the first life of the next process is told too.
        """
        return self.life.slot.diagnosis

    @property
    def trace(self) -> str:
        """The id of the message with which everything began that led to the one in hand: one text for your logs, and
        for what is called outside. Empty where that has no id, and outside of handlers."""
        return self.life.turn.trace

    def ref(self, path: str) -> Ref:
        """A reference to another slot: `../sibling`, `./child`, or a path from the root."""
        return self.life.ref(path)

    def now(self) -> float:
        """Wall seconds since 1970, from the tree's clock."""
        return self.life.clock.wall()

    def record(self, fact: Any) -> None:
        """Add a fact of your own (a frozen attrs value) to the journal, with the settle of the message in hand."""
        self.life.record(fact)

    def checkpoint(self, name: str = "", description: str = "", tags: Iterable[str] = ()) -> None:
        """Keep the state that this handler leaves as a checkpoint, with the settle of the message in hand.

        One with a name or a tag stays for good, unless the child's `retention` says otherwise. Called twice in one
        handler, the last call counts. Raises `ConfigurationError` for a name or a tag that is not one line of text.
        """
        try:
            label = Label(name, description, checked_tags(tags))
        except ValueError as error:
            raise ConfigurationError(f"{self.path}: {error}") from None
        self.life.checkpoint(label)

    def keep(self) -> None:
        """Settle the state as it is now, soon: for a body (`run`), which has no message that would settle it."""
        self.life.keep()

    def progress(self, token: object) -> None:
        """Say that work goes on. Only a token that was not the last one counts: repeating itself is not progress.

        Where the child's spec has `loops`, it must be none of the last few: going round in circles is no progress.
        """
        self.life.progress(token)

    def called(self, call: str, arguments: Any = None, result: Any = None) -> None:
        """Say which call was made, with what, and what came of it: a tool of a model, a request, a query.

        Where the child's spec has `loops`, a cycle of calls that comes back with the same arguments and results is a
        signal to the supervisor, as a hang is; else this costs next to nothing. Raises `ConfigurationError` for what
        JSON cannot say (bytes may stand for a result), if it is looked at.
        """
        self.life.note_call(call, arguments, result)

    def signal(self, kind: str, severity: float, text: str = "", **facts: Any) -> None:
        """Tell the supervisor about something that is no failure of this agent; `severity` is from 0 to 1.

        `facts` are numbers and short texts; of `cpu` and `memory` percent. Raises `ConfigurationError` naming the field
        that cannot be, its value and the remedy; then nothing was said.
        """
        try:
            check_kind("kind", kind)
            check_share("severity", severity)
            check_text("text", text)
            check_facts(facts)
        except ValueError as error:
            raise ConfigurationError(f"a signal cannot be: {error}") from None
        self.life.warden.reported(kind, severity, text, facts)

    def recovered(self, kind: str, text: str = "") -> None:
        """Tell the supervisor that what was signalled under `kind` is over. Raises as `signal`."""
        try:
            check_kind("kind", kind)
            check_text("text", text)
        except ValueError as error:
            raise ConfigurationError(f"a recovery cannot be: {error}") from None
        self.life.warden.recovered(kind, text)

    def measured(self, what: str, value: float) -> None:
        """Say what was measured: `latency` of a call in seconds, a `cost` in any unit, `memory` in bytes.

        Where the child's spec has a limit of it (`limits`), going over that is a signal to the supervisor, and so is
        coming back; else it costs next to nothing. Raises `ConfigurationError` for what cannot have been measured.
        """
        try:
            check_kind("what", what)
            check_reading(what, value)
        except ValueError as error:
            raise ConfigurationError(f"nothing was measured: {error}") from None
        self.life.warden.measured(what, value)

    def after(self, seconds: float, message: Any, *, key: Hashable | None = None, every: float | None = None) -> None:
        """Have `message` handled by this agent in `seconds`, and with `every` again and again, so many seconds apart.

        It comes before the messages that wait, and takes no room among them. Set again under the same `key` (without
        one the message itself is the key: it has to be hashable then) it replaces what was set before. Repeated ones
        stand on a grid that begins with the first and does not drift; those that come due while one waits or is in
        hand become one. All end with the incarnation, whatever the durability: set in `on_start` what is to outlast
        it, or use `@every`, whose grid is kept. Nothing comes due while the agent is being drained.

        Not promised: to be exact under load; nor that a message whose handler raises comes again, unless it was a
        `RateLimited`. Raises `NotHandled`, `ConfigurationError`, and `AgentStopped` in an incarnation that has ended.
        """
        self.life.after(seconds, message, key, every)

    def call_off(self, key: Hashable) -> bool:
        """Forget what `after` has set under `key` (or that message), also if it is due already and waits; whether there
        was anything."""
        return self.life.afters.call_off(key)

    def stash(self, *kinds: type) -> None:
        """Put aside all messages of these types as they come to their turn, until `unstash`.

        To put aside the message in hand, `raise Stash`. What is put aside keeps its order, its sender and its asker,
        whose limit runs on. There is room for as many as the mailbox holds besides those that wait there; more become
        dead letters, and asks get `MailboxFull`. When this incarnation ends, all of it goes back to the head of the
        mailbox for the next one, which has to say anew what it puts aside; if durable, after a process death too.

        Raises `ConfigurationError` where no type is named, or what is none.
        """
        if not kinds:
            raise ConfigurationError(
                f"{self.path}: stash() names no type of messages; name those to put aside as they come, or raise Stash "
                "to put aside the message in hand"
            )
        self.life.slot.set_aside(kinds)

    def unstash(self, *kinds: type) -> int:
        """Bring back what was put aside, in its order, before what waits of the same priority; of these types only, if
        any are given.

        Ends `stash` for them. Returns how many messages have come back.
        """
        return self.life.slot.unstash(kinds)

    async def forward(self, to: Ref | str, message: Any = IN_HAND) -> None:
        """Hand the message in hand to another agent, with its priority, and its asker if it has one; `message` in its
        place, if given, be it None.

        For a handler: what it returns afterwards is nobody's reply, for that will come from there, within the limit
        that the asker gave. Waits for room there, not for the reply. From a durable agent it leaves in the commit that
        settles the handler, and not at all if that raises. Asks that would wait for themselves are refused as ever.

        A message that goes round in a circle ends where an agent would hand it on for the ninth time: it becomes a dead
        letter there, or its asker gets `ForwardCycle`, and this returns.

        Raises `ConfigurationError` where no message is in hand, and what `ref.tell` and `ref.ask` raise before
        anything is sent; the message is still this handler's then. Cancelled while it waits for room: likewise.
        """
        from .forwarding import forward

        await forward(self.life.turn, to if isinstance(to, Ref) else self.ref(to), message)

    def watch(self, to: Ref | str) -> AbstractAsyncContextManager[AsyncIterator[Ended]]:
        """Every end of an incarnation of another slot from now on; of one that is down the last one comes at once.

        For a helper (`start_soon`) or a body: a handler that waits for an end handles nothing else meanwhile. Promises
        what `Tree.watch` does, for as long as this incarnation lives; a slot need not be told that it is watched, and
        may be gone. Entering raises `NoSuchSlot`. Raises `ConfigurationError` for text that is no path, and for a ref
        of another tree.
        """
        return self.life.watch((to if isinstance(to, Ref) else self.ref(to)).path_for(self.ref(".")))

    def start_soon(self, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Run `work` beside the handlers; it is cancelled with the incarnation, and what it raises ends it."""
        self.life.start_soon(work, *args)

    @property
    def stop_requested(self) -> trio.Event:
        """Set when the supervisor asks this incarnation to end."""
        return self.life.stop_requested


def overrides(agent: Agent[Any] | type[Agent[Any]], name: str) -> bool:
    """Whether the agent's class defines `name` itself, and does not leave it to `Agent`."""
    cls = agent if isinstance(agent, type) else type(agent)
    return getattr(cls, name) is not getattr(Agent, name)


def is_agent_class(value: Any) -> TypeGuard[type[Agent[Any]]]:
    """Whether `value` is a class of agents, not a function that makes them."""
    return isinstance(value, type) and issubclass(value, Agent)


def made_by(make: Callable[..., Any], args: Mapping[str, Any]) -> Agent[Any]:
    """A fresh agent. Raises `ConfigurationError` if `make` gives something else, and what `make` raises."""
    agent: Any = make(**args)
    if isinstance(agent, Agent):
        return agent  # pyright: ignore[reportUnknownVariableType]
    raise ConfigurationError(f"{make!r} gave {type(agent).__name__}, which is no Agent")


def to_await(agent: Agent[Any], name: str, made: object) -> Awaitable[Any]:
    """What the agent's own `name` returned when it was called. Raises `ConfigurationError` if nobody can await it."""
    if made.__class__ is CoroutineType or isawaitable(made):
        return cast("Awaitable[Any]", made)
    where = f"{type(agent).__qualname__}.{name}"
    raise ConfigurationError(f"{where} gave {shown(made)}, which cannot be awaited; write it as `async def {name}`")


def _tell_of_attributes(cls: type[Agent[Any]]) -> None:
    """Have CPython know what each agent gets when it wakes before the first one is made.

    The instances of a class share the names of their attributes. Names that come when there are many instances are
    not taken into that any more, and each of these gets a dict of its own, of 200 bytes.
    """
    if hasattr(cls, "__del__"):
        return
    with suppress(TypeError):  # an abstract class has no instances
        first = object.__new__(cls)
        for name in ("state", "life"):
            if not hasattr(getattr(cls, name, None), "__set__"):
                object.__setattr__(first, name, None)


def own_state(agent: Agent[Any]) -> Any:
    """The state that `agent` begins with: of a list or the like that stands in its class, a copy, so that what one life
    changes in it, against the rules, does not reach another."""
    state: Any = agent.state
    if type(state) in _CHANGEABLE and state is getattr(type(agent), "state", None):
        return deepcopy(state)
    return state


def lookup(agent: type[Agent[Any]] | Life, kind: type) -> Callable[..., Any] | None:
    """The handler for messages of type `kind` or of a type that it inherits from."""
    for base in kind.__mro__:
        found = agent.handlers.get(base)
        if found is not None:
            return found
    return None


def state_type(agent: type[Agent[Any]], unsaid: Any = None) -> Any:
    """What the class says its state is (`Agent[Tally]`); else `unsaid`, or the type of the state that it has."""
    for cls in agent.__mro__:
        for base in getattr(cls, "__orig_bases__", ()):
            if typing.get_origin(base) is Agent:
                (declared,) = typing.get_args(base)
                if not isinstance(declared, TypeVar):
                    return type(None) if declared is None else declared
    return unsaid or type(cast("object", cast("Any", agent).state))


def reply_type(message: type) -> Any:
    """What a message class says its reply is (`Request[int]`); None's type for one that says nothing."""
    for cls in message.__mro__:
        for base in getattr(cls, "__orig_bases__", ()):
            if typing.get_origin(base) is Request:
                (declared,) = typing.get_args(base)
                if not isinstance(declared, (TypeVar, typing.ForwardRef)):
                    return declared
    return type(None)
