"""Advice for an application that has no actors: circumstances as numbers in, an action with its confidence out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import Attribute, field, fields, frozen

from treewarden.agents.core.said import (
    MEASURES,
    check_amount,
    check_facts,
    check_kind,
    check_share,
    is_number,
    named,
    shown,
)

from .event import RejectedOption
from .outcomes import Confidence, Outcomes
from .rule_table import Rule, answers, faults
from .symptom import Risk

__all__ = ["Circumstances", "Profile", "Proposal", "Reading", "propose", "read"]


def _measure(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    check_amount(attribute.name, value, *MEASURES[attribute.name])


def _severity(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    check_share(attribute.name, value)


def _type(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    check_kind(attribute.name, value)


def _extra(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    check_facts(value, attribute.name)


@frozen(kw_only=True)
class Circumstances:
    """What an application says about itself at one moment."""

    type: str = field(validator=_type)
    severity: float = field(default=0.0, validator=_severity)
    cpu: float = field(default=0.0, validator=_measure)
    """Percent, as `memory`."""
    memory: float = field(default=0.0, validator=_measure)
    error_rate: float = field(default=0.0, validator=_measure)
    latency_ms: float = field(default=0.0, validator=_measure)
    extra: Mapping[str, Any] = field(factory=dict[str, Any], validator=_extra)
    """Whatever else was said; it is kept, and nothing is decided by it."""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Circumstances:
        """Check a mapping. Raises `ValueError` naming the field that is missing, of another kind, or out of range."""
        if not isinstance(said, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"{shown(said)} is no event; give a mapping with 'type' and numbers")
        if "type" not in said:
            raise ValueError(f"type is missing; the event has {named(said)}")
        known = {each.name for each in fields(cls)} - {"extra"}
        given = {name: value for name, value in said.items() if name in known}
        rest: dict[Any, Any] = {name: value for name, value in said.items() if name not in known}
        more = rest.pop("extra", None)
        if more is not None and not isinstance(more, Mapping):
            raise ValueError(f"extra is {shown(more)}; it must be a mapping")
        return cls(**given, extra={**rest, **(more or {})})


@frozen
class Reading:
    """What circumstances mean: the context that rules speak of, and how much is at stake."""

    context: str
    pressure: float
    """From 0 to 1."""
    risk: Risk
    stability: str
    """`stable`, `degraded`, `low` or `critical`."""
    tags: tuple[str, ...]


def _sound(_instance: Any, _attribute: Attribute[Any], rules: tuple[Rule, ...]) -> None:
    profile: Profile = _instance
    unknown = [
        f"rule {index} has the action {rule.action!r}; the profile's actions are {', '.join(profile.actions)}"
        for index, rule in enumerate(rules)
        if rule.action not in profile.actions
    ]
    strength = {action: place for place, action in enumerate(profile.actions)}
    found = unknown or [str(fault) for fault in faults(rules, strength)]
    if profile.default not in profile.actions:
        found.append(f"the default action {profile.default!r} is none of the profile's")
    if found:
        raise ValueError(f"the rules of {profile.name!r} are refused: {'; '.join(found)}")


def _chances(_instance: Any, _attribute: Attribute[Any], actions: Mapping[str, Any]) -> None:
    for name, chance in actions.items():
        if not is_number(chance) or not 0 <= chance <= 1:
            raise ValueError(f"actions: {name} is {shown(chance)}; P(fix) is a number from 0 to 1")


@frozen(kw_only=True)
class Profile:
    """How an application is read and answered, as a value. Checked as a whole when it is made.

    Raises `ValueError` naming the rule by its index if nothing reaches it, if it answers a higher risk with less than
    another one a lower risk, or if its action is not among `actions`.
    """

    name: str
    contexts: Mapping[str, str]
    """From an event's type to the context; other types are the context `unknown_<type>`."""
    actions: Mapping[str, float] = field(validator=_chances)
    """P(the action closes the incident) before anything was observed; the mildest first."""
    default: str
    """The action where no rule answers."""
    rules: tuple[Rule, ...] = field(validator=_sound)


@frozen(kw_only=True)
class Proposal:
    """What a profile makes of circumstances. No action of it is carried out."""

    reading: Reading
    action: str
    confidence: Confidence
    reason: str
    rule: int | None
    """The index of the rule that answered."""
    rejected: tuple[RejectedOption, ...] = ()

    @property
    def priority(self) -> str:
        """`critical`, `high`, `normal` or `low`."""
        return "normal" if self.reading.risk is Risk.MEDIUM else str(self.reading.risk)


_WEIGHTS: Final = (("severity", 0.35, 1.0), ("cpu", 0.2, 100.0), ("memory", 0.2, 100.0), ("error_rate", 0.15, 1.0))
_LATENCY: Final = (0.10, 5000.0)
"""Its weight, and the milliseconds from which on it counts in full."""
_STABILITY: Final = ((0.85, "critical"), (0.65, "low"), (0.40, "degraded"), (0.0, "stable"))
_HIGH_PERCENT: Final = 80.0
_HIGH_ERRORS: Final = 0.5
_HIGH_LATENCY: Final = 2000.0


def read(profile: Profile, said: Circumstances) -> Reading:
    """Read circumstances.

    Pressure is `0.35 severity + 0.20 cpu/100 + 0.20 memory/100 + 0.15 error_rate + 0.10 min(latency_ms/5000, 1)`, as
    in adaptive-runtime 0.1; here it needs no clamp, for every term is checked at the edge. Risk is the pressure in four
    steps (0.35, 0.60, 0.85), stability in four others (0.40, 0.65, 0.85).
    """
    weight, full = _LATENCY
    pressure = sum(share * getattr(said, name) / most for name, share, most in _WEIGHTS)
    pressure = round(pressure + weight * min(said.latency_ms / full, 1.0), 4)
    risk = Risk.of(pressure)
    tags = [f"risk:{risk}", f"event:{said.type}"]
    tags += [f"{name}:high" for name in ("cpu", "memory") if getattr(said, name) > _HIGH_PERCENT]
    tags += ["errors:elevated"] if said.error_rate > _HIGH_ERRORS else []
    tags += ["latency:high"] if said.latency_ms > _HIGH_LATENCY else []
    stability = next(name for least, name in _STABILITY if pressure >= least)
    context = profile.contexts.get(said.type, f"unknown_{said.type}")
    return Reading(context, pressure, risk, stability, tuple(tags))


def propose(profile: Profile, said: Circumstances, outcomes: Outcomes) -> Proposal:
    """Read `said` and answer it by the first rule that fits.

    Confidence is P(the action closes the incident): the profile's number, shrunk towards what was observed of this
    action in this context. It falls with failures and rises with successes, and never with the number of calls.
    """
    reading = read(profile, said)

    def stated(action: str) -> Confidence:
        return outcomes.stated(profile.actions[action], action, reading.context)

    fits = list(answers(profile.rules, reading.context, reading.risk, lambda action: stated(action).value))
    rejected: dict[str, RejectedOption] = {}
    for index, rule in enumerate(profile.rules):
        if not rule.is_about(reading.context) or (fits and index == fits[0][0]):
            continue
        why = _why_not(rule, reading, stated(rule.action).value, fits[0][0] if fits else None)
        rejected.setdefault(
            rule.action, RejectedOption(action=rule.action, confidence=stated(rule.action).value, why=why)
        )
    if not fits:
        reason = f"no rule is about {reading.context} at risk {reading.risk}"
        return Proposal(
            reading=reading,
            action=profile.default,
            confidence=stated(profile.default),
            reason=reason,
            rule=None,
            rejected=tuple(rejected.values()),
        )
    index, rule = fits[0]
    rejected.pop(rule.action, None)
    return Proposal(
        reading=reading,
        action=rule.action,
        confidence=stated(rule.action),
        reason=rule.reason or f"{reading.context} at risk {reading.risk}",
        rule=index,
        rejected=tuple(rejected.values()),
    )


def _why_not(rule: Rule, reading: Reading, confidence: float, chosen: int | None) -> str:
    if reading.risk < rule.risk:
        return f"needs risk {rule.risk}, it is {reading.risk}"
    if rule.min_confidence and confidence < rule.min_confidence:
        return f"needs confidence {rule.min_confidence:g}, it is {confidence:.2f}"
    return f"rule {chosen} comes first"
