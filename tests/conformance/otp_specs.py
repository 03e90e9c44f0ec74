"""Nodes of a scenario as specs of ours. What has no counterpart with us is refused here, the rest by the product."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen
from otpvec import child_of_template, is_dynamic, is_supervisor

from treewarden.agents.core.durability import VOLATILE, MailboxSpec
from treewarden.agents.core.path import Path
from treewarden.supervisor.core.check import check_supervisor
from treewarden.supervisor.core.spec import (
    BRUTAL_KILL,
    NO_BACKOFF,
    AutoShutdown,
    BrutalKill,
    ChildSpec,
    Grace,
    Intensity,
    RestartPolicy,
    Spec,
    Strategy,
    SupervisorSpec,
)

if TYPE_CHECKING:
    from otp_world import World

__all__ = ["Malformed", "Script", "auto_shutdown", "child_spec", "description", "supervisor_spec"]

_IN_MEMORY = MailboxSpec(durability=VOLATILE)


class Malformed(ValueError):
    """A spec that cannot even be written down with our types."""


@frozen
class Script:
    """What the children described by one node do: their starts, and how they answer a stop."""

    node: Mapping[str, Any]
    template: bool = False

    def of(self, path: str) -> Mapping[str, Any]:
        """The node for the child at `path`."""
        return child_of_template(dict(self.node), path.rpartition("/")[2]) if self.template else self.node

    def outcome(self, path: str, attempt: int) -> str:
        """What the start function says when it is called for `path` for the `attempt`-th time."""
        node = self.of(path)
        starts = node.get("starts", [])
        return starts[attempt - 1] if attempt <= len(starts) else node.get("then", "ok")


@frozen
class Init:
    """The start function of a supervisor."""

    world: World
    script: Script

    async def __call__(self, path: Path) -> object:
        return await self.world.begin(path, self.script)


def child_spec(node: object, world: World, *, template: bool = False) -> Spec:
    """A node as a spec. Raises `Malformed`."""
    if not isinstance(node, dict):
        raise Malformed(f"{node!r} is no node")
    node = cast("dict[str, Any]", node)
    kind = node.get("type", "worker")
    if kind not in ("worker", "supervisor"):
        raise Malformed(f"type is {kind!r}")
    _check_modules(node.get("modules"))
    try:
        if not is_supervisor(node):
            return _worker(node, world, template)
        spec = supervisor_spec(node, world, template=template)
        if "starts" in node or "then" in node:
            check_supervisor(spec)  # what its start function comes to is first, and then the refusal
        return spec
    except (TypeError, ValueError) as error:
        return _broken(node, world, error, template)


def _broken(node: dict[str, Any], world: World, error: Exception, template: bool) -> Spec:
    """A supervisor whose start will find that it cannot work with its flags and children; a worker has none."""

    async def on_start(path: Path) -> None:
        await world.begin(path, Script(node, template))
        raise ValueError(str(error)) from error

    with suppress(TypeError, ValueError):
        if is_supervisor(node):
            return SupervisorSpec(**_common(node), on_start=on_start, start_within=math.inf)
    raise Malformed(str(error)) from error


def _worker(node: dict[str, Any], world: World, template: bool) -> ChildSpec:
    agent: Any = "no function" if node.get("bad_start") else world.worker
    fields: dict[str, Any] = {} if node.get("no_start") else {"agent": agent}
    return ChildSpec(
        **_common(node),
        **fields,
        args={"world": world, "script": Script(node, template)},
        mailbox=_IN_MEMORY,
        backoff=NO_BACKOFF,
        start_within=math.inf,
    )


def supervisor_spec(node: dict[str, Any], world: World, *, template: bool = False) -> SupervisorSpec:
    """A node of a supervisor as a spec, with all that is below it. Raises `TypeError`, `ValueError`."""
    flags = node.get("flags", {})
    if not isinstance(flags, dict):
        raise Malformed(f"flags are {flags!r}")
    flags = cast("dict[str, Any]", flags)
    dynamic = is_dynamic(node)
    return SupervisorSpec(
        **_common(node),
        children=tuple(child_spec(child, world, template=dynamic) for child in node.get("children", [])),
        strategy=_one_of(Strategy, flags.get("strategy", "one_for_one")),
        restarts=Intensity(flags.get("intensity", 1), flags.get("period", 5)),
        auto_shutdown=auto_shutdown(flags.get("auto_shutdown", "never")),
        on_start=Init(world, Script(node, template)),
        start_within=math.inf,
    )


def _common(node: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"restart": _one_of(RestartPolicy, node.get("restart", "permanent"))}
    if "id" not in node:
        raise Malformed("it has no id")
    fields["id"] = node["id"]
    if "shutdown" in node:
        fields["shutdown"] = _shutdown(node["shutdown"])
    if "significant" in node:
        fields["significant"] = node["significant"]
    return fields


def _shutdown(value: Any) -> Any:
    match value:
        case "brutal_kill":
            return BRUTAL_KILL
        case "infinity":
            return Grace(math.inf)
        case int():
            return Grace(value / 1000)
        case _:
            return value


def auto_shutdown(value: Any) -> Any:
    return _one_of(AutoShutdown, value)


def _one_of(choices: Any, value: Any) -> Any:
    """The member of an enumeration; a text that names none stays as it is, for the product to refuse."""
    try:
        return choices(value)
    except ValueError:
        return value


def _check_modules(modules: Any) -> None:
    """Release handling has no counterpart with us."""
    if modules is None or modules == "dynamic":
        return
    if not isinstance(modules, list) or not all(isinstance(each, str) for each in cast("list[Any]", modules)):
        raise Malformed(f"modules are {modules!r}")


def description(spec: Spec) -> dict[str, Any]:
    """A spec as `get_childspec` tells it, with its defaults filled in."""
    shutdown = spec.shutdown
    if isinstance(shutdown, BrutalKill):
        told: Any = "brutal_kill"
    else:
        told = "infinity" if shutdown.seconds == math.inf else round(shutdown.seconds * 1000)
    return {
        "id": spec.id,
        "restart": str(spec.restart),
        "shutdown": told,
        "significant": spec.significant,
        "type": "supervisor" if isinstance(spec, SupervisorSpec) else "worker",
    }
