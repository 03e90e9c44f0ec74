"""Many actors: watch, judge, restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treewarden.agents.demand import on_demand

if TYPE_CHECKING:
    from .advisor import Advice, Advisor
    from .answering import OpenEffect
    from .calls import ChildView, Counts, Started, SupervisorRef
    from .core.action import Action
    from .core.adaptive_runtime import adaptive_runtime
    from .core.believer import belief
    from .core.checkpoint import Checkpoint, Retention
    from .core.decision import Decision, Policy
    from .core.diff import Change
    from .core.event import Event
    from .core.ladder import ladder
    from .core.limits import QueueLimit
    from .core.measures import BudgetLimit, LatencyLimit, MemoryLimit
    from .core.named import NamedAction
    from .core.policies import akka, kubernetes, otp
    from .core.retention import EventRetention
    from .core.rule_table import Rule
    from .core.signal import Signal
    from .core.spec import (
        BRUTAL_KILL,
        NO_BACKOFF,
        AutoShutdown,
        Backoff,
        BrutalKill,
        ChildSpec,
        Grace,
        Intensity,
        RestartBucket,
        RestartPolicy,
        Restore,
        Strategy,
        SupervisorSpec,
    )
    from .core.symptom import Risk
    from .core.table import table
    from .journal.anchoring import Anchoring, key_from
    from .journal.port import Journal, Record
    from .open_waits import OpenWait
    from .performing import Occasion

__all__ = [
    "BRUTAL_KILL",
    "NO_BACKOFF",
    "Action",
    "Advice",
    "Advisor",
    "Anchoring",
    "AutoShutdown",
    "Backoff",
    "BrutalKill",
    "BudgetLimit",
    "Change",
    "Checkpoint",
    "ChildSpec",
    "ChildView",
    "Counts",
    "Decision",
    "Event",
    "EventRetention",
    "Grace",
    "Intensity",
    "Journal",
    "LatencyLimit",
    "MemoryLimit",
    "NamedAction",
    "Occasion",
    "OpenEffect",
    "OpenWait",
    "Policy",
    "QueueLimit",
    "Record",
    "RestartBucket",
    "RestartPolicy",
    "Restore",
    "Retention",
    "Risk",
    "Rule",
    "Signal",
    "Started",
    "Strategy",
    "SupervisorRef",
    "SupervisorSpec",
    "adaptive_runtime",
    "akka",
    "belief",
    "key_from",
    "kubernetes",
    "ladder",
    "otp",
    "table",
]

__getattr__ = on_demand(
    __name__,
    advisor="Advice Advisor",
    answering="OpenEffect",
    calls="ChildView Counts Started SupervisorRef",
    core__action="Action",
    core__adaptive_runtime="adaptive_runtime",
    core__believer="belief",
    core__checkpoint="Checkpoint Retention",
    core__decision="Decision Policy",
    core__diff="Change",
    core__event="Event",
    core__ladder="ladder",
    core__limits="QueueLimit",
    core__measures="BudgetLimit LatencyLimit MemoryLimit",
    core__named="NamedAction",
    core__policies="akka kubernetes otp",
    core__retention="EventRetention",
    core__rule_table="Rule",
    core__signal="Signal",
    core__spec=(
        "BRUTAL_KILL NO_BACKOFF AutoShutdown Backoff BrutalKill ChildSpec Grace Intensity "
        "RestartBucket RestartPolicy Restore Strategy SupervisorSpec"
    ),
    core__symptom="Risk",
    core__table="table",
    journal__anchoring="Anchoring key_from",
    journal__port="Journal Record",
    open_waits="OpenWait",
    performing="Occasion",
)
