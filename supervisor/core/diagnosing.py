"""A decision as a diagnosis: what the next life is told of it."""

from __future__ import annotations

from typing import Final

from treewarden.agents.core.diagnosis import Diagnosis

from .decision import Decision
from .signal import Stalled
from .symptom import describe, failure_in, message_in

__all__ = ["diagnosis_of"]

_ROUND: Final = 4


def diagnosis_of(decision: Decision) -> Diagnosis:
    """What the decision was based on; where it led to is added by whoever carries it out."""
    signal = decision.case.signal
    cause, p = next(iter(decision.case.belief.causes.items()))
    failure = failure_in(signal)
    kind = failure.message_kind if failure is not None else signal.doing if isinstance(signal, Stalled) else ""
    return Diagnosis(
        cause=str(cause),
        p=round(p, _ROUND),
        because=decision.because,
        signal=describe(signal),
        message=message_in(signal) or "",
        message_kind=kind or "",
        incident=decision.case.incident.id,
    )
