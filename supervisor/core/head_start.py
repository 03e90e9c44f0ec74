"""How much likelier an attempt is to help than the belief says, before anything was observed: by what it is made at."""

from __future__ import annotations

from typing import Final

from .likelihoods import started
from .symptom import Symptom

__all__ = ["head_start"]

_MORE: Final = frozenset({"break", "fall_back", "roll_back", "set_aside"})
_AGAIN: Final = frozenset({"restart", "throttle"})
_STAYS: Final = frozenset({Symptom.CODE_ERROR, Symptom.BAD_STATE})
_ASKS_FOR_LESS: Final = frozenset({Symptom.OVERLOADED, Symptom.RATE_LIMITED})

# In logits, from races on seeds 0 to 99. All but _LESS keep their sign whichever of the worlds is left out.
_DOES_MORE: Final = 0.6
_IN_VAIN: Final = -1.6
_SAYS_NOTHING: Final = -0.4
_LESS: Final = 0.5
_LIVES_ON: Final = -1.25
_TOGETHER: Final = 0.5
_A_PERSON: Final = 2.5


def head_start(action: str, symptom: str, kind: str) -> float:
    """In logits: above 0 where the action helps more often than the belief says, below 0 where it does less often.

    The belief knows causes; this knows what such attempts have in common. What only starts again what has ended by its
    code or its state meets the same code and the same state; what does more than start again is chosen for a reason;
    what was asked for less and gets less is content; letting it live changes nothing; what has struck several is over
    for all of them when it is for one; and a person nearly always helps.
    A place to begin: what is observed of each action at each symptom moves it.
    """
    if action == "hold":
        return _A_PERSON
    if symptom == Symptom.SIBLINGS_ALIKE:
        return _TOGETHER + _alone(action, "", kind)
    return _alone(action, symptom, kind)


def _alone(action: str, symptom: str, kind: str) -> float:
    if action == "resume":
        return _LIVES_ON
    if action == "throttle" and symptom in _ASKS_FOR_LESS:
        return _LESS
    if action in _MORE:
        return _DOES_MORE if action != "break" or started(kind) else 0.0
    if action in _AGAIN and started(kind):
        return _IN_VAIN if symptom in _STAYS else _SAYS_NOTHING if symptom == Symptom.CRASH else 0.0
    return 0.0
