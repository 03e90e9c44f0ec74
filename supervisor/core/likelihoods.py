"""What each cause shows as, comes with, and is ended by: the numbers that a belief is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, TypeAlias

from treewarden.agents.core.values import frozen

from .symptom import Symptom

__all__ = ["CAUSES", "LATER", "SHIPPED", "UNKNOWN", "Cause", "Likelihoods", "Row", "started"]


class Cause(StrEnum):
    """What may be wrong. What is seen directly (a budget spent, a tool loop) is no cause but a symptom."""

    TRANSIENT = "transient"
    OVERLOAD = "overload"
    BAD_STATE = "bad_state"
    BAD_VERSION = "bad_version"
    DEPENDENCY_DOWN = "dependency_down"
    LEAK = "leak"
    HANG = "hang"
    RATE_LIMITED = "rate_limited"
    POISON_MESSAGE = "poison_message"


Row: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]
CAUSES: Final = tuple(Cause)

# The tables below are a prior written by hand, not measurements of any site. They come from the constants of the first
# simulator of this project (nine causes, their typical symptoms, what repairs them): shares of failures and chances of
# repair, moved towards the middle, because that simulator's stated numbers came out too high above 0.6; nothing is
# below 0.02, so that no symptom alone rules a cause out. Columns are the causes in the order of `Cause`.

# How common each cause is.
_COMMON: Final[Row] = (0.32, 0.11, 0.09, 0.07, 0.12, 0.07, 0.09, 0.08, 0.05)

# How often each cause shows as this kind of trouble; a signal shows exactly one.
_SHOWS: Final[Mapping[Symptom, Row]] = {
    #                      trans  over   state  vers   dep    leak   hang   rate   poison
    Symptom.CRASH:         (0.28, 0.10, 0.28, 0.28, 0.10, 0.22, 0.03, 0.12, 0.33),
    Symptom.CODE_ERROR:    (0.03, 0.03, 0.22, 0.45, 0.02, 0.02, 0.02, 0.02, 0.35),
    Symptom.BAD_STATE:     (0.03, 0.02, 0.40, 0.12, 0.03, 0.02, 0.02, 0.02, 0.25),
    Symptom.CONNECTION:    (0.30, 0.10, 0.02, 0.03, 0.52, 0.03, 0.02, 0.10, 0.02),
    Symptom.TIMEOUT:       (0.24, 0.38, 0.02, 0.05, 0.28, 0.04, 0.22, 0.05, 0.02),
    Symptom.OUT_OF_MEMORY: (0.03, 0.06, 0.02, 0.03, 0.02, 0.55, 0.02, 0.02, 0.03),
    Symptom.RATE_LIMITED:  (0.02, 0.06, 0.02, 0.02, 0.03, 0.02, 0.02, 0.70, 0.02),
    Symptom.OVERLOADED:    (0.05, 0.35, 0.02, 0.02, 0.08, 0.05, 0.10, 0.05, 0.02),
    Symptom.STALLED:       (0.05, 0.10, 0.03, 0.04, 0.08, 0.12, 0.60, 0.03, 0.04),
    Symptom.KILLED:        (0.50, 0.02, 0.02, 0.02, 0.02, 0.06, 0.05, 0.02, 0.02),
    Symptom.ENDED:         (0.20, 0.02, 0.06, 0.10, 0.04, 0.02, 0.02, 0.02, 0.04),
    Symptom.GAVE_UP:       (0.05, 0.10, 0.25, 0.25, 0.30, 0.03, 0.05, 0.10, 0.10),
    Symptom.REPORTED:      (0.15, 0.25, 0.04, 0.10, 0.35, 0.04, 0.04, 0.10, 0.03),
    Symptom.ACTION_FAILED: (0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.10),
}  # fmt: skip

# How often each cause comes with this circumstance. One that is absent speaks as well. The first two go together
# more often than independent ones would, so both are kept mild.
_COMES_WITH: Final[Mapping[Symptom, Row]] = {
    #                         trans  over   state  vers   dep    leak   hang   rate   poison
    Symptom.REFAIL_FAST:     (0.12, 0.30, 0.70, 0.70, 0.50, 0.10, 0.12, 0.45, 0.70),
    Symptom.NOTHING_SETTLED: (0.08, 0.20, 0.60, 0.60, 0.40, 0.08, 0.12, 0.30, 0.55),
    Symptom.SAME_MESSAGE:    (0.05, 0.10, 0.25, 0.30, 0.25, 0.06, 0.10, 0.15, 0.75),
    Symptom.SIBLINGS_ALIKE:  (0.04, 0.35, 0.06, 0.50, 0.75, 0.05, 0.05, 0.60, 0.05),
    Symptom.CODE_CHANGED:    (0.10, 0.10, 0.15, 0.75, 0.08, 0.12, 0.12, 0.08, 0.10),
    Symptom.START_FAILED:    (0.08, 0.08, 0.25, 0.35, 0.30, 0.04, 0.05, 0.10, 0.03),
}  # fmt: skip

# As above, but seen only where somebody measures: that they are absent says nothing.
_MEASURED: Final[Mapping[Symptom, Row]] = {
    #                         trans  over   state  vers   dep    leak   hang   rate   poison
    Symptom.MEMORY_GROWS:    (0.09, 0.28, 0.09, 0.09, 0.09, 0.75, 0.09, 0.09, 0.09),
    Symptom.QUEUE_GROWS:     (0.12, 0.75, 0.12, 0.12, 0.45, 0.12, 0.45, 0.30, 0.12),
}  # fmt: skip

# P(an action ends the incident | cause). `hold` asks a person, who is slow and nearly always right; `escalate` starts
# everything below the supervisor anew, and in the end asks a person as well.
_FIXES: Final[Mapping[str, Row]] = {
    #             trans  over   state  vers   dep    leak   hang   rate   poison
    "resume":    (0.60, 0.30, 0.05, 0.03, 0.30, 0.05, 0.05, 0.30, 0.05),
    "restart":   (0.92, 0.12, 0.05, 0.04, 0.12, 0.90, 0.88, 0.10, 0.05),
    "roll_back": (0.88, 0.08, 0.80, 0.05, 0.08, 0.85, 0.65, 0.05, 0.06),
    "throttle":  (0.30, 0.82, 0.03, 0.03, 0.30, 0.05, 0.05, 0.86, 0.04),
    "break":     (0.40, 0.40, 0.03, 0.06, 0.85, 0.06, 0.06, 0.60, 0.03),
    "set_aside": (0.85, 0.06, 0.06, 0.05, 0.06, 0.10, 0.15, 0.04, 0.88),
    "recycle":   (0.90, 0.12, 0.05, 0.04, 0.12, 0.90, 0.88, 0.10, 0.05),
    "fall_back": (0.90, 0.10, 0.10, 0.88, 0.10, 0.55, 0.70, 0.08, 0.25),
    "hold":      (0.95, 0.85, 0.92, 0.92, 0.85, 0.90, 0.92, 0.85, 0.92),
    "stop":      (1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00, 1.00),
    "escalate":  (0.90, 0.25, 0.15, 0.10, 0.20, 0.90, 0.88, 0.20, 0.12),
}  # fmt: skip


# On a child that has ended these two start a new life as well, later or with less to do, so they repair as a restart.
_STARTS: Final[Mapping[str, Row]] = {
    #             trans  over   state  vers   dep    leak   hang   rate   poison
    "throttle":  (0.90, 0.80, 0.05, 0.04, 0.20, 0.88, 0.86, 0.80, 0.05),
    "break":     (0.90, 0.25, 0.05, 0.04, 0.85, 0.88, 0.86, 0.75, 0.05),
}  # fmt: skip
LATER: Final = frozenset({Symptom.REFAIL_FAST, Symptom.NOTHING_SETTLED})
"""What takes two failures to be seen: that it is absent at the first signal of an incident says nothing."""
UNKNOWN: Final[Row] = (0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)
"""Of an action that nobody has described."""
_ENDS: Final = ("crash", "start_failed", "killed", "finished", "stopped", "gave_up")


def started(kind: str) -> bool:
    """Whether an action at this kind of trouble starts a new life, for the one before has ended."""
    return kind in _ENDS


@frozen(slots=False)
class Likelihoods:
    """For each cause, in the order of `Cause`: how common it is, what it shows as, comes with, and what ends it."""

    common: Row
    shows: Mapping[Symptom, Row]
    """P(a failure shows as this | cause); it shows as exactly one."""
    comes_with: Mapping[Symptom, Row]
    """P(it comes with this | cause). One that is absent speaks as well."""
    measured: Mapping[Symptom, Row]
    """As `comes_with`, but seen only where somebody measures: that they are absent says nothing."""
    fixes: Mapping[str, Row]
    """P(an action ends it | cause)."""
    starts: Mapping[str, Row]
    """The same on a child that has ended, for actions that then start a new life too."""

    def fixes_of(self, action: str, *, down: bool) -> Row:
        """P(an action of this name ends the incident | cause); for a child that has ended, or one that lives."""
        lives = self.fixes.get(action, UNKNOWN)
        return self.starts.get(action, lives) if down else lives

    def row_of(self, symptom: Symptom) -> Row:
        """P(this symptom | cause)."""
        return self.shows.get(symptom) or self.measured.get(symptom) or self.comes_with[symptom]

    @cached_property
    def quiet(self) -> tuple[float, ...]:
        """P(none of the circumstances | cause)."""
        return _none_of(self.comes_with.values())

    @cached_property
    def quiet_at_first(self) -> tuple[float, ...]:
        """The same at the first signal of an incident, where some could not be there whatever the cause is."""
        return _none_of(row for symptom, row in self.comes_with.items() if symptom not in LATER)

    @cached_property
    def speaks(self) -> Mapping[Symptom, tuple[float, ...]]:
        """What each symptom makes of `quiet`."""
        odds = {symptom: tuple(p / (1.0 - p) for p in row) for symptom, row in self.comes_with.items()}
        return {**self.shows, **self.measured, **odds}

    def fails(self, action: str, *, down: bool) -> tuple[float, ...] | None:
        """P(an action does not end the incident | cause); None for those that a failure says nothing of."""
        return (self._fails_down if down else self._fails).get(action)

    @cached_property
    def _fails(self) -> Mapping[str, tuple[float, ...]]:
        return {name: tuple(1.0 - p for p in row) for name, row in self.fixes.items() if name not in _SAY_NOTHING}

    @cached_property
    def _fails_down(self) -> Mapping[str, tuple[float, ...]]:
        return {**self._fails, **{name: tuple(1.0 - p for p in row) for name, row in self.starts.items()}}

    @cached_property
    def beliefs(self) -> dict[object, Any]:
        """What has been made of these numbers, by what was seen; for `confidence`. It bounds it."""
        return {}

    @cached_property
    def lettings_live(self) -> dict[object, float]:
        """Likewise: how likely it is that letting a child live ends its incident."""
        return {}

    @cached_property
    def knowing(self) -> dict[object, Likelihoods]:
        """These numbers with those of registered actions, by what is said of them; for `named`. It bounds it."""
        return {}

    @cached_property
    def plans(self) -> dict[object, Any]:
        """The same for `plan`."""
        return {}


def _none_of(rows: Iterable[Row]) -> tuple[float, ...]:
    left = [[1.0 - p for p in row] for row in rows]
    return tuple(math.prod(each[place] for each in left) for place in range(len(CAUSES)))


_SAY_NOTHING: Final = ("stop", "hold", "escalate")
SHIPPED: Final = Likelihoods(_COMMON, _SHOWS, _COMES_WITH, _MEASURED, _FIXES, _STARTS)
"""What treewarden comes with."""
