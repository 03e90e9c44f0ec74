"""Every exception of treewarden.

```
TreewardenError
├── ConfigurationError (ValueError)      a spec, blueprint or message class that cannot work
├── DeliveryError                        a message that did not arrive, or whose reply did not
│   ├── NoSuchSlot                       nothing has this path
│   ├── AgentStopped                     the slot ended for good
│   ├── AgentFailed                      the handler raised, or its incarnation ended
│   ├── AskTimeout (TimeoutError)        no reply within the limit
│   ├── AskCycle                         the chain of asks came back on itself
│   ├── ForwardCycle                     an ask was handed on in a circle
│   ├── MailboxFull                      refused, or no room for a call that cannot wait
│   ├── NotHandled (TypeError)           the agent has no handler for this type
│   ├── DurabilityError                  a synchronous tell to an agent that must wait for the disk
│   ├── IntakeClosed                     the receiver is being drained
│   ├── QuorumMissed                     too few of those that were asked can still reply
│   └── ReplayRefused                    a dead letter that cannot be put back into its mailbox
├── SupervisionError                     a call to a supervisor that it refuses
│   ├── AlreadyStarted · AlreadyPresent · NotFound · StillRunning · StillRestarting · IsDynamic
│   ├── SupervisorGone                   it does not run, or ended before it answered
│   ├── NoSuchAction                     none is registered under this name
│   ├── CheckpointRefused · AlreadyRuled nothing to keep or to go back to · an approval that has ended
│   └── StartFailed                      on_start raised, ended, or took too long
├── InDoubt · WaitExpired                an effect of which nobody knows whether it was done · no event in time
├── ProcessError                         about the process of an agent that has one
│   ├── ProcessDied                      it ended, by itself or by a signal
│   └── CallFailed                       the function that runs in it raised
├── TreeFailed                           the root gave up; holds the exception group
├── WrongThread (RuntimeError)           a call that waits for the loop, from the loop's own thread
└── JournalError
    ├── JournalOwned                     another process owns the file
    ├── EpochLost                        this process no longer owns the file; nothing was written
    ├── CommitFailed                     nothing of the transaction was kept
    ├── UnknownKind                      stored data that the code at hand cannot read
    └── JournalDamaged                   the file is not what was written
```

`Stop`, `Ignore`, `RateLimited`, `Stash` and `NotDone` are raised *by* agents to say something; they are not errors of
treewarden. Nor is `Parked` (a `BaseException`), which unwinds a handler that waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .core.exit import Exit, Failure
from .core.path import Path

__all__ = [
    "AgentFailed",
    "AgentStopped",
    "AlreadyPresent",
    "AlreadyRuled",
    "AlreadyStarted",
    "AskCycle",
    "AskTimeout",
    "CallFailed",
    "CheckpointRefused",
    "CommitFailed",
    "ConfigurationError",
    "DeliveryError",
    "DurabilityError",
    "EpochLost",
    "ForwardCycle",
    "Ignore",
    "InDoubt",
    "IntakeClosed",
    "IsDynamic",
    "JournalDamaged",
    "JournalError",
    "JournalOwned",
    "MailboxFull",
    "NoSuchAction",
    "NoSuchSlot",
    "NotDone",
    "NotFound",
    "NotHandled",
    "Parked",
    "ProcessDied",
    "ProcessError",
    "QuorumMissed",
    "RateLimited",
    "ReplayRefused",
    "StartFailed",
    "Stash",
    "StillRestarting",
    "StillRunning",
    "Stop",
    "SupervisionError",
    "SupervisorGone",
    "TreeFailed",
    "TreewardenError",
    "UnknownKind",
    "WrongThread",
]


class TreewardenError(Exception):
    """Root of all errors of treewarden."""


class ConfigurationError(TreewardenError, ValueError):
    """A value given by the user cannot work; the text names the path, the value and the remedy."""


class DeliveryError(TreewardenError):
    """A message did not arrive, or its reply did not. `path` is the receiver."""

    def __init__(self, text: str, *, path: Path, retry_safe: bool = False) -> None:
        super().__init__(text)
        self.path = path
        self.retry_safe = retry_safe
        """True where the handler certainly did not run, or nothing of its run was kept."""


class NoSuchSlot(DeliveryError):
    """Nothing in the tree has this path."""


class AgentStopped(DeliveryError):
    """The slot ended for good (finished, stopped, terminated); its mailbox went to the dead letters.

    `retry_safe` unless it ended while it handled this very message.
    """

    def __init__(self, text: str, *, path: Path, exit: Exit | None = None, retry_safe: bool = True) -> None:
        super().__init__(text, path=path, retry_safe=retry_safe)
        self.exit = exit


class AgentFailed(DeliveryError):
    """The handler of this ask raised, or its incarnation ended while it ran. Nothing of it was settled."""

    def __init__(self, path: Path, failure: Failure, *, retry_safe: bool = False) -> None:
        super().__init__(f"{path}: {failure}", path=path, retry_safe=retry_safe)
        self.failure = failure


class AskTimeout(DeliveryError, TimeoutError):
    """No reply within the limit. The message may still be handled unless `retry_safe`; a late reply is dropped."""


class AskCycle(DeliveryError):
    """Asking would wait for itself: the text names every slot of the cycle."""


class ForwardCycle(DeliveryError):
    """An ask was handed on in a circle again and again (`Agent.forward`): the text names every agent of it."""


class MailboxFull(DeliveryError):
    """The mailbox has no room and its policy, or the synchronous call, does not wait."""


class NotHandled(DeliveryError, TypeError):
    """The agent has no handler for the message's type; the text lists what it handles."""


class DurabilityError(DeliveryError):
    """The message could not wait for the disk: `tell_nowait` to an agent of durability `message` (use `tell`), or a
    `tell` during which the disk took nothing."""


class IntakeClosed(DeliveryError):
    """The slot takes no new messages from outside of `scope`, which is being drained; what waits is still handled."""

    def __init__(self, text: str, *, path: Path, scope: Path) -> None:
        super().__init__(text, path=path, retry_safe=True)
        self.scope = scope


class QuorumMissed(DeliveryError):
    """So many of those that were asked have failed that the rest are fewer than the quorum. `path` failed last.

    The handlers of those that were still asked may run all the same.
    """

    def __init__(
        self, text: str, *, path: Path, replies: Mapping[Path, Any], failures: Mapping[Path, TreewardenError]
    ) -> None:
        super().__init__(text, path=path)
        self.replies = replies
        """What had come by then."""
        self.failures = failures
        """Who failed, and with what."""


class ReplayRefused(DeliveryError):
    """A dead letter that cannot be put back; the text says why. Nothing has changed."""


class SupervisionError(TreewardenError):
    """A supervisor refuses a call. `path` is the slot that was named."""

    def __init__(self, text: str, *, path: Path) -> None:
        super().__init__(text)
        self.path = path


class AlreadyStarted(SupervisionError):
    """A child with this id runs (OTP: `already_started`). The new spec was discarded."""


class AlreadyPresent(SupervisionError):
    """A child with this id exists and does not run (OTP: `already_present`). The new spec was discarded."""


class NotFound(SupervisionError):
    """The supervisor has no such child (OTP: `not_found`)."""


class NoSuchAction(SupervisionError):
    """No action is registered under this name, for the child or above it."""


class StillRunning(SupervisionError):
    """The child runs; terminate it first (OTP: `running`)."""


class StillRestarting(SupervisionError):
    """The child waits for its next start; terminate it first (OTP: `restarting`)."""


class IsDynamic(SupervisionError):
    """The call makes no sense on a dynamic supervisor (OTP: `simple_one_for_one`)."""


class SupervisorGone(SupervisionError):
    """The supervisor does not run, or ended before it answered (OTP: `noproc`, or its exit reason)."""

    def __init__(self, text: str, *, path: Path, exit: Exit | None = None) -> None:
        super().__init__(text, path=path)
        self.exit = exit
        """How it ended while the call waited; None if it did not run in the first place."""


class CheckpointRefused(SupervisionError):
    """There is no state to keep, or the checkpoint to go back to is not there; the text says which are."""


class AlreadyRuled(SupervisionError):
    """A ruling that does not count: the approval has ended, and the text says how. Nothing has changed."""


class StartFailed(SupervisionError):
    """A child did not start. `failure` says why; children started before it by the same call were stopped."""

    def __init__(self, path: Path, failure: Failure) -> None:
        super().__init__(f"{path} did not start: {failure}", path=path)
        self.failure = failure


class InDoubt(TreewardenError):
    """An effect has begun and nobody knows whether it was done, so it is not run a second time: its agent is held until
    a person says what came of it (`Tree.answer`), and its message waits. A handler that catches this and returns has
    settled without knowing."""

    def __init__(self, text: str, *, path: Path, name: str, key: str, since: float) -> None:
        super().__init__(text)
        self.path = path
        self.name = name
        """Of the effect."""
        self.key = key
        """By which the outside knows it."""
        self.since = since
        """When it began, in wall seconds since 1970."""


class ProcessError(TreewardenError):
    """Something about the process of an agent that has one."""


class ProcessDied(ProcessError):
    """The process of an agent ended, by itself or by a signal: `returncode` is minus the signal then."""

    def __init__(self, text: str, *, returncode: int | None = None) -> None:
        super().__init__(text)
        self.returncode = returncode


class CallFailed(ProcessError):
    """The function that runs in the process of an agent raised; `trace` is its traceback there."""

    def __init__(self, text: str, *, trace: str = "") -> None:
        super().__init__(text)
        self.trace = trace


class TreeFailed(TreewardenError):
    """The root supervisor gave up. `reason` says why in a sentence; `group` holds the exceptions that led there."""

    def __init__(self, reason: str, group: BaseExceptionGroup[BaseException] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.group = group


class WrongThread(TreewardenError, RuntimeError):
    """A call that waits for the loop came from the thread in which that runs. Nothing was done; the text says what to
    call there."""


class JournalError(TreewardenError):
    """Something about the journal. The text names the file."""


class JournalOwned(JournalError):
    """Another process owns the file. The sentence names host, process and epoch."""


class EpochLost(JournalError):
    """This process no longer owns the file: its epoch is not current. Nothing was written, nothing will be."""


class CommitFailed(JournalError):
    """The transaction was not kept, which was checked by reading back. The work can be tried again."""

    refuses_all: bool = False
    """The disk or the database takes nothing at the moment; it is not about this transaction."""


class UnknownKind(JournalError):
    """Stored data of a kind or version that the code at hand cannot read. The data is left as it is."""


class JournalDamaged(JournalError):
    """The file does not hold what was written. The text names the sequence number and what is wrong with it."""


class Stop(Exception):
    """Raised in an agent: end this incarnation in order. Without a reason it has *finished* (OTP's `normal`)."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or "finished")
        self.reason = reason


class Ignore(Exception):
    """Raised in `on_start`: there is nothing to do here, do not start me and do not call it a failure.

    Until somebody starts it again (`restart_child`, or its group), its slot is down as after an end: tells and asks
    raise `AgentStopped`, and what waited becomes dead letters, which `replay` puts back."""


class Stash(Exception):
    """Raised in a handler: put the message in hand aside; `self.unstash()` brings it back. What the handler did is
    dropped, and it is no failure."""


class Parked(BaseException):
    """Raised in a handler by a wait that is not over: unwinds it, so that its message can be parked. `finally` blocks
    run; a handler that catches it and goes on settles nothing: that is a `ConfigurationError`."""

    def __init__(self, step: str) -> None:
        super().__init__(f"{step} waits; let this out of the handler")
        self.step = step
        """The id of the wait."""


class RateLimited(Exception):
    """Raised in a handler or worker: the other side asked us to slow down. It throttles, it never counts as a crash."""

    def __init__(self, after: float | None = None, text: str = "") -> None:
        super().__init__(text or (f"rate limited for {after:g} s" if after is not None else "rate limited"))
        self.after = after
        """Seconds to wait (Retry-After), if they were given."""


class NotDone(Exception):
    """Raised in the call of an effect, or said or raised by its `verify`: it certainly was not done, nor will be."""
