"""`treewarden check`: whether a TOML file is good, and the tree that it describes."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from treewarden.agents.core.durability import Checkpointed, Durability, Message, Volatile
from treewarden.agents.core.path import ROOT, Path
from treewarden.agents.worker import Dated
from treewarden.supervisor.core.spec import ChildSpec, Intensity, Spec, SupervisorSpec
from treewarden.supervisor.ops.wording import clean, columns, duration, plural

from ..core.blueprint import walk
from ..errors import BlueprintError
from ..toml import Topology, load
from .exits import ExitCode
from .stdout import Stdout

__all__ = ["check"]


def check(arguments: Namespace) -> int:
    """Print the tree of a file, or everything that is wrong with it. Starts nothing; agents' modules are imported."""
    out = Stdout.here()
    try:
        topology = load(arguments.file)
    except BlueprintError as error:
        if not arguments.json:
            raise
        out.json({"file": arguments.file, "good": False, "problems": error.as_data()})
        return ExitCode.REFUSED
    if arguments.json:
        out.json(_object(arguments.file, topology))
    else:
        out.lines(_lines(arguments.file, topology, out))
    return ExitCode.ORDERLY


def _lines(file: str, topology: Topology, out: Stdout) -> list[str]:
    slots = list(walk(topology.blueprint))
    agents = sum(isinstance(spec, ChildSpec) for _, spec in slots)
    policy = topology.blueprint.policy.name if topology.blueprint.policy is not None else "ladder"
    journal = topology.journal or f"{topology.name}.db"
    head = (
        f"{file} is good: {plural(agents, 'agent')} under {plural(len(slots) - agents, 'supervisor')}, "
        f"policy {policy}, journal {journal}"
    )
    heading = ("slot", "agent", "strategy", "restart", "durability")
    table = columns([heading, *(_row(path, spec) for path, spec in slots)], width=out.width)
    return [out.paint(clean(head), "good"), out.paint(table[0], "dim"), *table[1:]]


def _row(path: Path, spec: Spec) -> tuple[str, ...]:
    name = "  " * (0 if path == ROOT else path.count("/") + 1) + path.name
    if isinstance(spec, ChildSpec):
        return (name, agent_name(spec.agent, spec.args), "", str(spec.restart), durability(spec.mailbox.durability))
    strategy = f"{spec.strategy}, {_limit(spec.restarts)}"
    return (name, "pool" if spec.router is not None else "supervisor", strategy, str(spec.restart), "")


def _limit(intensity: Intensity) -> str:
    return f"{intensity.max_restarts} in {duration(intensity.within)}"


def durability(value: Durability) -> str:
    """`message`, `volatile`, `checkpoint every 10 messages or 5 s`."""
    match value:
        case Message():
            return "message"
        case Volatile():
            return "volatile"
        case Checkpointed(messages, seconds):
            often = [plural(messages, "message")] if messages is not None else []
            often += [duration(seconds)] if seconds is not None else []
            return f"checkpoint every {' or '.join(often)}"


def agent_name(agent: Callable[..., Any], args: Mapping[str, Any]) -> str:
    """`desk:Writer`; of a worker, the function that it runs."""
    function = args.get("fn")
    made = function if callable(function) else agent
    while isinstance(made, partial):
        made = made.func
    name = f"{getattr(made, '__module__', '?')}:{getattr(made, '__qualname__', type(made).__name__)}"
    if agent is Dated:
        return f"{name} at {args['times']}"
    period = args.get("period")
    return f"{name} every {duration(period)}" if callable(function) and isinstance(period, (int, float)) else name


def _object(file: str, topology: Topology) -> dict[str, Any]:
    return {
        "file": file,
        "good": True,
        "tree": topology.name,
        "journal": topology.journal or f"{topology.name}.db",
        "files": [str(each) for each in topology.files],
        "slots": [_slot(path, spec) for path, spec in walk(topology.blueprint)],
    }


def _slot(path: Path, spec: Spec) -> dict[str, Any]:
    common = {"path": path, "restart": spec.restart, "shutdown": spec.shutdown, "significant": spec.significant}
    if isinstance(spec, SupervisorSpec):
        policy = spec.policy.name if spec.policy is not None else None
        return {
            **common,
            "supervisor": True,
            "strategy": spec.strategy,
            "restarts": spec.restarts,
            "policy": policy,
            "pool": spec.router is not None,
        }
    return {
        **common,
        "supervisor": False,
        "agent": agent_name(spec.agent, spec.args),
        "durability": durability(spec.mailbox.durability),
        "capacity": spec.mailbox.capacity,
        "overflow": spec.mailbox.overflow,
        "deliveries": spec.mailbox.deliveries,
        "progress_within": spec.progress_within,
        "stable_after": spec.stable_after,
        "uses": spec.uses,
    }
