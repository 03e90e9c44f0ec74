"""The faults that may be asked for, one function each: `kill("pool/*", rate=0.5)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypedDict, Unpack

from ..core.faults import Family, Fault

__all__ = [
    "NAMES", "Maker",
    "bad_version", "cancel", "clock_jump", "clock_skew", "corrupt_checkpoint", "crash", "decision_crash", "delay",
    "dependency_down", "dependency_slow", "deploy", "disk_full", "disk_locked", "double_approval", "drain", "drop",
    "duplicate", "every_fault", "full_context", "hang", "io_error", "kill", "kill_in_mid_restart", "kill_supervisor",
    "leak", "lost_ack", "malformed", "poison", "rate_limited", "reorder", "server_error", "slow", "stale_checkpoint",
    "stream_cut", "stubborn", "suspend", "tool_loop", "torn_write",
]  # fmt: skip


Maker: TypeAlias = "Callable[..., Fault]"


class Often(TypedDict, total=False):
    """How much of it."""

    rate: float
    """How often a second, on average (0.2)."""
    budget: int
    """At most so often in one run (3)."""


# -- the process, and one agent in it


def kill(target: str = "*", **often: Unpack[Often]) -> Fault:
    """An agent is cancelled where it stands."""
    return Fault("kill", Family.PROCESS, target, **often)


def crash(*, down: float = 1.0, **often: Unpack[Often]) -> Fault:
    """The process dies as by `kill -9`; another one follows after `down` seconds."""
    return Fault("crash", Family.PROCESS, knobs={"down": down}, **often)


def hang(target: str = "*", *, seconds: float = 600.0, **often: Unpack[Often]) -> Fault:
    """The next handler does not come back for that long. It can be cancelled."""
    return Fault("hang", Family.PROCESS, target, knobs={"seconds": seconds}, **often)


def slow(seconds: float = 5.0, target: str = "*", **often: Unpack[Often]) -> Fault:
    """The next handler takes that much longer."""
    return Fault("slow", Family.PROCESS, target, knobs={"seconds": seconds}, **often)


def stubborn(target: str = "*", *, seconds: float = 20.0, **often: Unpack[Often]) -> Fault:
    """The next handler takes that long and cannot be cancelled: a child that will not die."""
    return Fault("stubborn", Family.PROCESS, target, knobs={"seconds": seconds}, **often)


def leak(target: str = "*", *, grows: float = 64.0, limit: float = 512.0, **often: Unpack[Often]) -> Fault:
    """Each life of an agent takes `grows` MiB a second more, until it is quiet. A probe reports it from half of `limit`
    on (`memory`); at the limit the system ends the process. A new life begins with little."""
    return Fault("leak", Family.PROCESS, target, knobs={"grows": grows, "limit": limit}, **often)


# -- messages. The first four strike mailboxes in memory only: durable ones promise that they cannot


def drop(target: str = "*", **often: Unpack[Often]) -> Fault:
    """The next message to a mailbox in memory is lost."""
    return Fault("drop", Family.MESSAGE, target, **often)


def duplicate(target: str = "*", **often: Unpack[Often]) -> Fault:
    """The next message to a mailbox in memory comes twice."""
    return Fault("duplicate", Family.MESSAGE, target, **often)


def delay(seconds: float = 2.0, target: str = "*", **often: Unpack[Often]) -> Fault:
    """The next message to a mailbox in memory comes later."""
    return Fault("delay", Family.MESSAGE, target, knobs={"seconds": seconds}, **often)


def reorder(target: str = "*", **often: Unpack[Often]) -> Fault:
    """The next message to a mailbox in memory comes behind those that wait with it."""
    return Fault("reorder", Family.MESSAGE, target, **often)


def poison(target: str = "*", **often: Unpack[Often]) -> Fault:
    """The next message fails its handler, each time that it is delivered."""
    return Fault("poison", Family.MESSAGE, target, **often)


# -- the disk


def disk_full(*, times: int = 3, **often: Unpack[Often]) -> Fault:
    """So many commits find no room."""
    return Fault("full", Family.STORAGE, knobs={"times": times}, **often)


def disk_locked(*, times: int = 2, **often: Unpack[Often]) -> Fault:
    """So many commits find the database locked."""
    return Fault("locked", Family.STORAGE, knobs={"times": times}, **often)


def io_error(*, times: int = 1, **often: Unpack[Often]) -> Fault:
    """So many commits fail with EIO, and are not kept."""
    return Fault("io_error", Family.STORAGE, knobs={"times": times}, **often)


def lost_ack(*, times: int = 1, **often: Unpack[Often]) -> Fault:
    """So many commits fail with EIO although they are kept."""
    return Fault("lost_ack", Family.STORAGE, knobs={"times": times}, **often)


def torn_write(**often: Unpack[Often]) -> Fault:
    """The power goes in the middle of a commit: its log is torn, SQLite recovers what is left of it, all or nothing,
    and the process is gone."""
    return Fault("torn_write", Family.STORAGE, **often)


def corrupt_checkpoint(target: str = "*", **often: Unpack[Often]) -> Fault:
    """The kept checkpoints of a slot cannot be read any more; its current state can."""
    return Fault("corrupt_checkpoint", Family.STORAGE, target, **often)


def stale_checkpoint(target: str = "*", **often: Unpack[Often]) -> Fault:
    """The kept checkpoints of a slot all hold what the oldest holds."""
    return Fault("stale_checkpoint", Family.STORAGE, target, **often)


# -- time


def clock_jump(seconds: float = 3600.0, **often: Unpack[Often]) -> Fault:
    """The wall clock is set, forwards or backwards."""
    return Fault("clock_jump", Family.TIME, knobs={"seconds": seconds}, **often)


def clock_skew(factor: float = 1.05, **often: Unpack[Often]) -> Fault:
    """The wall clock runs fast or slow until it is quiet."""
    return Fault("clock_skew", Family.TIME, knobs={"factor": factor}, **often)


def suspend(seconds: float = 120.0, **often: Unpack[Often]) -> Fault:
    """The machine sleeps that long: everything that was due meanwhile is due at once."""
    return Fault("suspend", Family.TIME, knobs={"seconds": seconds}, **often)


# -- dependencies, by their names


def dependency_down(name: str = "*", *, lasts: float = 5.0, **often: Unpack[Often]) -> Fault:
    """Calls are refused for a while."""
    return Fault("dependency_down", Family.DEPENDENCY, name, knobs={"lasts": lasts, "times": 1_000_000}, **often)


def dependency_slow(name: str = "*", *, seconds: float = 3.0, lasts: float = 5.0, **often: Unpack[Often]) -> Fault:
    """Calls take so much longer for a while."""
    knobs = {"seconds": seconds, "lasts": lasts, "times": 1_000_000}
    return Fault("dependency_slow", Family.DEPENDENCY, name, knobs=knobs, **often)


def rate_limited(name: str = "*", *, retry_after: float = 2.0, times: int = 2, **often: Unpack[Often]) -> Fault:
    """So many calls get a 429 with Retry-After."""
    return Fault("rate_limited", Family.DEPENDENCY, name, knobs={"retry_after": retry_after, "times": times}, **often)


def server_error(name: str = "*", *, status: int = 503, times: int = 1, **often: Unpack[Often]) -> Fault:
    """So many calls get a 5xx."""
    return Fault("server_error", Family.DEPENDENCY, name, knobs={"status": status, "times": times}, **often)


def malformed(name: str = "*", *, times: int = 1, **often: Unpack[Often]) -> Fault:
    """So many calls get something that was not asked for."""
    return Fault("malformed", Family.DEPENDENCY, name, knobs={"times": times}, **often)


def stream_cut(name: str = "*", **often: Unpack[Often]) -> Fault:
    """The next stream ends before it is complete."""
    return Fault("stream_cut", Family.DEPENDENCY, name, **often)


# -- what agents do to themselves


def tool_loop(target: str = "*", *, seconds: float = 120.0, every: float = 0.5, **often: Unpack[Often]) -> Fault:
    """The next handler goes round in circles for that long: the same calls with the same results (`Agent.called`), and
    progress that looks like some."""
    return Fault("tool_loop", Family.AGENT, target, knobs={"seconds": seconds, "every": every}, **often)


def full_context(target: str = "*", *, share: float = 1.0, **often: Unpack[Often]) -> Fault:
    """Something fills so much of the window that the agent's conversation with a model has (`outside.model`): what it
    asks next is refused with `ContextFull`, until it makes the conversation shorter or begins a new life."""
    return Fault("full_context", Family.AGENT, target, knobs={"share": share}, **often)


def bad_version(target: str = "*", *, times: int = 1, **often: Unpack[Often]) -> Fault:
    """So many starts of agents with an `on_start` fail."""
    return Fault("bad_version", Family.AGENT, target, knobs={"times": times}, **often)


# -- operators


def cancel(target: str = "*", **often: Unpack[Often]) -> Fault:
    """A slot is stopped by an operator, and started again."""
    return Fault("cancel", Family.OPERATOR, target, **often)


def drain(target: str = "*", **often: Unpack[Often]) -> Fault:
    """A slot is drained by an operator, and started again."""
    return Fault("drain", Family.OPERATOR, target, **often)


def deploy(target: str = "*", **often: Unpack[Often]) -> Fault:
    """The code of a slot is replaced by a reload, as another version of it; processes that come later run that, too."""
    return Fault("deploy", Family.OPERATOR, target, **often)


def double_approval(target: str = "*", **often: Unpack[Often]) -> Fault:
    """Two operators let a slot go on at the same time, whether it was held or not."""
    return Fault("double_approval", Family.OPERATOR, target, **often)


# -- the supervisors themselves


def kill_supervisor(target: str = "*", **often: Unpack[Often]) -> Fault:
    """A supervisor below the root is killed."""
    return Fault("kill_supervisor", Family.SUPERVISOR, target, **often)


def kill_in_mid_restart(**often: Unpack[Often]) -> Fault:
    """A supervisor below the root is killed right after it has decided about a child: while it restarts that."""
    return Fault("kill_in_mid_restart", Family.SUPERVISOR, **often)


def decision_crash(target: str = "*", **often: Unpack[Often]) -> Fault:
    """The policy of a supervisor raises in the middle of a decision."""
    return Fault("decision_crash", Family.SUPERVISOR, target, **often)


def every_fault(**often: Unpack[Often]) -> list[Fault]:
    """One of each kind, as it comes without arguments."""
    makers: list[Maker] = [globals()[name] for name in NAMES]
    return [make(**often) for make in makers]


NAMES = tuple(name for name in __all__ if name not in ("Maker", "NAMES", "every_fault"))
"""What there is, as `--faults` takes it."""
