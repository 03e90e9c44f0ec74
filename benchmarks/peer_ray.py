"""Ray: a process per actor. Runs in the environment of `make bench-peers RAY=1`."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# (what is installed there cannot be seen from here)

from __future__ import annotations

import logging
import os
import time
from typing import Any

import ray
from peer_output import main, result


@ray.remote(max_restarts=-1, max_task_retries=0, num_cpus=0)
class Counter:
    def __init__(self) -> None:
        self.counted = 0

    def ping(self) -> None:
        self.counted += 1

    def count(self) -> int:
        self.counted += 1
        return self.counted

    def crash(self) -> None:
        os._exit(1)


def started() -> Any:
    actor = Counter.remote()
    ray.get(actor.count.remote())
    return actor


def tell(size: int) -> dict[str, object]:
    actor = started()
    began = time.perf_counter()
    for _ in range(size):
        actor.ping.remote()
    counted = ray.get(actor.count.remote()) - 2
    return result(counted, time.perf_counter() - began)


def ask_one(size: int) -> dict[str, object]:
    actor = started()
    counted, began = 0, time.perf_counter()
    for _ in range(size):
        counted = ray.get(actor.count.remote(), timeout=5)
    return result(counted - 1, time.perf_counter() - began)


def crash(size: int) -> dict[str, object]:
    """The actor's process ends; Ray starts another (`max_restarts=-1`)."""
    actor = started()
    answered, spent = 0, 0.0
    for _ in range(size):
        began = time.perf_counter()
        actor.crash.remote()
        answered += _first_answer(actor)
        spent += time.perf_counter() - began
    return result(answered, spent)


def _first_answer(actor: Any) -> int:
    until = time.perf_counter() + 60
    while True:
        try:
            if ray.get(actor.count.remote(), timeout=10) == 1:
                return 1
        except ray.exceptions.RayError:
            if time.perf_counter() > until:
                raise
        time.sleep(0.002)


def in_cluster(case: Any) -> Any:
    def run(size: int) -> dict[str, object]:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
        try:
            return case(size)
        finally:
            ray.shutdown()

    return run


if __name__ == "__main__":
    main("ray", {case.__name__: in_cluster(case) for case in (tell, ask_one, crash)})
