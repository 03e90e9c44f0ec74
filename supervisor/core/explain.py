"""explain(): a decision as a person reads it, from the journal's fact alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .event import Decided

__all__ = ["explain", "sentence", "standing"]

_WIDTH = 12


def explain(decided: Decided) -> str:
    """The whole chain in lines: signal, context, confidence, decision, the alternatives, and what comes next."""
    lines = [_head(decided)]
    lines += _item("signal", decided.signal)
    lines += _item("context", f"{', '.join(decided.symptoms) or 'nothing in particular'}", _pressed(decided))
    lines += _item("confidence", _confidence(decided), _causes(decided.causes))
    lines += _item("decision", f"{_call(decided.action, decided.details)}  by '{decided.rule}' of {decided.policy}")
    lines += _item("because", *decided.because)
    lines += _item("not", *(f"{other.action} {other.confidence:.2f}: {other.why}" for other in decided.rejected))
    lines += _item("next", decided.next)
    lines += _item("challenger", _challenger(decided.challenger))
    return "\n".join(lines)


def sentence(decided: Decided) -> str:
    """The decision in one line, for a log."""
    reason = decided.because[0] if decided.because else decided.rule
    return f"{decided.path} {decided.signal} -> {_call(decided.action, decided.details)}: {reason}"


def _head(decided: Decided) -> str:
    return f"{decided.path}  incident {decided.incident}" if decided.incident else str(decided.path)


def _item(name: str, *texts: str) -> list[str]:
    said = [text for text in texts if text]
    return [f"  {name if not position else '':{_WIDTH}}{text}" for position, text in enumerate(said)]


def _pressed(decided: Decided) -> str:
    return f"risk {decided.risk}, pressure {decided.pressure:.2f}"


def _confidence(decided: Decided) -> str:
    honest = "calibrated" if decided.calibrated else "confidence not calibrated"
    cases = f"{decided.evidence:g} {'case' if decided.evidence == 1 else 'cases'} observed"
    before = "it" if decided.evidence == 1 else "them"
    shrunk = f", {decided.model:.2f} before {before}" if decided.evidence else ""
    return f"{decided.confidence:.2f} that this ends the incident ({honest}; {cases}{shrunk})"


def _challenger(found: Mapping[str, Any]) -> str:
    """What would be done by the numbers that do not decide."""
    if not found:
        return ""
    would = f"{found['action']} {found['confidence']:.2f}, probably {found['cause']} {found['p']:.2f}"
    return f"{standing(found['labels'], found['e_value'], decides=found['decides'])}; the others would {would}"


def standing(labels: int, e_value: float, *, decides: bool) -> str:
    """Which numbers decide, and how far those that do not are from it."""
    taught = f"what {labels} {'label' if labels == 1 else 'labels'} taught"
    return f"{taught} {'decides' if decides else 'is silent'}, and e is {e_value:.3g} of 20 for the others"


def _causes(causes: Mapping[str, float]) -> str:
    likely = sorted(causes.items(), key=lambda item: -item[1])[:3]
    return "probably " + ", ".join(f"{name} {p:.2f}" for name, p in likely) if likely else ""


def _call(action: str, details: Mapping[str, Any]) -> str:
    said = ", ".join(f"{name}={_value(value)}" for name, value in details.items() if value not in (None, ""))
    return f"{action}({said})" if said else action


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
