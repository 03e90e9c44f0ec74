"""How the model's supervisor answers calls, and takes a code change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from otp_processes import RESTARTING, Child, Json, Process, Steps
from otpvec import child_of_template

if TYPE_CHECKING:
    from otp_supervisor import Supervisor

__all__ = ["answer", "changed"]

STRATEGIES: Final = ("one_for_one", "one_for_all", "rest_for_one", "simple_one_for_one")


def answer(sup: Supervisor, step: Json) -> Steps:
    match step["fn"]:
        case "start_child":
            return (yield from _start(sup, step))
        case "terminate_child":
            return (yield from _terminate(sup, step))
        case "restart_child" | "delete_child" if sup.dynamic:
            return ["error", "simple_one_for_one"]
        case "restart_child" | "delete_child":
            child = _child(sup, step["id"]) if "id" in step else None
            if child is None or child.pid is not None:
                word = "not_found" if child is None else "restarting" if child.pid == RESTARTING else "running"
                return ["error", word]
            if step["fn"] == "delete_child":
                sup.children.remove(child)
                return "ok"
            well, what = yield from sup.start(child)
            return _begun(sup, child, well, what)
        case "which_children":
            return sup.listed()
        case "count_children":
            return sup.counts()
        case "get_childspec":
            return _spec(sup, step)
        case unknown:
            raise AssertionError(unknown)


def _child(sup: Supervisor, id: str) -> Child | None:
    return next((child for child in sup.children if child.id == id), None)


def _start(sup: Supervisor, step: Json) -> Steps:
    if sup.dynamic is not ("args" in step):
        sup.world.undecided = True
        return ["error", "invalid"]
    if sup.dynamic:
        tag = step["args"][0]
        child = Child(tag, child_of_template(sup.node["children"][0], tag), f"{sup.path}/{tag}")
    else:
        node = step["spec"]
        if not _is_sound(node, sup.flag("auto_shutdown", "never")):
            return ["error", "invalid"]
        child = Child(node["id"], node, f"{sup.path}/{node['id']}")
        present = _child(sup, child.id)
        if present is not None:
            if isinstance(present.pid, Process):
                return ["error", ["already_started", sup.pid(present.pid)]]
            return ["error", "already_present"]
    well, what = yield from sup.start(child)
    if well or (well is None and not child.temporary and not sup.dynamic):
        sup.children.append(child)
    return _begun(sup, child, well, what)


def _begun(sup: Supervisor, child: Child, well: bool | None, what: Any) -> Any:
    if well is None:
        if child.temporary and child in sup.children:
            sup.children.remove(child)
        return ["ok", None]
    if not well:
        return ["error", what]
    return ["ok", sup.pid(child.pid), *([] if what is None else [what])]


def _terminate(sup: Supervisor, step: Json) -> Steps:
    if sup.dynamic:
        if "id" in step:
            return ["error", "simple_one_for_one"]
        process: Process | None = step["pid"]
        child = next((each for each in sup.children if process is not None and _meant(each, process)), None)
        if child is None:
            return "ok" if process is not None and not process.alive else ["error", "not_found"]
    else:
        child = _child(sup, step["id"]) if "id" in step else None
        if child is None:
            return ["error", "not_found"]
    yield from sup.stop(child)
    if child.temporary or sup.dynamic:
        sup.children.remove(child)
    return "ok"


def _meant(child: Child, process: Process) -> bool:
    return child.pid is process or (child.pid == RESTARTING and child.last is process)


def _spec(sup: Supervisor, step: Json) -> Any:
    if sup.dynamic:
        template = Child("", sup.node["children"][0], "")
        if "pid_of" in step:
            process: Process | None = step["pid"]
            ours = any(process is not None and _meant(each, process) for each in sup.children)
            known = ours or (process is not None and not process.alive)
        else:
            known = step["id"] == template.node["id"]
        child = template if known else None
    else:
        child = _child(sup, step["id"]) if "id" in step else None
    if child is None:
        return ["error", "not_found"]
    told = {"restart": child.restart, "shutdown": child.shutdown, "significant": child.significant}
    return ["ok", {"id": child.node["id"], "type": child.kind, **told}]


def changed(sup: Supervisor, step: Json) -> Any:
    """New flags and specs; nobody starts or stops."""
    if step.get("returns") == "ignore":
        return "ok"
    nodes, flags = step.get("children", []), step.get("flags", {})
    if "returns" in step or not _are_sound(nodes, flags, dynamic=sup.dynamic):
        return ["error", "invalid"]
    sup.node = {**sup.node, "flags": flags, "children": nodes}
    if sup.dynamic:
        for child in sup.children:
            child.node = child_of_template(nodes[0], child.id)
        return "ok"
    known = {child.id: child for child in sup.children}
    listed = [known.pop(node["id"], Child(node["id"], node, f"{sup.path}/{node['id']}")) for node in nodes]
    for child, node in zip(listed, nodes, strict=True):
        child.node = node
    sup.children = [*listed, *known.values()]
    return "ok"


def _is_sound(node: Any, auto_shutdown: str) -> bool:
    """Whether a node can be a child at all, as far as scenarios get that wrong."""
    if not isinstance(node, dict) or "id" not in node:
        return False
    node = cast("Json", node)
    if node.get("no_start") or node.get("bad_start"):
        return False
    restart = node.get("restart", "permanent")
    shutdown = node.get("shutdown", 0)
    if restart not in ("permanent", "transient", "temporary") or (isinstance(shutdown, int) and shutdown < 0):
        return False
    return not node.get("significant") or (restart != "permanent" and auto_shutdown != "never")


def _are_sound(nodes: list[Any], flags: Any, *, dynamic: bool) -> bool:
    """Whether these can be the flags and children of one supervisor, as far as scenarios get that wrong."""
    if not isinstance(flags, dict):
        return False
    flags = cast("Json", flags)
    well = flags.get("strategy", "one_for_one") in STRATEGIES and isinstance(flags.get("intensity", 1), int)
    ids: list[str] = [node["id"] for node in nodes if isinstance(node, dict) and "id" in node]
    sound = all(_is_sound(node, flags.get("auto_shutdown", "never")) for node in nodes)
    return well and sound and len(set(ids)) == len(nodes) and (not dynamic or len(nodes) == 1)
