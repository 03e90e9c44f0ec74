"""The rule table of adaptive-runtime 0.1 as it is shipped, for the race: its formulas, its thresholds, its rules.

Source: the package's context, confidence and decision modules. It advises and executes nothing, so its action names are
mapped to ours here, and an ended worker that it only wants watched is brought back after 10 s, 20 s, … as a platform
would. What it is known for is kept: confidence falls with the number of calls, no outcome is ever told to it, and two
of its rules ask for more confidence than its formula can give.
"""

from __future__ import annotations

import math
from typing import Final

from attrs import define, frozen

from treewarden.supervisor.core.action import Action, Break, FallBack, Hold, Restart, Resume, Throttle
from treewarden.supervisor.core.case import Case
from treewarden.supervisor.core.guards import Declined, Option, retry_after
from treewarden.supervisor.core.history import delay
from treewarden.supervisor.core.spec import Backoff
from treewarden.supervisor.core.symptom import Symptom

__all__ = ["AsShipped", "Event", "confidence", "pressure", "rule", "to_event"]

_WAITS: Final = Backoff(first=10.0, factor=2.0, most=300.0, jitter=0.0)
_THROTTLES: Final = Backoff(first=10.0, factor=2.0, most=120.0, jitter=0.0)
_CONTEXTS: Final = {
    "service_overload": "resource_pressure",
    "memory_leak": "resource_pressure",
    "anomaly_detected": "anomaly_signal",
    "timeout": "latency_issue",
    "recovery_needed": "self_healing",
    "degraded_service": "service_degradation",
}
_RULES: Final[tuple[tuple[str, str, float, str], ...]] = (
    ("resource_pressure", "critical", 0.0, "scale_up_immediate"),
    ("resource_pressure", "high", 0.70, "restart_service"),
    ("resource_pressure", "high", 0.0, "throttle_requests"),
    ("resource_pressure", "medium", 0.0, "optimize_resources"),
    ("anomaly_signal", "critical", 0.0, "isolate_component"),
    ("anomaly_signal", "high", 0.65, "rollback_deployment"),
    ("anomaly_signal", "high", 0.0, "increase_monitoring"),
    ("anomaly_signal", "", 0.0, "flag_for_review"),
    ("latency_issue", "high", 0.0, "optimize_query"),
    ("latency_issue", "", 0.0, "cache_warmup"),
    ("self_healing", "", 0.0, "run_recovery"),
    ("service_degradation", "high", 0.0, "circuit_breaker_open"),
    ("service_degradation", "", 0.0, "health_check"),
)
_WEIGHTS: Final = {"low": 1.0, "medium": 0.9, "high": 0.75, "critical": 0.55}


@frozen
class Event:
    """What it is told."""

    type: str
    severity: float = 0.5
    cpu: float = 0.0
    memory: float = 0.0
    error_rate: float = 0.0
    latency_ms: float = 0.0


def pressure(event: Event) -> float:
    """Its pressure formula."""
    return min(
        1.0,
        0.35 * event.severity
        + 0.20 * event.cpu / 100
        + 0.20 * event.memory / 100
        + 0.15 * event.error_rate
        + 0.10 * min(event.latency_ms / 5000, 1.0),
    )


def risk(score: float) -> str:
    if score >= 0.85:
        return "critical"
    return "high" if score >= 0.60 else "medium" if score >= 0.35 else "low"


def confidence(event: Event, risk: str, calls: int) -> float:
    """Its confidence formula, with no outcome known: at most 0.5625 at high risk."""
    base = max(0.1, 0.75 - 0.2 * event.severity)
    return min(0.99, max(0.05, base * math.exp(-0.05 * (calls // 20)) * _WEIGHTS[risk]))


def rule(context: str, risk: str, confidence: float) -> str:
    """The first rule that fits, or its default."""
    for about, at, least, action in _RULES:
        if about == context and at in ("", risk) and confidence >= least:
            return action
    return "monitor_and_wait"


def to_event(case: Case) -> Event:
    """A case as it would be told: the type from the nature of the trouble, the numbers from what is known."""
    context = case.context
    failed = context.failed
    severity = min(0.95, 0.5 + 0.1 * failed)
    errors = min(1.0, (failed + 1) / 3)
    memory = 92.0 if context.shows(Symptom.OUT_OF_MEMORY, Symptom.MEMORY_GROWS) else 50.0
    cpu = 92.0 if context.shows(Symptom.OVERLOADED, Symptom.QUEUE_GROWS) else 50.0
    if context.shows(Symptom.OVERLOADED):
        return Event("service_overload", severity, cpu, memory, errors)
    if context.shows(Symptom.OUT_OF_MEMORY):
        return Event("memory_leak", severity, cpu, memory, errors)
    if context.shows(Symptom.TIMEOUT, Symptom.STALLED):
        return Event("timeout", severity, cpu, memory, errors, 5000.0)
    if context.shows(Symptom.CONNECTION, Symptom.RATE_LIMITED):
        return Event("degraded_service", severity, cpu, memory, errors, 2000.0)
    if context.shows(Symptom.GAVE_UP, Symptom.KILLED, Symptom.ENDED):
        return Event("recovery_needed", severity, cpu, memory, errors)
    return Event("anomaly_detected", severity, cpu, memory, errors)


@define(eq=False)
class AsShipped:
    """The table as a policy. No value: it counts its calls, as the original does."""

    calls: int = 0
    name: str = "adaptive_runtime"
    counts_alike: bool = False
    escalates: bool = False
    stable_after: float | None = None

    def propose(self, case: Case) -> tuple[Option, ...]:
        event = to_event(case)
        self.calls += 1
        at = risk(pressure(event))
        sure = confidence(event, at, self.calls)
        name = rule(_CONTEXTS[event.type], at, sure)
        reason = f"{event.type} at risk {at}, its confidence {sure:.2f}"
        found = [Option(action, name, reason) for action in (_action(case, name), _wait(case))]
        return tuple(found)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return ()


def _action(case: Case, name: str) -> Action:
    incident = case.incident
    match name:
        case "restart_service" | "run_recovery" | "optimize_resources":
            return Restart()
        case "throttle_requests" | "scale_up_immediate":
            return Throttle(retry_after(case) or delay(_THROTTLES, incident.tried("throttle") + 1, 0.0))
        case "rollback_deployment":
            return FallBack(case.variant)
        case "isolate_component":
            return Hold(f"{case.signal.path}: isolated. Start it again?")
        case "circuit_breaker_open":
            return Break(case.context.suspect, 30.0)
        case _:
            return _wait(case)


def _wait(case: Case) -> Action:
    """Watching and waiting: what lives goes on, what has ended comes back after a while."""
    if case.context.shows(Symptom.RATE_LIMITED) and not case.down:
        return Throttle(retry_after(case) or 10.0)
    if not case.down and not case.context.shows(Symptom.STALLED):
        return Resume()
    return Restart(after=delay(_WAITS, case.incident.failed + 1, 0.0))
