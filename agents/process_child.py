"""The other end of a `ProcessAgent`: one function in a process of its own, called by lines of JSON.

Run as a script (`python -P process_child.py`) and made of the standard library alone, so that it starts fast and
imports nothing besides what the function's own module does.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

__all__ = ["main"]


def main() -> None:
    """Answer calls until the other end hangs up; then this process and all that it has started end at once.

    What the function prints goes to the standard error, for the standard output belongs to the answers.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    calls = sys.stdin.buffer
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  # for as long as the process lives
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tree, which stops this process in order
    try:
        function = _function(json.loads(calls.readline()))
    except Exception as error:
        _send(answers, _told(error))
        sys.exit(1)
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    _send(answers, {"ready": os.getpid()})
    threading.Thread(target=_listen, args=(calls, waiting), daemon=True).start()
    while True:
        call = waiting.get()
        _send(answers, {"id": call["id"], **_outcome(function, call["data"])})


def _function(given: dict[str, Any]) -> Callable[[Any], Any]:
    sys.path[:] = given["path"]
    module, _, name = str(given["function"]).partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _outcome(function: Callable[[Any], Any], data: Any) -> dict[str, Any]:
    try:
        result = function(data)
        json.dumps(result)
    except Exception as error:
        return _told(error)
    return {"result": result}


def _told(error: Exception) -> dict[str, Any]:
    return {
        "error": f"{type(error).__qualname__}: {error}",
        "trace": "".join(traceback.format_exception(error, limit=-8)),
    }


def _send(answers: BinaryIO, what: dict[str, Any]) -> None:
    answers.write(json.dumps(what, separators=(",", ":")).encode() + b"\n")
    answers.flush()


def _listen(calls: BinaryIO, waiting: queue.SimpleQueue[dict[str, Any]]) -> None:
    """In a thread: whoever calls may die while the function runs, and then nobody wants its result."""
    for line in calls:
        waiting.put(json.loads(line))
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
