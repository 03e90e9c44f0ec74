"""Which methods of an agent's class handle messages, and which are ticks: found once, when the class is made."""

from __future__ import annotations

import dis
import inspect
import math
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CoroutineType, NoneType, SimpleNamespace, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, Union

from .core.message import Happened, Request
from .core.said import is_number, shown
from .core.values import frozen
from .errors import ConfigurationError

if TYPE_CHECKING:
    from .core.timetable import Timetable

__all__ = [
    "TAKEN",
    "TO_DEFINE",
    "Repeated",
    "at",
    "every",
    "handles",
    "marked_methods",
    "period_of",
    "plain_ones",
    "refuse_clashes",
]

F = TypeVar("F", bound=Callable[..., Any])

_SHORTEST: Final = 1e-9
"""Seconds: how often something shorter was due since the last time may be more than any number."""
_HANDLES: Final = "__treewarden_handles__"
_EVERY: Final = "__treewarden_every__"
_AT: Final = "__treewarden_at__"
_MARKS: Final = (_HANDLES, _EVERY, _AT)
_YIELDS: Final = dis.opmap["YIELD_VALUE"]
"""What every `await` comes to, and every `async for` and `async with`."""
TO_DEFINE: Final = {  # by a subclass; and what each is
    "state": "what the agent knows",
    "on_start": "what runs before the first message",
    "on_stop": "what runs at the end",
    "run": "the body that runs beside the handlers",
    "drains_body": "whether the body ends by itself",
    "keeps_task": "whether it needs the same task for as long as it lives",
}
_FOUND: Final = "what is found out about its class"
TAKEN: Final = {  # by every agent; and what for
    "handlers": _FOUND,
    "plain": _FOUND,
    "handled": _FOUND,
    "repeated": _FOUND,
    "born_asleep": _FOUND,
    "ends_at_once": _FOUND,
    "falls_asleep": _FOUND,
    "life": "the incarnation that it is",
    "path": "its address",
    "trace": "the message that led to the one in hand",
    "ref": "references to others",
    "now": "the wall time",
    "record": "facts of its own",
    "effect": "acts on the world outside",
    "sleep_until": "waiting for a time",
    "wait_event": "waiting for an event",
    "approval": "waiting for a person",
    "ask_person": "asking a person",
    "checkpoint": "states that are kept",
    "keep": "settling from a body",
    "progress": "saying that work goes on",
    "diagnosis": "why it begins with an earlier state",
    "called": "saying what it calls",
    "signal": "telling its supervisor",
    "measured": "saying what was measured",
    "recovered": "telling its supervisor",
    "after": "messages to itself, later",
    "call_off": "calling those off",
    "stash": "putting messages aside",
    "unstash": "bringing them back",
    "forward": "handing on the message in hand",
    "watch": "the ends of others",
    "start_soon": "work beside the handlers",
    "stop_requested": "the wish that it ends",
}


@frozen
class Repeated:
    """One `@every` method, or one `@at` method."""

    name: str
    call: Callable[..., Any]
    period: float | str
    spread: float | str = 0.0
    dates: Callable[[object], Timetable] | None = None
    """Of an `@at` method: what says of an agent when it is due. Its period says nothing."""

    def seconds(self, agent: object) -> tuple[float, float]:
        """The period of this agent, and over how much of it the first tick spreads; a text names an attribute."""
        where = f"{type(agent).__qualname__}.{self.name}"
        period = period_of(where, _named(where, agent, self.period))
        return period, spread_of(where, _named(where, agent, self.spread), period)


def handles(method: F) -> F:
    """Mark a method as the handler of the message type that annotates its parameter (a union is each of its types).

    `async def` or plain `def`. What it returns is the reply of an ask; in a stage of a pipeline it goes on to the
    next stage. What it raises ends the incarnation, except `RateLimited` and `Stop`. A method that overrides it in a
    subclass handles the same messages, marked or not.
    """
    setattr(method, _HANDLES, True)
    return method


def _named(where: str, agent: object, value: float | str) -> Any:
    if not isinstance(value, str):
        return value
    if not hasattr(agent, value):
        raise ConfigurationError(f"{where}: @every names {value!r}, and the agent has no such attribute")
    return getattr(agent, value)


def every(seconds: float | str, *, spread: float | str = 0.0) -> Callable[[F], F]:
    """Mark a method without parameters to run every `seconds`, the first time at once.

    The due times are a fixed grid in wall time, which goes on over restarts and process deaths; ticks missed while
    the agent was down or busy become one. A text names the attribute of the agent that holds the period; it is read
    when an incarnation begins. What the method returns is dropped.

    With `spread`, at most the period, the first tick comes within so many seconds, at a moment of wall time that the
    slot's path decides: another one for each of a thousand pollers, whose grids stay apart from then on. A process
    that starts again before that moment keeps to it. So comes a tick that was due while the agent was down, or too
    far away for its period; its grid goes on from there. Not promised: that ticks which have waited, for a busy agent
    or a dependency that was down, come apart.
    """
    if callable(seconds):
        raise ConfigurationError(f"{getattr(seconds, '__qualname__', seconds)}: @every needs its period; @every(30)")

    def mark(method: F) -> F:
        setattr(method, _EVERY, (seconds, spread))
        return method

    return mark


def at(times: str | Sequence[str], *, zone: str = "UTC", days: str = "") -> Callable[[F], F]:
    """Mark a method without parameters to run at times of day: `@at("09:00", zone="Europe/Berlin", days="mon-fri")`.

    `times` are texts of hours and minutes ("09:00,17:30"), or the name of an attribute of the agent that holds them or
    a `timetable`; it is read when an incarnation begins. `zone` is a name of the IANA database, for which the machine
    needs one (`pip install tzdata` where it has none). `days` are of the week ("mon-fri", "sat,sun") or of the month
    ("1,15,last"; a month without such a day is left out); all, if none are said.

    A time that the clock there does not show, because it is put forward, comes right after the gap; one that it shows
    twice, the first time. What the agent was down or too busy for comes once, as soon as it can; durability `message`
    remembers it over process deaths. It is over when it has settled, or has failed: what was cancelled on the way, with
    a sibling or by a stop, and what was rate limited, comes again; what failed is left to the next time, or to the next
    process if that comes first. What the method returns is dropped.

    If the machine's clock is set, that is noticed within a minute. One that is set back by up to an hour has nothing
    come twice. Not promised: that, of more; nor that a thousand agents with the same time come apart.
    """
    if callable(times):
        raise ConfigurationError(f"{getattr(times, '__qualname__', times)}: @at needs its times; @at('09:00')")

    def mark(method: F) -> F:
        setattr(method, _AT, (times, zone, days))
        return method

    return mark


def marked_methods(cls: type) -> tuple[Mapping[type, Callable[..., Any]], tuple[Repeated, ...]]:
    """The handlers of `cls` by the type of message, and its ticks; those of its bases and mixins are among them.

    Raises `ConfigurationError` naming the method that cannot be what it was marked to be.
    """
    methods: dict[str, Callable[..., Any]] = {}
    marked: dict[str, Callable[..., Any]] = {}
    for base in reversed(cls.__mro__):
        for name, method in vars(base).items():
            if any(hasattr(method, mark) for mark in _MARKS):
                marked[name] = method
            if name in marked:
                methods.pop(name, None)  # the place of the last one counts: it is in the class nearest to `cls`
                methods[name] = method
    handlers: dict[type, str] = {}
    repeated: list[Repeated] = []
    for name, method in methods.items():
        where = f"{cls.__qualname__}.{name}"
        _check(where, method)
        marks = [mark for mark in _MARKS if hasattr(marked[name], mark)]
        if len(marks) > 1:
            what = "a handler and as a tick; a tick has no message" if _HANDLES in marks else "a tick of both kinds"
            raise ConfigurationError(f"{where}: it is marked as {what}: write two")
        if marks != [_HANDLES]:
            repeated.append(_repeated(where, name, method, marks[0], getattr(marked[name], marks[0])))
            continue
        for kind in _message_types(where, marked[name]):
            if kind is Happened:
                raise ConfigurationError(
                    f"{where}: Happened ends a wait_event, and no handler gets it; handle a message class of your own"
                )
            before = handlers.get(kind)
            if before in vars(cls) and name in vars(cls):
                raise ConfigurationError(f"{where}: {before} handles {kind.__qualname__} too; leave one of them")
            handlers[kind] = name
    called = {name: _at_once(methods[name]) for name in handlers.values()}
    return {kind: called[name] for kind, name in handlers.items()}, tuple(repeated)


def refuse_clashes(cls: type, agent: type) -> None:
    """Raise `ConfigurationError` if `cls`, a subclass of `agent`, takes a name for itself that `agent` needs.

    What a subclass is there to define may be defined; but not as a handler, for it would be called as something else.
    """
    for base in cls.__mro__[: cls.__mro__.index(agent)]:
        if base is not cls and issubclass(base, agent):
            continue  # checked when it was made
        own = {**getattr(base, "__annotations__", {}), **vars(base)} if base is cls else dict(vars(base))
        for name, value in own.items():
            where = (
                f"{cls.__qualname__}.{name}" if base is cls else f"{cls.__qualname__}.{name} (of {base.__qualname__})"
            )
            if name in TAKEN:
                raise ConfigurationError(f"{where}: every agent has {name!r} already, for {TAKEN[name]}; rename yours")
            marked = any(hasattr(value, mark) for mark in _MARKS)
            if name in TO_DEFINE and (marked or (name == "state" and _is_method(value))):
                raise ConfigurationError(
                    f"{where}: {name!r} is {TO_DEFINE[name]}, and no name for a handler; rename it"
                )


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod))


def plain_ones(handlers: Mapping[type, Callable[..., Any]]) -> Mapping[type, Callable[..., Any]]:
    """Those of requests that are not `async def`, nor wrap what is."""
    return {
        kind: method
        for kind, method in handlers.items()
        if issubclass(kind, Request) and not inspect.iscoroutinefunction(inspect.unwrap(method))
    }


def _at_once(method: Callable[..., Any]) -> Callable[..., Any]:
    """A handler as it is called: an `async def` in which nothing is awaited is done when it returns, as a `def` is.

    That is what many are written as, and they would be handled and asked more slowly for nothing. One whose code is
    changed afterwards, as some tools do that load modules again, raises `ConfigurationError` if that awaits something.
    """
    if not inspect.iscoroutinefunction(method) or _YIELDS in method.__code__.co_code[::2]:
        return method

    def handler(agent: Any, message: Any) -> Any:
        coroutine = method(agent, message)
        try:
            coroutine.send(None)
        except StopIteration as done:
            result: object = done.value
            return result if type(result) is not CoroutineType else _itself(result)
        coroutine.close()
        raise ConfigurationError(
            f"{method.__qualname__}: it awaited nothing when its class was made, and now it does; make the class anew"
        )

    return handler


async def _itself(result: Any) -> Any:
    """For a coroutine that was returned, and not awaited, by what is awaited."""
    return result


def _check(where: str, method: Callable[..., Any]) -> None:
    if not inspect.isfunction(method):
        raise ConfigurationError(f"{where} is a {type(method).__name__}; mark a method, `def` or `async def`")
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise ConfigurationError(f"{where}: it yields; a handler returns its reply, and tells what else there is")


def _repeated(where: str, name: str, method: Callable[..., Any], mark: str, said: tuple[Any, ...]) -> Repeated:
    if len(inspect.signature(method).parameters) != 1:
        word = "@at" if mark == _AT else "@every"
        raise ConfigurationError(f"{where}: an {word} method takes nothing but self")
    if mark == _AT:
        from .timetables import dates_of  # with the first class that has one

        return Repeated(name, method, math.inf, dates=dates_of(where, *said))
    period, spread = said
    if not isinstance(period, str):
        period_of(where, period)
    if not isinstance(spread, str):
        spread_of(where, spread, math.inf if isinstance(period, str) else period)
    return Repeated(name, method, period, spread)


def period_of(where: str, value: Any) -> float:
    """`value` in seconds. Raises `ConfigurationError` for what is no period; `where` names whose it is."""
    if not is_number(value) or not _SHORTEST <= value < math.inf:
        text = f"{where}: its period is {shown(value)}; give a positive number of seconds, a nanosecond or more"
        raise ConfigurationError(text)
    return float(value)


def spread_of(where: str, value: Any, period: float) -> float:
    """`value` in seconds. Raises `ConfigurationError` for what is no spread of ticks that come every `period`."""
    if not is_number(value) or not 0 <= value <= period:
        text = f"{where}: its spread is {shown(value)}; give a number of seconds from 0 to its period ({period:g})"
        raise ConfigurationError(text)
    return float(value)


def _message_types(where: str, method: Callable[..., Any]) -> list[type]:
    parameters = list(inspect.signature(method).parameters.values())
    if len(parameters) != 2 or parameters[1].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise ConfigurationError(
            f"{where}: a handler takes self and one message, not ({', '.join(map(str, parameters))})"
        )
    annotation = parameters[1].annotation
    if annotation is inspect.Parameter.empty:
        raise ConfigurationError(f"{where}: annotate {parameters[1].name!r} with the type of message it handles")
    hint = _evaluated(where, method, annotation)
    found = list(_classes(hint))
    for kind in found:
        if kind is Any:
            raise ConfigurationError(f"{where}: Any names no class; write object for whatever comes")
        if not isinstance(kind, type):
            raise ConfigurationError(f"{where}: {kind!r} is not a class; handle a class or a union of classes")
    return found


def _classes(hint: Any) -> Iterator[Any]:
    """What an annotation stands for: a class, each of a union, without parameters and what else is noted there."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        yield from _classes(typing.get_args(hint)[0])
    elif origin in (Union, UnionType):
        for each in typing.get_args(hint):
            yield from _classes(each)
    else:
        yield NoneType if hint is None else origin or hint


def _evaluated(where: str, method: Callable[..., Any], annotation: Any) -> Any:
    """An annotation, which `from __future__ import annotations` makes a text. The method's others are left alone."""
    if not isinstance(annotation, str):
        return annotation
    known = getattr(inspect.unwrap(method), "__globals__", {})
    try:
        return typing.get_type_hints(SimpleNamespace(__annotations__={"message": annotation}), known)["message"]
    except Exception as error:
        raise ConfigurationError(
            f"{where}: the type of its message, {annotation}, is not known when the class is made ({error}); "
            "define or import message classes at module level, above the agent"
        ) from None
