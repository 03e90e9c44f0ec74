"""Outcomes as JSON can hold them: what a journal keeps of decisions whose events it has pruned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .curve import curve_of
from .outcomes import Eased, Outcomes, Tally

__all__ = ["as_data", "outcomes_of"]


def as_data(outcomes: Outcomes) -> dict[str, Any]:
    """As JSON can hold it, for `outcomes_of`."""
    aged = outcomes.aged(outcomes.at)
    return {
        "at": outcomes.at,
        "cells": [[*key, tally.cases, tally.fixed] for key, tally in aged.cells.items()],
        "curve": list(outcomes.curve),
        "eases": [[*key, *eased.ease] for key, eased in aged.eases.items()],
        "lately": [list(each) for each in outcomes.lately.items()],
        "recent": [list(each) for each in outcomes.recent],
    }


def outcomes_of(data: Mapping[str, Any]) -> Outcomes:
    """What `as_data` was given, as far as `data` holds it."""
    at = float(data.get("at", 0.0))
    return Outcomes(
        at=at,
        cells={(what, kind, band): Tally(cases, fixed, at) for what, kind, band, cases, fixed in data.get("cells", ())},
        curve=curve_of(data.get("curve", ())),
        eases={(what, as_): Eased((more, pull), at) for what, as_, more, pull in data.get("eases", ())},
        lately={int(failed): float(last) for failed, last in data.get("lately", ())},
        recent=tuple((float(stated), bool(fixed)) for stated, fixed in data.get("recent", ())),
    )
