"""Cases for the tests of the decision core: builders with defaults, and Hypothesis strategies for all of it."""

from __future__ import annotations

import math
from typing import Any

from attrs import frozen
from hypothesis import strategies as st

from treewarden.agents.core.durability import MailboxSpec
from treewarden.agents.core.exit import KILLED, Exit, Failed, Failure, Finished, Stopped
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.action import (
    Action,
    Break,
    Escalate,
    FallBack,
    Hold,
    Perform,
    Recycle,
    Restart,
    Resume,
    RollBack,
    Scope,
    SetAside,
    Stop,
    Throttle,
)
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.decision import Decision, Declined, Option, Policy, attempted, counted, decide
from treewarden.supervisor.core.history import RestartHistory
from treewarden.supervisor.core.incident import Incident, join, judge, note, open_incident, verdict
from treewarden.supervisor.core.incident_events import Outcome
from treewarden.supervisor.core.named import NamedAction
from treewarden.supervisor.core.signal import (
    ActionFailed,
    ChildExited,
    OperatorAsked,
    Overloaded,
    RateLimitReached,
    Recovered,
    Reported,
    RestartFailed,
    Signal,
    Stalled,
)
from treewarden.supervisor.core.spec import (
    Backoff,
    ChildSpec,
    Intensity,
    RestartPolicy,
    Restore,
    Spec,
    Strategy,
    SupervisorSpec,
)
from treewarden.supervisor.core.symptom import label_of
from treewarden.supervisor.core.window import Window

PATH = Path("desk/a")
SPEC = ChildSpec(id="a", agent=object, backoff=Backoff(first=1.0, factor=2.0, most=30.0, jitter=0.0))
PLENTY = Intensity(1000, 5.0)


def failed(kind: str = "ValueError", *, message: str | None = None, after: float | None = None) -> Failed:
    return Failed(Failure(kind, "unlucky", kind.lower(), "desk.py:12 in add", message, message and "Add", after=after))


def exited(
    exit: Exit | None = None,
    *,
    at: float = 100.0,
    path: Path = PATH,
    uptime: float = 1.0,
    settled: int = 0,
    deliveries: int = 0,
) -> ChildExited:
    ended = failed() if exit is None else exit
    return ChildExited(path=path, at=at, exit=ended, uptime=uptime, settled=settled, deliveries=deliveries)


def grown(*signals: Signal, actions: tuple[Action, ...] = ()) -> Incident:
    """The incident of these signals, with `actions` (Restart where none is left) taken between them."""
    incident = open_incident("i1", signals[0])
    for place, signal in enumerate(signals[1:]):
        action = actions[place] if place < len(actions) else Restart()
        incident = note(incident, action, signal.at, kind=label_of(signals[place]), confidence=0.5, model=0.5)
        incident, _ = judge(incident, verdict(incident, signal) or Outcome.UNOBSERVED, signal.at)
        incident = join(incident, signal)
    return incident


def case(*signals: Signal, actions: tuple[Action, ...] = (), **given: Any) -> Case:
    """The case of the last of these signals (a plain crash if there is none); those about siblings fill the window."""
    seen = signals or (exited(),)
    window = Window()
    for signal in seen:
        window = window.add(signal)
    spec: Spec = given.get("spec", SPEC)
    defaults: dict[str, Any] = {
        "signal": seen[-1],
        "spec": spec,
        "siblings": ("a", "b", "c", "d", "e"),
        "incident": grown(*[signal for signal in seen if signal.path == seen[-1].path], actions=actions),
        "window": window,
        "intensity": PLENTY,
        "now": seen[-1].at,
    }
    return Case(**{**defaults, **given})


class Tree:
    """A supervisor as far as decisions go: what a shell does between two signals, without running anything."""

    def __init__(self, policy: Policy, intensity: Intensity = PLENTY, spec: ChildSpec = SPEC, **given: Any) -> None:
        self.policy = policy
        self.intensity = intensity
        self.spec = spec
        self.given = given
        self.history = RestartHistory()
        self.child_histories: dict[str, RestartHistory] = {}
        self.incidents: dict[str, Incident] = {}
        self.window = Window()

    def meet(self, signal: Signal) -> Decision:
        name = signal.path.name
        incident = self.incidents.get(name)
        if incident is None:
            incident = open_incident(name, signal)
        else:
            if (outcome := verdict(incident, signal)) is not None:
                incident, _ = judge(incident, outcome, signal.at)
            incident = join(incident, signal)
        self.window = self.window.add(signal, self.spec.uses)
        own = self.child_histories.get(name, RestartHistory())
        self.history, own = counted(self.policy, signal, self.spec, self.intensity, self.history, own)
        self.child_histories[name] = own
        decision = decide(
            self.policy,
            Case(
                signal=signal,
                spec=self.spec,
                incident=incident,
                window=self.window,
                history=self.history,
                child_history=own,
                intensity=self.intensity,
                now=signal.at,
                **self.given,
            ),
        )
        self.incidents[name] = attempted(decision, signal.at)
        return decision


@frozen
class Wants:
    """A policy that proposes what it is told to, whatever the case."""

    actions: tuple[Action, ...]
    name: str = "wants"
    counts_alike: bool = True
    escalates: bool = True
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        return tuple(Option(action, f"rule {place}", "because") for place, action in enumerate(self.actions))

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return (Declined("hold", "nobody is there"),)


def answer(given: Case, *wanted: Action) -> Action:
    return decide(Wants(wanted), given).action


def answer_of(policy: Policy, given: Case) -> Action:
    """What a policy comes to do."""
    return decide(policy, given).action


def over(*, child: int = 0, tree: int = 0) -> dict[str, Any]:
    """Histories with so many restarts in their window."""
    return {"child_history": restarts(child), "history": restarts(tree)}


def restarts(count: int) -> RestartHistory:
    history = RestartHistory()
    for _ in range(count):
        history = history.noted(100.0, Intensity(count, 5.0))
    return history


# Strategies ------------------------------------------------------------------------------------------------------

amounts = st.floats(0, 1e6)
times = st.floats(0, 1e4)
waits = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
messages = st.sampled_from([None, "m1", "m2", "m3"])
kinds = st.sampled_from([
    "ValueError", "TypeError", "ConnectionError", "TimeoutError", "MemoryError", "json.JSONDecodeError", "Odd",
])  # fmt: skip


async def nothing(_occasion: object) -> None:
    """An action that a user has registered."""


failures = st.builds(
    Failure,
    kinds,
    text=st.sampled_from(["", "unlucky"]),
    fingerprint=st.sampled_from(["", "f1", "f2"]),
    message=messages,
    after=waits,
)
exits = st.one_of(
    st.just(KILLED),
    st.builds(Failed, failures),
    st.just(Finished()),
    st.builds(Stopped, st.sampled_from(["shutdown", "intensity"])),
)
paths = st.sampled_from([Path("desk/a"), Path("desk/b"), Path("desk/c")])


def signals(path: st.SearchStrategy[Path] = paths, at: st.SearchStrategy[float] = times) -> st.SearchStrategy[Signal]:
    words = st.sampled_from(["slow", "down", "restart", "roll_back", "stop", "hold", "recycle", "resume", "dance"])
    return st.one_of(
        st.builds(
            ChildExited,
            path=path,
            at=at,
            exit=exits,
            uptime=amounts,
            settled=st.integers(0, 3),
            deliveries=st.integers(0, 4),
        ),
        st.builds(RestartFailed, path=path, at=at, failure=failures),
        st.builds(RateLimitReached, path=path, at=at, after=waits, message=messages, failure=st.none() | failures),
        st.builds(Stalled, path=path, at=at, idle=amounts, limit=amounts),
        st.builds(Overloaded, path=path, at=at, depth=st.integers(0, 99), capacity=st.integers(0, 64), oldest=amounts),
        st.builds(Reported, path=path, at=at, kind=words, severity=st.floats(0, 1)),
        st.builds(Recovered, path=path, at=at, kind=words),
        st.builds(OperatorAsked, path=path, at=at, what=words),
        st.builds(ActionFailed, path=path, at=at, action=st.sampled_from(["warm_up", "check"]), down=st.booleans()),
    )


actions = st.one_of(
    st.just(Resume()),
    st.builds(Restart, st.sampled_from(list(Scope)), st.sampled_from([0.0, 2.5, -1.0, math.nan, math.inf])),
    st.builds(RollBack, st.integers(-1, 5)),
    st.builds(Throttle, st.sampled_from([0.0, 5.0, -1.0, math.nan])),
    st.builds(Break, st.sampled_from(["", "api"]), st.floats(0, 60)),
    st.builds(SetAside, st.sampled_from(["", "m1", "m2"])),
    st.builds(FallBack, st.sampled_from(["", "old", "older"]), st.sampled_from([0.0, 1.5, math.nan])),
    st.builds(Perform, st.sampled_from(["warm_up", "check", "nobody"]), st.sampled_from([0.0, 2.0, math.nan])),
    st.just(Recycle()),
    st.just(Hold("?")),
    st.just(Stop()),
    st.just(Escalate()),
)
intensities = st.builds(Intensity, st.integers(0, 4), st.floats(0.1, 20))
specs: st.SearchStrategy[Spec] = st.one_of(
    st.builds(
        ChildSpec,
        id=st.just("a"),
        agent=st.just(object),
        restart=st.sampled_from(list(RestartPolicy)),
        restore=st.sampled_from(list(Restore)),
        restarts=st.none() | intensities,
        variants=st.sampled_from([{}, {"old": object}]),
        actions=st.sampled_from([{}, {"warm_up": NamedAction(nothing, helps={"overload": 0.9})}]),
        uses=st.sampled_from([(), ("api",), ("api", "db")]),
        mailbox=st.builds(MailboxSpec, deliveries=st.integers(1, 3)),
    ),
    st.builds(SupervisorSpec, id=st.just("a"), restart=st.sampled_from(list(RestartPolicy))),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any case that valid parts can make, also ones that no shell would: the decision must be total."""
    name = draw(paths)
    history = draw(st.lists(signals(st.just(name)), min_size=1, max_size=8))
    taken = draw(st.lists(actions, max_size=8))
    intensity, own = draw(intensities), draw(intensities)
    restarts, child_restarts = RestartHistory(), RestartHistory()
    for at in sorted(draw(st.lists(times, max_size=6))):
        restarts = restarts.noted(at, intensity, "a")
        child_restarts = child_restarts.noted(at, own)
    window = Window()
    for signal in draw(st.lists(signals(), max_size=6)):
        window = window.add(signal)
    return Case(
        signal=history[-1],
        spec=draw(specs),
        strategy=draw(st.sampled_from(list(Strategy))),
        siblings=draw(st.sampled_from([(), ("a",), ("a", "b", "c"), tuple(f"s{i}" for i in range(30))])),
        incident=grown(*history, actions=tuple(taken)),
        window=window.add(history[-1]),
        history=restarts,
        child_history=child_restarts,
        intensity=intensity,
        checkpoints=draw(st.integers(0, 3)),
        now=history[-1].at,
        spread=draw(st.floats(0, 1, exclude_max=True)),
        code_changed_at=draw(st.none() | times),
        journal_ok=draw(st.booleans()),
        registered=draw(st.sampled_from([{}, {"check": NamedAction(nothing)}])),
    )
