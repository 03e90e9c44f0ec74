"""grid(): cases by enumeration, so that a rule table can be checked before it decides anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product
from typing import Final

from attrs import evolve

from treewarden.agents.core.exit import KILLED, Failed, Failure, Finished, Stopped
from treewarden.agents.core.path import Path

from .action import Action, Break, Restart, Resume, RollBack, SetAside, Throttle
from .case import Case, counts
from .history import NO_RESTARTS, RestartHistory
from .incident import Incident, join, judge, note, open_incident, verdict
from .incident_events import Outcome
from .signal import (
    ActionFailed,
    ChildExited,
    Overloaded,
    RateLimitReached,
    Reported,
    RestartFailed,
    Signal,
    Stalled,
)
from .spec import ChildSpec, Intensity, Spec, SupervisorSpec
from .symptom import label_of
from .window import Window

__all__ = ["grid", "pressed"]

_PATH: Final = Path("desk/a")
_CHILD: Final = ChildSpec(id="a", agent=object, variants={"before": object})
_BELOW: Final = SupervisorSpec(id="a")
_TYPES: Final = ("ValueError", "TypeError", "json.JSONDecodeError", "ConnectionError", "TimeoutError", "MemoryError")
# What has been tried in the incident before. A policy may meet attempts that it would not make itself.
_TRIED: Final[tuple[tuple[Action, ...], ...]] = (
    (),
    *((Restart(),) * times for times in (1, 2, 3, 6, 10)),
    *((SetAside("m"),) * times for times in (1, 3)),
    *((Break("api", 5.0),) * times for times in (1, 3)),
    *((Throttle(1.0),) * times for times in (1, 3, 4)),
    (*(Throttle(1.0),) * 4, *(Break("api", 5.0),) * 3),
    *(tuple(RollBack(steps) for steps in range(1, most + 1)) for most in (1, 2, 3)),
    (Resume(), Resume()),
)
_NEIGHBOURS: Final = (
    (1, 5, False, False), (1, 5, True, False), (3, 5, False, False), (12, 50, False, False), (1, 5, False, True),
)  # fmt: skip
"""So many of so many siblings show the same; whether the code changed lately; whether this is the last restart that the
limit allows."""
_SIBLINGS: Final = ("a", *(f"s{place}" for place in range(1, max(of for _, of, _, _ in _NEIGHBOURS))))
_LATELY: Final = 60.0
_WORD: Final = "slow"
_INTENSITY: Final = Intensity(1000, 3600.0)
_FAILED: Final = (0, 1, 2, 4, 6)
_USED: Final = (0, 500, 999)
_BESIDE: Final = (1, 3, 5)
_MOST_ALIKE: Final = max(*_BESIDE, *(alike for alike, _, _, _ in _NEIGHBOURS))


def grid(wanted: Callable[[Signal], bool] = lambda _: True, word: str = _WORD) -> Iterator[Case]:
    """Some thousand cases: each kind of signal that is wanted, after each history of attempts, beside siblings, with
    checkpoints. `word` is that of reports, and of actions that did not succeed.

    Their incidents are grown by the functions that grow real ones, so a row that answers none of them is not only
    unlikely. Risk is as read; `check_rules` varies it.
    """
    signals = [(signal, spec) for signal, spec in _signals(word) if wanted(signal)]
    for signal, spec in signals:
        windows = _windows(signal)  # the same after each history
        for tried, one_message in product(_TRIED, (True, False)):
            incident = _grown(signal, tried, one_message=one_message)
            for (alike, of, changed, last), checkpoints in product(_NEIGHBOURS, (0, 2)):
                yield Case(
                    signal=signal,
                    spec=spec,
                    siblings=_SIBLINGS[:of],
                    incident=incident,
                    window=windows[alike],
                    history=_LAST if last else NO_RESTARTS,
                    checkpoints=checkpoints,
                    now=signal.at,
                    code_changed_at=signal.at - _LATELY if changed else None,
                )


def pressed(wanted: Callable[[Signal], bool], word: str = _WORD) -> Iterator[Case]:
    """Cases under all kinds of pressure, so that each risk is met that the wanted signals can come with (`risks_of`):
    after crashes that nothing helped against, with restarts nearly used up, beside siblings in the same trouble. Of
    each signal the least pressed come first.
    """
    signals = [(signal, spec) for signal, spec in _signals(word) if wanted(signal)]
    for signal, spec in signals:
        windows = _windows(signal)
        for failed in _FAILED:
            incident = _after_crashes(signal, failed)
            for used, alike in product(_USED, _BESIDE):
                yield Case(
                    signal=signal,
                    spec=spec,
                    siblings=_SIBLINGS[: max(_BESIDE)],
                    incident=incident,
                    window=windows[alike],
                    history=_restarts(used + counts(signal, spec)),
                    intensity=_INTENSITY,
                    checkpoints=2,
                    now=signal.at,
                )


def _after_crashes(signal: Signal, times: int) -> Incident:
    """The incident in which so many restarts were followed by a crash before `signal` came."""
    if not times:
        return open_incident("i", signal)
    crash = _exited(Failed(Failure("ValueError", fingerprint="other")), 5, 0)
    first = signal.at - times - 1
    incident = open_incident("i", evolve(crash, at=first))
    for turn, again in enumerate([*(evolve(crash, at=first + turn) for turn in range(1, times + 1)), signal]):
        incident = note(incident, Restart(), first + turn + 0.5, kind=label_of(crash))
        incident, _ = judge(incident, verdict(incident, again) or Outcome.UNOBSERVED, again.at)
        incident = join(incident, again)
    return incident


@cache
def _restarts(count: int, intensity: Intensity = _INTENSITY) -> RestartHistory:
    history = NO_RESTARTS
    for _ in range(count):
        history = history.noted(100.0, intensity)
    return history


_LAST: Final = _restarts(Intensity().max_restarts, Intensity())


def _signals(word: str) -> Iterator[tuple[Signal, Spec]]:
    for kind, message, settled in product(_TYPES, ("m", None), (0, 5)):
        failure = Failure(kind, fingerprint=kind, message=message)
        for deliveries in (1, 2) if message else (0,):
            yield _exited(Failed(failure), settled, deliveries), _CHILD
        yield RestartFailed(path=_PATH, at=100.0, failure=failure), _CHILD
    for exit in (KILLED, Finished(), Stopped()):
        yield _exited(exit, 5, 0), _CHILD
    yield _exited(Stopped("intensity"), 0, 0), _BELOW
    yield RateLimitReached(path=_PATH, at=100.0), _CHILD
    yield RateLimitReached(path=_PATH, at=100.0, after=7.0), _CHILD
    yield Stalled(path=_PATH, at=100.0, idle=60.0, limit=30.0), _CHILD
    for depth in (4, 60, 64):
        yield Overloaded(path=_PATH, at=100.0, depth=depth, capacity=64), _CHILD
    for down in (False, True):
        yield ActionFailed(path=_PATH, at=100.0, action=word, down=down), _CHILD
    for severity in (0.0, 0.3, 0.5, 0.7, 0.9, 1.0):
        yield Reported(path=_PATH, at=100.0, kind=word, severity=severity), _CHILD


def _exited(exit: Failed | Finished | Stopped, settled: int, deliveries: int) -> ChildExited:
    return ChildExited(path=_PATH, at=100.0, exit=exit, uptime=1.0, settled=settled, deliveries=deliveries)


def _grown(signal: Signal, tried: tuple[Action, ...], *, one_message: bool) -> Incident:
    """The incident that had `signal` again after each attempt, with the same message in hand or another each time."""
    first = signal.at - len(tried)
    incident = open_incident("i", _earlier(signal, first, 0, one_message=one_message))
    for turn, action in enumerate(tried, 1):
        again = _earlier(signal, first + turn, turn, one_message=one_message) if turn < len(tried) else signal
        incident = note(incident, action, again.at - 0.5, kind=label_of(signal))
        incident, _ = judge(incident, verdict(incident, again) or Outcome.UNOBSERVED, again.at)
        incident = join(incident, again)
    return incident


def _earlier(signal: Signal, at: float, turn: int, *, one_message: bool) -> Signal:
    match signal:
        case ChildExited(exit=Failed(failure=failure)) if failure.message and not one_message:
            return evolve(signal, at=at, exit=Failed(evolve(failure, message=f"{failure.message}{turn}")))
        case _:
            return evolve(signal, at=at)


def _windows(signal: Signal) -> Sequence[Window]:
    """What is known of the slots when the first none, one, two ... of the siblings have shown the same."""
    windows = [Window()]
    for name in _SIBLINGS[:_MOST_ALIKE]:
        windows.append(windows[-1].add(evolve(signal, path=_PATH.parent / name)))
    return windows
