"""Pykka: a thread per actor. Runs in the environment that `make bench-peers` makes."""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# (what is installed there cannot be seen from here)

from __future__ import annotations

import logging
import threading
import time

import pykka
from machine import resident_bytes
from peer_output import main, result

PING = "ping"
COUNT = "count"
CRASH = "crash"


class Counter(pykka.ThreadingActor):
    def __init__(self, restarted: threading.Event | None = None) -> None:
        super().__init__()
        self.counted = 0
        self.restarted = restarted

    def on_receive(self, message: object) -> object:
        if message is PING:
            self.counted += 1
            return None
        if message is COUNT:
            self.counted += 1
            return self.counted
        raise RuntimeError("told to")

    def on_failure(self, *_: object) -> None:
        """What a program that wants another life has to write by hand."""
        if self.restarted is not None:
            Crashing.successor = Counter.start()
            self.restarted.set()


class Crashing:
    """Where the next life is found."""

    successor: pykka.ActorRef


def tell(size: int) -> dict[str, object]:
    actor = Counter.start()
    began = time.perf_counter()
    for _ in range(size):
        actor.tell(PING)
    counted = actor.ask(COUNT, timeout=60) - 1
    return result(counted, time.perf_counter() - began)


def ask_one(size: int) -> dict[str, object]:
    actor = Counter.start()
    counted, began = 0, time.perf_counter()
    for _ in range(size):
        counted = actor.ask(COUNT, timeout=5)
    return result(counted, time.perf_counter() - began)


def ask_many(size: int) -> dict[str, object]:
    """100 asks under way at once, one to each of 100 actors."""
    actors = [Counter.start() for _ in range(100)]
    counted = 0
    began = time.perf_counter()
    for _ in range(size // 100):
        futures = [actor.ask(COUNT, block=False) for actor in actors]
        counted = sum(future.get(timeout=5) for future in futures)
    return result(counted, time.perf_counter() - began)


def spawn(size: int) -> dict[str, object]:
    began = time.perf_counter()
    actors = [Counter.start() for _ in range(size)]
    wall = time.perf_counter() - began
    return result(len(actors), wall)


def idle_bytes(size: int) -> dict[str, object]:
    before = resident_bytes()
    began = time.perf_counter()
    actors = [Counter.start() for _ in range(size)]
    counted = sum(actor.ask(COUNT, timeout=60) for actor in actors)
    grown = resident_bytes() - before
    return result(counted, time.perf_counter() - began, value=grown / size)


def crash(size: int) -> dict[str, object]:
    answered, spent = 0, 0.0
    for _ in range(size):
        restarted = threading.Event()
        actor = Counter.start(restarted)
        actor.ask(COUNT)
        began = time.perf_counter()
        actor.tell(CRASH)
        restarted.wait(5)
        answered += Crashing.successor.ask(COUNT, timeout=5)
        spent += time.perf_counter() - began
        Crashing.successor.stop()
    return result(answered, spent)


if __name__ == "__main__":
    logging.getLogger("pykka").setLevel(logging.CRITICAL + 1)
    cases = (tell, ask_one, ask_many, spawn, idle_bytes, crash)
    try:
        main("pykka", {case.__name__: case for case in cases})
    finally:
        pykka.ActorRegistry.stop_all(block=True)
