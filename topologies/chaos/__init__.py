"""Whole trees under test: worlds that a seed decides about, and the faults that come in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treewarden.agents.demand import on_demand

if TYPE_CHECKING:
    from .campaign import Campaign, Finding, run_seeds
    from .faults import (
        bad_version,
        cancel,
        clock_jump,
        clock_skew,
        corrupt_checkpoint,
        crash,
        decision_crash,
        delay,
        dependency_down,
        dependency_slow,
        deploy,
        disk_full,
        disk_locked,
        double_approval,
        drain,
        drop,
        duplicate,
        every_fault,
        full_context,
        hang,
        io_error,
        kill,
        kill_in_mid_restart,
        kill_supervisor,
        leak,
        lost_ack,
        malformed,
        poison,
        rate_limited,
        reorder,
        server_error,
        slow,
        stale_checkpoint,
        stream_cut,
        stubborn,
        suspend,
        tool_loop,
        torn_write,
    )
    from .lost import Lost
    from .marking import chaos
    from .model import ContextFull, Model
    from .outside import Outside, Service
    from .promises import no_acknowledged_message_lost, no_duplicate_effects, order_per_sender, restart_intensity
    from .refused import Refused
    from .replaying import Replay
    from .run import Run, Setting, run_world
    from .world import World

__all__ = [
    "Campaign",
    "ContextFull",
    "Finding",
    "Lost",
    "Model",
    "Outside",
    "Refused",
    "Replay",
    "Run",
    "Service",
    "Setting",
    "World",
    "bad_version",
    "cancel",
    "chaos",
    "clock_jump",
    "clock_skew",
    "corrupt_checkpoint",
    "crash",
    "decision_crash",
    "delay",
    "dependency_down",
    "dependency_slow",
    "deploy",
    "disk_full",
    "disk_locked",
    "double_approval",
    "drain",
    "drop",
    "duplicate",
    "every_fault",
    "full_context",
    "hang",
    "io_error",
    "kill",
    "kill_in_mid_restart",
    "kill_supervisor",
    "leak",
    "lost_ack",
    "malformed",
    "no_acknowledged_message_lost",
    "no_duplicate_effects",
    "order_per_sender",
    "poison",
    "rate_limited",
    "reorder",
    "restart_intensity",
    "run_seeds",
    "run_world",
    "server_error",
    "slow",
    "stale_checkpoint",
    "stream_cut",
    "stubborn",
    "suspend",
    "tool_loop",
    "torn_write",
]

__getattr__ = on_demand(
    __name__,
    campaign="Campaign Finding run_seeds",
    faults=(
        "bad_version cancel clock_jump clock_skew corrupt_checkpoint crash decision_crash delay "
        "dependency_down dependency_slow deploy disk_full disk_locked double_approval drain drop "
        "duplicate every_fault full_context hang io_error kill kill_in_mid_restart kill_supervisor leak "
        "lost_ack malformed poison rate_limited reorder server_error slow stale_checkpoint stream_cut "
        "stubborn suspend tool_loop torn_write"
    ),
    lost="Lost",
    marking="chaos",
    model="ContextFull Model",
    outside="Outside Service",
    promises="no_acknowledged_message_lost no_duplicate_effects order_per_sender restart_intensity",
    refused="Refused",
    replaying="Replay",
    run="Run Setting run_world",
    world="World",
)
