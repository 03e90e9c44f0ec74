"""Scenarios by chance, over the whole grammar of FORMAT.md, for comparing with the model of OTP.

`python tests/conformance/otp_chance.py 0 20000` runs that range of seeds and closes with `N agree, M differ`. Left out
is what OTP leaves open, or what FORMAT.md says is no scenario: see `undecided`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import otp_model
from otp_driver import run
from otpvec import Json, Vector, canonical, compare

__all__ = ["disagreements", "scenario"]

_IDS: Final = ("a", "b", "c", "d", "e", "f")
_TAGS: Final = ("t1", "t2", "t3")
_ADDED: Final = ("n1", "n2")
_REASONS: Final[list[Any]] = ["normal", "shutdown", ["shutdown", "x"], "crash", "other"]
_DYNAMIC: Final = "simple_one_for_one"


class _Chance:
    """One tree and its steps. Times are chosen so that no two are over at the same moment."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.gated = self.likely(0.4)
        self.killing = self.likely(0.55)
        self.holding = self.gated and not self.killing and self.likely(0.6)
        self.sleepy = not self.gated and self.likely(0.15)
        self.failing = self.random.choice((0.05, 0.2, 0.4))
        self.workers: list[str] = []
        self.supervisors: dict[str, bool] = {}
        """Where supervisors may stand, and whether they are dynamic."""

    def likely(self, probability: float) -> bool:
        return self.random.random() < probability

    def one_of(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    # -- trees

    def tree(self) -> Json:
        tree = self.supervisor("root", self.one_of(0, 1, 1, 2, 2, 3), significant=False)
        for field in ("restart", "shutdown", "significant", *(() if self.likely(0.1) else ("starts", "then"))):
            tree.pop(field, None)
        tree["starts"] = [outcome for outcome in tree.get("starts", []) if outcome != "ok_info"]
        if tree.get("then") == "ok_info":
            del tree["then"]
        self._visit(tree, "root")
        return tree

    def _visit(self, node: Json, path: str) -> None:
        if node.get("type") != "supervisor":
            self.workers.append(path)
            return
        dynamic = self.supervisors[path] = node["flags"].get("strategy") == _DYNAMIC
        for child in node["children"]:
            for id in _TAGS if dynamic else (child["id"],):
                self._visit(child, f"{path}/{id}")
        if not dynamic:
            self.workers.extend(f"{path}/{id}" for id in _ADDED)

    def supervisor(self, id: str, level: int, *, significant: bool, dynamic: bool | None = None) -> Json:
        dynamic = self.likely(0.25) if dynamic is None else dynamic
        node: Json = {"id": id, "type": "supervisor", "flags": self.flags(dynamic)}
        self._common(node, significant=significant)
        if self.killing and self.likely(0.5):
            limit = 27 if self.sleepy else 10 * self.random.randrange(1, 20) + level + 1
            node["shutdown"] = self.one_of("infinity", "brutal_kill", limit)
        if dynamic:
            node["children"] = [self._template(level if self.likely(0.5) else 0)]
        else:
            watched = node["flags"].get("auto_shutdown", "never") != "never"
            ids = self.random.sample(_IDS, self.one_of(0, 1, 1, 2, 2, 3, 3, 4, 5) if level else self.one_of(1, 2, 3, 4))
            node["children"] = [self.child(each, level, significant=watched) for each in ids]
        return node

    def flags(self, dynamic: bool) -> Json:
        flags: Json = {"intensity": self.one_of(0, 1, 1, 2, 2, 3, 3, *(() if self.sleepy else (5, 10)))}
        flags["period"] = 1 if self.sleepy else 3600
        if dynamic:
            flags["strategy"] = _DYNAMIC
        elif self.likely(0.9):
            flags["strategy"] = self.one_of("one_for_one", "one_for_all", "rest_for_one")
        if not dynamic and self.likely(0.35):
            flags["auto_shutdown"] = self.one_of("any_significant", "all_significant", "never")
        return flags

    def child(self, id: str, level: int, *, significant: bool) -> Json:
        if level and self.likely(0.4):
            return self.supervisor(id, level - 1, significant=significant)
        node: Json = {"id": id}
        self._common(node, significant=significant)
        if self.likely(0.6):
            node["shutdown"] = self.one_of("brutal_kill", self._limit(), "infinity")
        if self.likely(0.6):
            node["on_stop"] = self._on_stop(node)
        return node

    def _limit(self) -> int:
        return 6 if self.sleepy else 10 * self.random.randrange(1, 7) + 5

    def _template(self, level: int) -> Json:
        node = self.child("x", level, significant=False)
        special: Json = {}
        for tag in _TAGS:
            other: Json = {}
            if self.likely(0.25):
                other["starts"] = self._starts()
            if self.likely(0.1):
                other["then"] = self.one_of("error", "ignore", "crash")
            if node.get("type") != "supervisor" and self.likely(0.2):
                other["on_stop"] = self._on_stop(node)
            if other:
                special[tag] = other
        return {**node, "by_tag": special} if special else node

    def _common(self, node: Json, *, significant: bool) -> None:
        if self.likely(0.85):
            node["restart"] = self.one_of("permanent", "permanent", "transient", "temporary")
        if self.likely(0.7):
            node["starts"] = self._starts()
        if self.likely(0.12):
            node["then"] = self.one_of("ok", "error", "crash", "ignore", "ok_info", *(["gate"] * self.gated))
        if significant and node.get("restart", "permanent") != "permanent" and self.likely(0.6):
            node["significant"] = True

    def _starts(self) -> list[str]:
        outcomes = ["ok"] * self.likely(0.93)
        while self.likely(0.55) and len(outcomes) < 6:
            if self.likely(self.failing):
                outcomes.append(self.one_of("error", "error", "crash", "ignore", "already_started"))
            else:
                outcomes.append(self.one_of("ok", "ok", "ok_info", *(["gate"] * 2 * self.gated)))
        return outcomes

    def _on_stop(self, node: Json) -> Any:
        delay = self.one_of(0, 3) if self.sleepy else 10 * self.random.randrange(8)
        reactions = ["exit", "exit", {"delay_ms": delay, "reason": self.one_of(*_REASONS)}]
        if isinstance(node.get("shutdown"), int):
            reactions.append("ignore")
        if self.holding and node.get("shutdown") == "infinity":
            reactions += ["hold"] * 3
        return self.one_of(*reactions)

    # -- steps

    def steps(self) -> Iterator[Json]:
        yield {"op": "start"}
        kinds = ["exit"] * 4 + ["exit_many", "start", "start", "named", "named", "named", "look", "stop_sup"]
        kinds += ["change"] * self.likely(0.3) + ["release"] * 5 * self.gated + ["kill"] * self.killing
        kinds += ["sleep"] * 3 * self.sleepy
        for _ in range(self.random.randrange(1, 15)):
            yield self._step(self.one_of(*kinds))
        if self.likely(0.6):
            yield {"op": "stop"}
        if self.gated:
            yield from (self._step("release") for _ in range(self.random.randrange(4)))
        if self.holding:
            yield from ({"op": "release", "target": path, "outcome": "shutdown"} for path in sorted(self.workers))

    def _step(self, kind: str) -> Json:
        sup = self.one_of(*sorted(self.supervisors))
        ways = [*_REASONS, "crash", "kill"]
        match kind:
            case "exit":
                return {"op": "exit", "target": self._worker(), "reason": self.one_of(*ways)}
            case "exit_many":
                paths = self._below(sup, *(self.supervisors if self.killing else ())) or [f"{sup}/nobody"]
                several = self.random.sample(paths, min(len(paths), self.random.randrange(1, 5)))
                ends = [[path, "kill" if path in self.supervisors else self.one_of(*ways)] for path in several]
                return {"op": "exit_many", "targets": ends}
            case "kill":
                return {"op": "exit", "target": sup, "reason": "kill"}
            case "sleep":
                return {"op": "sleep", "ms": 2200}
            case "stop_sup":
                return {"op": "stop_sup", "target": sup, "reason": self.one_of(*_REASONS)}
            case "release":
                outcome = self.one_of("ok", "ok", "ok", "error", "ignore", "crash", "already_started")
                return {"op": "release", "target": self.one_of(*self.workers, *self.supervisors), "outcome": outcome}
            case "change":
                return self._change(sup)
            case _:
                return {"op": "call", "sup": sup, **self._call(kind, sup)}

    def _worker(self) -> str:
        return self.one_of(*(self.workers or ["root/nobody"]))

    def _below(self, sup: str, *more: str) -> list[str]:
        return [path for path in (*self.workers, *more) if path.rpartition("/")[0] == sup]

    def _change(self, sup: str) -> Json:
        if self.likely(0.15):
            return {"op": "code_change", "sup": sup, "returns": self.one_of("ignore", "bad")}
        node = self.supervisor("changed", 0, significant=False, dynamic=self.supervisors[sup])
        for child in node["children"]:  # whoever lives there may be one that waits for its limit
            child["shutdown"] = self.one_of("brutal_kill", 7 if self.sleepy else 10 * self.random.randrange(2, 7) + 4)
        return {"op": "code_change", "sup": sup, "flags": node["flags"], "children": node["children"]}

    def _call(self, kind: str, sup: str) -> Json:
        dynamic = self.supervisors[sup]
        if kind == "start" and dynamic:
            return {"fn": "start_child", "args": [self.one_of(*_TAGS)]}
        if kind == "start":
            spec = self.child(self.one_of(*_IDS, *_ADDED), self.one_of(0, 0, 1), significant=self.likely(0.4))
            return {"fn": "start_child", "spec": spec}
        if kind == "look":
            return {"fn": self.one_of("which_children", "count_children")}
        fn = self.one_of("terminate_child", "terminate_child", "restart_child", "restart_child", "delete_child", "spec")
        fn = "get_childspec" if fn == "spec" else fn
        if fn in ("terminate_child", "get_childspec") and self.likely(0.9 if dynamic else 0.05):
            there = f"{sup}/{self.one_of(*_TAGS)}"
            return {"fn": fn, "pid_of": self._worker() if self.likely(0.1) else there}
        ids = [path.rpartition("/")[2] for path in self._below(sup)] or ["x"]
        return {"fn": fn, "id": self.one_of(*_IDS, *_ADDED, "x") if self.likely(0.2) else self.one_of(*ids)}


def scenario(seed: int) -> tuple[Json, tuple[str, ...]]:
    """The scenario of a seed, and its tags."""
    chance = _Chance(seed)
    tree = chance.tree()
    return {"tree": tree, "steps": list(chance.steps())}, ("sleep",) if chance.sleepy else ()


def undecided(scenario: Json, flat: Sequence[Json]) -> bool:
    """Whether this is no scenario, or one in which OTP's order of things is not ours to keep.

    A tag must not be given to two who live. A supervisor that has mail when it has begun goes on beside the one that
    started it. And who is left below a killed one holds up its successor here (docs/decisions/0007), which OTP starts
    beside it: for good where that is blocked, and behind what its supervisor has in its mail where it takes time.
    """
    if flat[-1]["undecided"]:
        return True
    for step, before in zip(scenario["steps"][1:], flat, strict=False):
        if step.get("fn") == "start_child" and "args" in step:
            state = before["state"].get(step["sup"])
            if state == "busy" or (state and any(child[0] in (None, *step["args"]) for child in state["children"])):
                return True
    return False


def disagreements(seed: int) -> list[str] | None:
    """How the supervisor differs from the model of OTP in the scenario of a seed; None where that is undecided."""
    made, tags = scenario(seed)
    wanted = otp_model.run(made)
    if undecided(made, wanted):
        return None
    vector = Vector(f"seed {seed}", tags, made, canonical(made, wanted))
    return compare(vector, run(vector, seed))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="otp_chance.py", description=__doc__)
    parser.add_argument("first", type=int, help="the first seed")
    parser.add_argument("end", type=int, help="the seed behind the last one")
    options = parser.parse_args(arguments)
    agree = differ = 0
    for seed in range(options.first, options.end):
        found = disagreements(seed)
        if found:
            print(f"seed {seed}: {json.dumps(scenario(seed)[0])}", *found, sep="\n  ")
        agree += found == []
        differ += bool(found)
    print(f"{agree} agree, {differ} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
