"""The `adaptive_runtime` profile: what adaptive-runtime 0.1 promises, with what it gets wrong put right.

Kept: its seven event types and their contexts, the pressure formula, risk and stability, tags, the default actions and
priorities (stateflow-dev/adaptive-runtime, `core/*_engine.py`). Changed, because the original does not do what it says:

- *Confidence* there falls with the number of calls, to its floor of 0.05 after about 1,100, and is multiplied by the
  risk; so at risk high it is at most 0.62, and `restart_service` (from 0.70) and `rollback_deployment` (from 0.65)
  never come. Here it is P(the action closes the incident), moved by recorded outcomes only, and both are reached.
- *Risk* there has to be equal, so that a critical `degraded_service` gets a `health_check` where a high one opens the
  circuit, and a critical `timeout` a `cache_warmup`. Here a rule holds from its risk on, and that no higher risk gets
  a weaker answer is proven when the profile is made.
- *Numbers* out of range there give a pressure below 0 or above what is possible; here they are errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .advice import Profile
from .rule_table import Rule, reached_by
from .symptom import Risk

__all__ = ["ACTIONS", "CONTEXTS", "adaptive_runtime"]

CONTEXTS: Final[Mapping[str, str]] = {
    "service_overload": "resource_pressure",
    "memory_leak": "resource_pressure",
    "anomaly_detected": "anomaly_signal",
    "timeout": "latency_issue",
    "auth_failure": "security_signal",
    "recovery_needed": "self_healing",
    "degraded_service": "service_degradation",
}

ACTIONS: Final[Mapping[str, float]] = {
    "monitor_and_wait": 0.30,
    "flag_for_review": 0.35,
    "increase_monitoring": 0.35,
    "health_check": 0.40,
    "cache_warmup": 0.50,
    "optimize_query": 0.60,
    "optimize_resources": 0.60,
    "throttle_requests": 0.65,
    "circuit_breaker_open": 0.70,
    "restart_service": 0.78,
    "rollback_deployment": 0.72,
    "run_recovery": 0.75,
    "trigger_security_audit": 0.60,
    "isolate_component": 0.75,
    "scale_up_immediate": 0.75,
}
"""The actions, the mildest first, with P(fix) before anything was observed: written by hand, nobody has measured it."""

_RULES: Final = (
    Rule("resource_pressure", "scale_up_immediate", Risk.CRITICAL, reason="resources are nearly used up"),
    Rule("resource_pressure", "restart_service", Risk.HIGH, 0.70, "a fresh service gives resources back"),
    Rule("resource_pressure", "throttle_requests", Risk.HIGH, reason="less work, until resources suffice again"),
    Rule("resource_pressure", "optimize_resources", Risk.MEDIUM, reason="there is still time to save resources"),
    Rule("anomaly_signal", "isolate_component", Risk.CRITICAL, reason="what misbehaves so must not spread"),
    Rule("anomaly_signal", "rollback_deployment", Risk.HIGH, 0.65, "the last change is the suspect"),
    Rule("anomaly_signal", "increase_monitoring", Risk.HIGH, reason="rolling back has not helped: look closer first"),
    Rule("anomaly_signal", "flag_for_review", reason="unusual, and not yet dangerous"),
    Rule("latency_issue", "optimize_query", Risk.HIGH, reason="slow enough to look for the cause"),
    Rule("latency_issue", "cache_warmup", reason="slow, perhaps because caches are cold"),
    Rule("security_signal", "trigger_security_audit", reason="failed logins are looked into whatever the load"),
    Rule("self_healing", "run_recovery", reason="the application asked for it"),
    Rule("service_degradation", "circuit_breaker_open", Risk.HIGH, reason="callers should fail fast meanwhile"),
    Rule("service_degradation", "health_check", reason="degraded: find out how far"),
)


def adaptive_runtime(
    rules: Sequence[Rule] = (), *, contexts: Mapping[str, str] | None = None, actions: Mapping[str, float] = ACTIONS
) -> Profile:
    """The profile, with rules of your own before the default ones; those that yours leave nothing to are left out.

    `contexts` adds event types, or replaces their contexts. `actions` has every action with its P(fix) before anything
    was observed, the mildest first: `{**ACTIONS, "page_me": 0.9}` adds one that goes further than all others. Default
    rules with an action that it lacks are left out too.

    Raises `ValueError` for a table that is not sound (see `Profile`).
    """
    table = tuple(rules)
    for rule in _RULES:
        if rule.action in actions and reached_by((*table, rule), len(table)) is not None:
            table = (*table, rule)
    return Profile(
        name="adaptive_runtime",
        contexts={**CONTEXTS, **(contexts or {})},
        actions=actions,
        default="monitor_and_wait",
        rules=table,
    )
