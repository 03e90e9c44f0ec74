"""Functions that the tests run in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

__all__ = ["add", "bad", "die", "exit_later", "helped", "loud", "pid", "wait", "why"]


def pid(_: Any) -> int:
    return os.getpid()


def why(_: Any) -> Any:
    said = os.environ["TREEWARDEN_DIAGNOSIS"]
    return json.loads(said) if said else said


def add(data: Any) -> int:
    return sum(data)


def bad(data: Any) -> Any:
    raise KeyError(data)


def loud(data: Any) -> Any:
    print("this is for people")  # noqa: T201  # what it does is what is tested
    return data


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def exit_later(_: Any) -> None:
    os._exit(3)


def wait(file: str) -> None:
    with open(file, "w", encoding="utf-8") as told:
        told.write(str(os.getpid()))
    time.sleep(3600)


def helped(_: Any) -> int:
    """Start a process of its own that would outlive it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"]).pid
