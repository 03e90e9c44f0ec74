"""What a supervisor is told about its children: the tree as values, checked where they are made."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

from attrs import Attribute, evolve, field
from attrs.validators import optional

from treewarden.agents.core.durability import MailboxSpec, Overflow
from treewarden.agents.core.path import Path, check_id
from treewarden.agents.core.said import LARGEST, beyond_floats, is_count, shown
from treewarden.agents.core.values import frozen

from .checkpoint import Retention
from .named import NO_ACTIONS, NamedAction, named_actions

if TYPE_CHECKING:
    from treewarden.agents.core.limiter import IntakeLimit
    from treewarden.agents.core.loops import LoopLimit

    from .decision import Policy
    from .limits import QueueLimit
    from .measures import Limit

__all__ = [
    "BRUTAL_KILL",
    "NO_BACKOFF",
    "SHARED",
    "AutoShutdown",
    "Backoff",
    "BrutalKill",
    "ChildSpec",
    "Grace",
    "Intensity",
    "RestartBucket",
    "RestartPolicy",
    "Restore",
    "Router",
    "Shared",
    "Shutdown",
    "Spec",
    "Strategy",
    "Subscriber",
    "SupervisorSpec",
    "are_makers",
    "is_policy",
    "made_from",
    "slots_of",
]


class RestartPolicy(StrEnum):
    """Which exits are followed by a restart (OTP `supervisor`)."""

    PERMANENT = "permanent"
    """Every one, also a normal return."""
    TRANSIENT = "transient"
    """Only abnormal ones; after a clean one the spec is kept."""
    TEMPORARY = "temporary"
    """None; the spec is dropped."""


class Strategy(StrEnum):
    """Who is restarted with a child that failed."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"
    """The child and those started after it."""
    DYNAMIC = "simple_one_for_one"
    """Children are started at run time from one template; each is restarted alone."""


class AutoShutdown(StrEnum):
    """Whether the end of significant children ends their supervisor (OTP 24)."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class Restore(StrEnum):
    """What a restarted incarnation begins with."""

    LATEST = "latest"
    """The last settled state."""
    INITIAL = "initial"
    """The state that its class declares, as in Erlang."""


def _number(low: float, *, open_low: bool = False, infinite: bool = True) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise ValueError(f"{attribute.name} is {shown(value)}; it must be a number")
        if value < low or (open_low and value == low) or (value == math.inf and not infinite):
            bound = f"more than {low:g}" if open_low else f"{low:g} or more"
            raise ValueError(
                f"{attribute.name} is {shown(value)}; it must be {bound}{'' if infinite else ' and finite'}"
            )
        if beyond_floats(value):
            raise ValueError(f"{attribute.name} is {shown(value)}; it must be at most {LARGEST:.1e}")

    return check


def _whole(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_count(value, 0):
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a whole number, 0 or more")


def _whole_from_1(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_count(value):
        raise ValueError(f"{attribute.name} is {shown(value)}; it must be a whole number, 1 or more")


def _limits(limits: object) -> tuple[Limit, ...]:
    if limits == ():
        return ()
    from .measures import check_limits  # few agents are measured

    return check_limits(limits)


def _id(_instance: Any, _attribute: Attribute[Any], value: str) -> None:
    check_id(value)


@frozen
class Grace:
    """Ask, wait at most `seconds` for the message in hand and `on_stop`, then cancel. `inf` waits for ever."""

    seconds: float = field(default=5.0, validator=_number(0))


@frozen
class BrutalKill:
    """Cancel at once, without asking; `on_stop` does not run."""


Shutdown: TypeAlias = Grace | BrutalKill
BRUTAL_KILL: Final = BrutalKill()


@frozen
class Intensity:
    """At most `max_restarts` restarts in any window of `within` seconds; one more and the supervisor gives up."""

    max_restarts: int = field(default=3, validator=_whole)
    within: float = field(default=5.0, validator=_number(0, open_low=True))


@frozen
class RestartBucket:
    """At most `holds` restarts at once in a whole tree, and one more every `every` seconds.

    So no window of w seconds sees more than `holds + w / every` of them; what is beyond that waits its turn (`Pace`).
    """

    holds: int = field(default=1000, validator=_whole_from_1)
    every: float = field(default=0.01, validator=_number(0, open_low=True, infinite=False))

    def describe(self) -> str:
        """`at most 1000 restarts at once in the whole tree, then one every 0.01 s`."""
        many = "1 restart" if self.holds == 1 else f"{self.holds} restarts"
        return f"at most {many} at once in the whole tree, then one every {self.every:g} s"


@frozen
class Backoff:
    """How long a restart waits: `first * factor ** (attempt - 1)` seconds, at most `most`, less a random share.

    `jitter` is the largest share taken off (1 is AWS "full jitter"). The attempt count starts again after
    the child has been stable for its `stable_after`. The defaults try again at once and then grow so fast that a child
    that fails alone never uses up the default intensity: it comes to the end of the ladder, not of the tree.
    """

    first: float = field(default=0.1, validator=_number(0, infinite=False))
    factor: float = field(default=8.0, validator=_number(1, infinite=False))
    most: float = field(default=30.0, validator=_number(0, infinite=False))
    jitter: float = field(default=0.25, validator=_number(0, infinite=False))

    def __attrs_post_init__(self) -> None:
        if self.jitter > 1:
            raise ValueError(f"jitter is {self.jitter!r}; it is a share, from 0 to 1")


NO_BACKOFF: Final = Backoff(first=0.0, most=0.0, jitter=0.0)


class Router(Protocol):
    """Which worker of a pool gets the next message. A value: `choose` returns its successor."""

    def choose(self, depths: Sequence[int | None], message: object) -> tuple[tuple[int, ...], Router]:
        """Pick workers by position. `depths` are mailbox depths, None for a worker that cannot take messages now.

        An empty choice means that nobody can take it.
        """
        ...


@frozen
class Shared:
    """Instead of a router: one queue at the pool's own address, from which its workers take when they are free."""


SHARED: Final = Shared()


@frozen
class Subscriber:
    """Who is told what a topic is told, and what happens when there is no room for it."""

    path: str
    """An agent, a pool or another topic, as seen from the topic: `./log` is below it, `../desk` beside it."""
    overflow: Overflow = Overflow.DROP_NEWEST
    """In place of the mailbox's own policy. Only `wait` lets a full mailbox hold up the publisher."""


@frozen(kw_only=True)
class ChildSpec:
    """One slot: which agent lives there, and what to do when it ends."""

    id: str = field(validator=_id)
    agent: Callable[..., Any]
    """The agent's class, or a function that returns an agent; called with `args` for every incarnation."""
    args: Mapping[str, Any] = field(factory=dict[str, Any])
    restart: RestartPolicy = RestartPolicy.PERMANENT
    shutdown: Shutdown = Grace()
    significant: bool = False
    mailbox: MailboxSpec = MailboxSpec()
    backoff: Backoff = Backoff()
    start_within: float = field(default=5.0, validator=_number(0, open_low=True))
    """Seconds that `on_start` may take."""
    progress_within: float | None = field(default=None, validator=optional(_number(0, open_low=True)))
    """Seconds without a settled message or a new progress token, while work is in hand, that are a hang.

    None: no limit.
    """
    loops: LoopLimit | None = None
    """From when calls that repeat themselves (`self.called(...)`) are a hang. None: they are not looked at."""
    overload: QueueLimit | None = None
    """From when its mailbox is overloaded, which is a signal to the supervisor. None: it is not looked at."""
    intake: IntakeLimit | None = None
    """How long messages may wait: the mailbox admits fewer where they wait longer, and slowly more again. None: it
    admits as many as it holds, and a throttle closes it for a while."""
    hibernate_after: float = field(default=10.0, validator=_number(0, open_low=True))
    """Seconds without a message or a tick after which it gives its task back, until the next one; up to twice as long.
    Infinity keeps the task. See `Agent.keeps_task`."""
    limits: tuple[Limit, ...] = field(default=(), converter=_limits)
    """Of what is measured of it: memory, latency, and what it spends (`MemoryLimit`, `LatencyLimit`, `BudgetLimit`)."""
    stable_after: float = field(default=10.0, validator=_number(0))
    """Seconds of life after which an incident is over and the backoff begins anew."""
    restarts: Intensity | None = None
    """A limit of this child's own, besides the supervisor's."""
    restore: Restore = Restore.LATEST
    variants: Mapping[str, Callable[..., Any]] = MappingProxyType[str, Callable[..., Any]]({})
    """Who may live here instead, by name and in this order: earlier code, a cheaper model. They take the same arguments
    and messages and have the same state."""
    retention: Retention = Retention()
    actions: Mapping[str, NamedAction] = field(default=NO_ACTIONS, converter=named_actions)
    """Actions of its own that policies and operators may have performed by their names, besides those that the
    supervisors above register."""
    uses: tuple[str, ...] = ()
    """Names of the dependencies that it shares with others (`api.example.com`)."""
    outlet: tuple[str, ...] = ()
    """Where the results of its handlers go, as paths seen from this slot (a stage of a pipeline)."""

    def __attrs_post_init__(self) -> None:
        if self.significant and self.restart is RestartPolicy.PERMANENT:
            raise ValueError(f"{self.id}: a permanent child cannot be significant; make it transient or temporary")


@frozen(kw_only=True)
class SupervisorSpec:
    """A supervisor and what is below it. It is itself a child of the supervisor above."""

    id: str = field(default="tree", validator=_id)
    children: tuple[ChildSpec | SupervisorSpec, ...] = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    restarts: Intensity = Intensity()
    restart_bucket: RestartBucket | None = RestartBucket()
    """At the root: how often anything in the whole tree may be restarted. None: as often as the intensities allow."""
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    actions: Mapping[str, NamedAction] = field(default=NO_ACTIONS, converter=named_actions)
    """Actions that may be performed by their names for everything below, and for this supervisor."""
    policy: Policy | None = None
    """What turns failures into decisions; None takes the policy of the supervisor above, at the root `ladder()`."""
    restart: RestartPolicy = RestartPolicy.PERMANENT
    shutdown: Shutdown = Grace(math.inf)
    significant: bool = False
    stable_after: float = field(default=10.0, validator=_number(0))
    router: Router | Shared | None = None
    """Makes the supervisor's own path an address: a message to it goes to the worker that the router chooses, or waits
    in a queue that the workers share."""
    entry: str | None = None
    """With a router: who below each child gets the messages that the child is chosen for, as a path seen from there.

    None: the child itself, which is an agent.
    """
    topic: tuple[Subscriber, ...] | None = None
    """Makes the supervisor's own path a topic: a message to it goes to all of these."""
    max_children: int | None = None
    """For a dynamic supervisor: how many children may run at once."""
    on_start: Callable[[Path], Awaitable[object]] | None = None
    """Called with the supervisor's path at every start, before its first child starts (OTP's `init`).

    Raise `Ignore` to stay away without being a failure; any other exception is a start that failed.
    """
    start_within: float = field(default=5.0, validator=_number(0, open_low=True))
    """Seconds that `on_start` may take."""

    def __attrs_post_init__(self) -> None:
        if self.significant and self.restart is RestartPolicy.PERMANENT:
            raise ValueError(f"{self.id}: a permanent child cannot be significant; make it transient or temporary")


Spec: TypeAlias = ChildSpec | SupervisorSpec


def are_makers(value: object) -> bool:
    """Whether these can be `variants`: what makes an agent, by name."""
    if not isinstance(value, Mapping):
        return False
    return all(isinstance(name, str) and callable(make) for name, make in cast("Mapping[Any, Any]", value).items())


def is_policy(value: object) -> bool:
    """Whether this can be a `policy`, or None."""
    return value is None or (not isinstance(value, type) and callable(getattr(value, "propose", None)))


def made_from(template: Spec, id: str, args: Mapping[str, Any]) -> Spec:
    """The spec of a dynamic child: the template under an id of its own, with `args` besides the template's."""
    if isinstance(template, ChildSpec):
        return evolve(template, id=id, args={**template.args, **args})
    return evolve(template, id=id)


def slots_of(spec: Spec) -> tuple[bool, bool]:
    """What decides which slots there are at a path and below it, and of which class."""
    return isinstance(spec, SupervisorSpec), isinstance(spec, SupervisorSpec) and isinstance(spec.router, Shared)
