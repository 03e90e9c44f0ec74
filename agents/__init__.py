"""One actor: state, a mailbox, and handlers that run one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .demand import on_demand

if TYPE_CHECKING:
    from .agent import Agent, at, every, handles
    from .agent_spec import AgentSpec
    from .core.approval import Answered, Approved, Asked, Expired, Refused, Ruling, Superseded
    from .core.budget import Budget, Exceeded, Spent
    from .core.diagnosis import Diagnosis
    from .core.durability import MESSAGE, VOLATILE, Checkpointed, Durability, MailboxSpec, Message, Overflow, Volatile
    from .core.ended import Ended
    from .core.exit import Exit, Failed, Failure, Finished, Stopped
    from .core.limiter import IntakeLimit
    from .core.loops import LoopLimit
    from .core.message import Happened, Priority, Request
    from .core.path import Path
    from .core.step import Done, GiveUp
    from .core.timetable import timetable
    from .core.upcasts import Upcasts
    from .errors import (
        AgentFailed,
        AgentStopped,
        AlreadyPresent,
        AlreadyRuled,
        AlreadyStarted,
        AskCycle,
        AskTimeout,
        CallFailed,
        CheckpointRefused,
        CommitFailed,
        ConfigurationError,
        DeliveryError,
        DurabilityError,
        EpochLost,
        ForwardCycle,
        Ignore,
        InDoubt,
        IntakeClosed,
        IsDynamic,
        JournalDamaged,
        JournalError,
        JournalOwned,
        MailboxFull,
        NoSuchAction,
        NoSuchSlot,
        NotDone,
        NotFound,
        NotHandled,
        Parked,
        ProcessDied,
        ProcessError,
        QuorumMissed,
        RateLimited,
        ReplayRefused,
        StartFailed,
        Stash,
        StillRestarting,
        StillRunning,
        Stop,
        SupervisionError,
        SupervisorGone,
        TreeFailed,
        TreewardenError,
        UnknownKind,
        WrongThread,
    )
    from .events import WaitExpired
    from .process import Call, ProcessAgent, ProcessWorker, process
    from .purse import Correct, Left, Purse, Spend, spend
    from .ref import Ref
    from .retry import retry
    from .statistics import MailboxStatistics
    from .worker import Job, worker

__all__ = [
    "MESSAGE",
    "VOLATILE",
    "Agent",
    "AgentFailed",
    "AgentSpec",
    "AgentStopped",
    "AlreadyPresent",
    "AlreadyRuled",
    "AlreadyStarted",
    "Answered",
    "Approved",
    "AskCycle",
    "AskTimeout",
    "Asked",
    "Budget",
    "Call",
    "CallFailed",
    "CheckpointRefused",
    "Checkpointed",
    "CommitFailed",
    "ConfigurationError",
    "Correct",
    "DeliveryError",
    "Diagnosis",
    "Done",
    "Durability",
    "DurabilityError",
    "Ended",
    "EpochLost",
    "Exceeded",
    "Exit",
    "Expired",
    "Failed",
    "Failure",
    "Finished",
    "ForwardCycle",
    "GiveUp",
    "Happened",
    "Ignore",
    "InDoubt",
    "IntakeClosed",
    "IntakeLimit",
    "IsDynamic",
    "Job",
    "JournalDamaged",
    "JournalError",
    "JournalOwned",
    "Left",
    "LoopLimit",
    "MailboxFull",
    "MailboxSpec",
    "MailboxStatistics",
    "Message",
    "NoSuchAction",
    "NoSuchSlot",
    "NotDone",
    "NotFound",
    "NotHandled",
    "Overflow",
    "Parked",
    "Path",
    "Priority",
    "ProcessAgent",
    "ProcessDied",
    "ProcessError",
    "ProcessWorker",
    "Purse",
    "QuorumMissed",
    "RateLimited",
    "Ref",
    "Refused",
    "ReplayRefused",
    "Request",
    "Ruling",
    "Spend",
    "Spent",
    "StartFailed",
    "Stash",
    "StillRestarting",
    "StillRunning",
    "Stop",
    "Stopped",
    "Superseded",
    "SupervisionError",
    "SupervisorGone",
    "TreeFailed",
    "TreewardenError",
    "UnknownKind",
    "Upcasts",
    "Volatile",
    "WaitExpired",
    "WrongThread",
    "at",
    "every",
    "handles",
    "process",
    "retry",
    "spend",
    "timetable",
    "worker",
]

__getattr__ = on_demand(
    __name__,
    agent="Agent at every handles",
    agent_spec="AgentSpec",
    core__approval="Answered Approved Asked Expired Refused Ruling Superseded",
    core__budget="Budget Exceeded Spent",
    core__diagnosis="Diagnosis",
    core__durability="MESSAGE VOLATILE Checkpointed Durability MailboxSpec Message Overflow Volatile",
    core__ended="Ended",
    core__exit="Exit Failed Failure Finished Stopped",
    core__limiter="IntakeLimit",
    core__loops="LoopLimit",
    core__message="Happened Priority Request",
    core__path="Path",
    core__step="Done GiveUp",
    core__timetable="timetable",
    core__upcasts="Upcasts",
    errors=(
        "AgentFailed AgentStopped AlreadyPresent AlreadyRuled AlreadyStarted AskCycle AskTimeout CallFailed "
        "CheckpointRefused CommitFailed ConfigurationError DeliveryError DurabilityError EpochLost "
        "ForwardCycle Ignore InDoubt IntakeClosed IsDynamic JournalDamaged JournalError JournalOwned MailboxFull "
        "NoSuchAction NoSuchSlot NotDone NotFound NotHandled Parked ProcessDied ProcessError QuorumMissed "
        "RateLimited ReplayRefused StartFailed Stash StillRestarting StillRunning Stop SupervisionError SupervisorGone "
        "TreeFailed TreewardenError UnknownKind WrongThread"
    ),
    events="WaitExpired",
    process="Call ProcessAgent ProcessWorker process",
    purse="Correct Left Purse Spend spend",
    ref="Ref",
    retry="retry",
    statistics="MailboxStatistics",
    worker="Job worker",
)
