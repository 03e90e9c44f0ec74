"""The policies that others are used to: otp(), kubernetes() and akka(). The default one is in `ladder.py`."""

from __future__ import annotations

from typing import Final

from treewarden.agents.core.exit import Failure
from treewarden.agents.core.values import frozen

from .action import Hold, Restart, Resume, Throttle, scope_of
from .case import Case
from .decision import FirstRestart
from .guards import Declined, Option, retry_after
from .history import delay
from .signal import ChildExited, RateLimitReached, RestartFailed, Signal, Stalled
from .spec import Backoff, ChildSpec, Strategy

__all__ = ["Akka", "Kubernetes", "Otp", "akka", "kubernetes", "otp"]

_RESTARTED: Final = (ChildExited, RestartFailed, Stalled)
_AT_ONCE: Final = {
    strategy: (
        Option(
            Restart(scope_of(strategy)),
            "restart",
            "OTP restarts the declared group at once, whatever the reason",
            "the same again, until the intensity is exceeded",
        ),
    )
    for strategy in Strategy
}
_LET_LIVE: Final = (Option(Resume(), "no opinion", "this policy looks at ends of incarnations only", "nothing"),)
_SLOWER: Final = Backoff(first=1.0, factor=2.0, most=120.0, jitter=0.2)


def _throttled(case: Case) -> tuple[Option, ...]:
    """A rate limit is a throttle under every policy."""
    seconds = retry_after(case) or delay(_SLOWER, case.incident.tried("throttle") + 1, case.spread)
    return (Option(Throttle(seconds), "rate limited", "the other side asked for fewer calls", "a longer throttle"),)


@frozen
class Otp:
    """Erlang's rules: restart the declared group at once, count every restart, escalate over the intensity.

    It rolls nothing back and sets nothing aside; a mailbox still gives up a message that has used up its deliveries.
    A hang counts as an end, for OTP knows none. It knows no restart bucket of a whole tree either.
    """

    name: str = "otp"
    counts_alike: bool = False
    escalates: bool = True
    paced: bool = False
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        if isinstance(case.signal, _RESTARTED):
            return _AT_ONCE[case.strategy]
        return _throttled(case) if isinstance(case.signal, RateLimitReached) else _LET_LIVE

    def looks_back(self, signal: Signal) -> bool:
        return False

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()

    def first(self, failure: Failure) -> FirstRestart | None:
        return _first_restart


def _first_restart(spec: ChildSpec, strategy: Strategy, spread: float) -> Restart:
    action = _AT_ONCE[strategy][0].action
    assert isinstance(action, Restart)
    return action


@frozen
class Kubernetes:
    """The kubelet's rules: restart after 10 s, 20 s, … up to 300 s, begin anew after 600 s of life, never escalate.

    After `patience` failed attempts the slot is held, as a person would find it in `CrashLoopBackOff`; the kubelet
    itself goes on for ever. Figures: Kubernetes documentation, "Pod Lifecycle: container restarts".
    """

    patience: int = 10
    backoff: Backoff = Backoff(first=10.0, factor=2.0, most=300.0, jitter=0.0)
    name: str = "kubernetes"
    counts_alike: bool = False
    escalates: bool = False
    stable_after: float | None = 600.0

    def propose(self, case: Case) -> tuple[Option, ...]:
        if isinstance(case.signal, RateLimitReached):
            return _throttled(case)
        if not isinstance(case.signal, _RESTARTED):
            return _LET_LIVE
        failed = case.incident.failed
        if failed >= self.patience:
            question = f"{case.signal.path}: CrashLoopBackOff, {failed} attempts did not help. Start it again?"
            reason = f"{failed} restarts in a row did not help"
            return (Option(Hold(question), "crash loop", reason, "it stays down until a person decides"),)
        wait = delay(self.backoff, failed + 1, case.spread)
        reason = f"attempt {failed + 1} waits {wait:g} s"
        return (Option(Restart(scope_of(case.strategy), wait), "back off", reason, "restart after twice the time"),)

    def looks_back(self, signal: Signal) -> bool:
        return False

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return (Declined("hold", f"needs {self.patience} failed attempts"),) if case.down else ()


@frozen
class Akka:
    """Akka's `BackoffSupervisor`: restart after 3 s, 6 s, … up to 30 s and up to a fifth more, by chance.

    It begins anew once a life has lasted for the longest wait. After `retries` failed attempts Akka stops the child;
    here it is held, so that a person can start it. Figures: Akka documentation, "Fault tolerance: delayed restarts".
    """

    retries: int = 10
    backoff: Backoff = Backoff(first=3.0, factor=2.0, most=30.0, jitter=0.0)
    random_factor: float = 0.2
    name: str = "akka"
    counts_alike: bool = False
    escalates: bool = False
    stable_after: float | None = 30.0

    def propose(self, case: Case) -> tuple[Option, ...]:
        if isinstance(case.signal, RateLimitReached):
            return _throttled(case)
        if not isinstance(case.signal, _RESTARTED):
            return _LET_LIVE
        failed = case.incident.failed
        if failed >= self.retries:
            question = f"{case.signal.path}: {failed} restarts in a row did not help. Start it again?"
            reason = f"{failed} restarts in a row did not help, and no more are allowed"
            return (Option(Hold(question), "retries used up", reason, "it stays down until a person decides"),)
        wait = delay(self.backoff, failed + 1, 0.0) * (1.0 + self.random_factor * case.spread)
        reason = f"attempt {failed + 1} waits {wait:.3g} s"
        return (Option(Restart(scope_of(case.strategy), wait), "back off", reason, "restart after twice the time"),)

    def looks_back(self, signal: Signal) -> bool:
        return False

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return (Declined("hold", f"needs {self.retries} failed attempts"),) if case.down else ()


def otp() -> Otp:
    """Erlang/OTP's supervisor, as a policy."""
    return Otp()


def kubernetes() -> Kubernetes:
    """The kubelet's crash loop, as a policy."""
    return Kubernetes()


def akka() -> Akka:
    """Akka's supervisor with backoff, as a policy."""
    return Akka()
