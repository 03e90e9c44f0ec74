"""A small HTTP service that answers well, slowly, wrongly or not at all, and dies at times. Standard library only.

    python demo_service.py --seed 7 --port 8080

What it answers depends on the seed, the path and how often that path was asked before, never on the time; so two runs
that ask alike are answered alike. The first segment of the path chooses the behaviour: see `BEHAVIOURS`.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any, Final

__all__ = ["BEHAVIOURS", "Asked", "Reply", "answer", "lifetime"]

DIED: Final = 3
"""The exit status of a scheduled death."""


@dataclass(frozen=True)
class Asked:
    """The n-th request (from 1) for a path."""

    seed: int
    path: str
    n: int = 1
    method: str = "GET"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        return self.path.strip("/").rpartition("/")[2]

    def chance(self, *what: object) -> Random:
        """Randomness that belongs to this path, and with `n` in `what` to this request."""
        return Random(f"{self.seed}:{self.path}:{what}")

    def trouble(self, first: int = 2, length: int = 6, every: int = 48) -> bool:
        """Whether this request falls into a bad episode: `length` requests of each `every`, the first early on."""
        shift = self.chance("shift").randrange(3)
        return (self.n - first - shift) % every < length and self.n >= first + shift


@dataclass(frozen=True)
class Reply:
    """What to answer, and how long to wait before."""

    status: int = 200
    body: str = ""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    never: bool = False
    """Keep the connection open and say nothing until the client has gone."""


def said(value: Any, **more: Any) -> Reply:
    return Reply(body=json.dumps(value), **more)


def thing(asked: Asked) -> dict[str, Any]:
    """The right answer for most paths."""
    number = int(asked.name) if asked.name.isdecimal() else asked.name
    return {"id": number, "name": f"{asked.path.strip('/').split('/')[0]} {asked.name}", "ok": True, "tags": ["a", "b"]}


def good(asked: Asked) -> Reply:
    return said(thing(asked))


def echo(asked: Asked) -> Reply:
    """Says what was sent, to any method."""
    try:
        sent = json.loads(asked.body) if asked.body else None
    except ValueError:
        sent = asked.body
    return said({"method": asked.method, "sent": sent}, status=201 if asked.method == "POST" else 200)


def text(asked: Asked) -> Reply:
    return Reply(body="all systems nominal\n", kind="text/plain")


def secure(asked: Asked) -> Reply:
    """Wants `Authorization: Bearer demo`."""
    if asked.headers.get("authorization") != "Bearer demo":
        return said({"error": "who are you?"}, status=401)
    return said(thing(asked), headers={"Cache-Control": "no-store"})


def slow(asked: Asked) -> Reply:
    """In an episode the right answer comes late, each time differently late."""
    late = asked.chance(asked.n).uniform(0.6, 1.2) if asked.trouble() else 0.0
    return said(thing(asked), delay=late)


def missing(asked: Asked) -> Reply:
    return said({"error": "not found"}, status=404) if asked.trouble() else good(asked)


def moved(asked: Asked) -> Reply:
    return Reply(status=302, headers={"Location": "/elsewhere"}) if asked.trouble() else good(asked)


def broken(asked: Asked) -> Reply:
    return said({"error": "out of order"}, status=500) if asked.trouble() else good(asked)


def wrong_field(asked: Asked) -> Reply:
    return said({**thing(asked), "ok": False}) if asked.trouble() else good(asked)


def missing_field(asked: Asked) -> Reply:
    return said({"name": asked.name}) if asked.trouble() else good(asked)


def empty_list(asked: Asked) -> Reply:
    return said([]) if asked.trouble() else good(asked)


def only_false(asked: Asked) -> Reply:
    return said(False) if asked.trouble() else good(asked)


def plain(asked: Asked) -> Reply:
    return Reply(body="<h1>It works!</h1>", kind="text/html") if asked.trouble() else good(asked)


def limited(asked: Asked) -> Reply:
    """Two of twelve requests are too many."""
    if asked.trouble(length=2, every=12):
        return said({"error": "slow down"}, status=429, headers={"Retry-After": "3"})
    return good(asked)


def hang(asked: Asked) -> Reply:
    return Reply(never=True) if asked.trouble(length=1, every=40) else good(asked)


def dead(asked: Asked) -> Reply:
    """Hangs for a whole episode."""
    return Reply(never=True) if asked.trouble(length=4) else good(asked)


def flapping(asked: Asked) -> Reply:
    """Every other request fails."""
    return said({"error": "now and then"}, status=500) if asked.n % 2 == 0 else good(asked)


def recovering(asked: Asked) -> Reply:
    """Fails at first and is well after a while, for good."""
    return said({"error": "warming up"}, status=503) if asked.n <= 2 else good(asked)


def stock(asked: Asked) -> Reply:
    """A list of things, which now and then is not what its readers have in mind."""
    if asked.n % 16 == 2:
        return said({"items": []})
    if asked.n % 16 == 9:
        return said({"error": "try again"})
    return said({"items": [{"sku": f"{asked.name}-{place}", "stock": place} for place in range(3)]})


def prices(asked: Asked) -> Reply:
    """As `stock`; some requests are one too many."""
    if asked.n % 7 == 3:
        return said({"error": "slow down"}, status=429, headers={"Retry-After": "4"})
    return said({"prices": {"oak": 12.5, "ash": 9.75}})


BEHAVIOURS: Final[Mapping[str, Callable[[Asked], Reply]]] = {
    "users": good, "orders": good, "products": good, "echo": echo, "text": text, "secure": secure, "slow": slow,
    "missing": missing, "moved": moved, "broken": broken, "wrong-field": wrong_field, "missing-field": missing_field,
    "empty-list": empty_list, "false": only_false, "plain": plain, "limited": limited, "hang": hang, "dead": dead,
    "flapping": flapping, "recovering": recovering, "stock": stock, "prices": prices,
}  # fmt: skip


def answer(asked: Asked) -> Reply:
    """What the service says to this request. Pure: the same request, the same answer."""
    behaviour = BEHAVIOURS.get(asked.path.strip("/").split("/")[0])
    return behaviour(asked) if behaviour is not None else said({"error": "no such path"}, status=404)


def lifetime(seed: int, life: int, shortest: float, longest: float) -> float:
    """Seconds that life number `life` (from 1) of the service lasts."""
    return Random(f"{seed}:life:{life}").uniform(shortest, longest)


class Demo(ThreadingHTTPServer):
    """Counts how often each path was asked."""

    daemon_threads = True
    request_queue_size = 256  # fifty pollers may connect in the same moment

    def __init__(self, port: int, seed: int, before: int) -> None:
        super().__init__(("127.0.0.1", port), OnePerConnection)
        self.seed = seed
        self.asked: defaultdict[str, int] = defaultdict(lambda: before)
        self.counting = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the client went away: its right
            super().handle_error(request, client_address)


class OnePerConnection(BaseHTTPRequestHandler):
    server: Demo  # pyright: ignore[reportIncompatibleVariableOverride]  # always made by a Demo

    def respond(self) -> None:
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        with self.server.counting:
            self.server.asked[path] += 1
            n = self.server.asked[path]
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = answer(Asked(self.server.seed, path, n, self.command, body, headers))
        if reply.never:
            self.rfile.read(1)  # returns when the client hangs up
            return
        if reply.delay:
            time.sleep(reply.delay)
        content = reply.body.encode()
        self.send_response(reply.status)
        for name, value in {"Content-Type": reply.kind, "Content-Length": str(len(content)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = respond

    def log_message(self, format: str, *args: Any) -> None:
        pass


def bind(port: int, seed: int, before: int, patience: float) -> Demo:
    """Listen at `port`, which the last life may hold for a moment still; after `patience` seconds at any."""
    until = time.monotonic() + patience
    while True:
        try:
            return Demo(port, seed, before)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            if time.monotonic() > until:
                port = 0
            time.sleep(0.05)


def leave_with_parent() -> None:
    """Exit when standard input ends: the parent holds its other end, and lets go of it however it dies."""
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="An HTTP service that behaves badly on purpose.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--port", type=int, default=0, help="0 (the default): any that is free")
    parser.add_argument("--before", type=int, default=0, metavar="N", help="as if each path had been asked N times")
    parser.add_argument("--dies-after", type=float, default=0.0, metavar="SECONDS", help="0 (the default): never")
    parser.add_argument("--patience", type=float, default=2.0, metavar="SECONDS", help="how long to wait for the port")
    parser.add_argument("--with-parent", action="store_true", help="exit when standard input ends")
    options = parser.parse_args()
    if options.with_parent:
        threading.Thread(target=leave_with_parent, daemon=True).start()
    server = bind(options.port, options.seed, options.before, options.patience)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    if options.dies_after > 0:  # counted from here: whoever reads the address finds it alive, however busy the machine
        death = threading.Timer(options.dies_after, os._exit, (DIED,))
        death.daemon = True
        death.start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
