"""Orders, and what people say of them, come over HTTP: in threads, which have a portal.

    python examples/studio/studio.py studio.db &
    curl localhost:8700/orders -d '{"number": 7, "topic": "tea", "cents": 90000}'
    curl localhost:8700/waits
    curl localhost:8700/rulings -d '{"key": "5e0c61a94d20", "by": "ada", "approved": true}'
    treewarden trace studio.db order-7
    treewarden stop studio.db

Kill it with -9 whenever you like, and start it again: nothing is begun, paid or posted twice, and who waits, waits on.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trio
from writers import Intake, Order, Writer

from treewarden.agents import AlreadyRuled, Approved, Refused, TreewardenError
from treewarden.topologies import Portal, child, open_portal, open_tree, pool, tree

__all__ = ["Door", "main"]


class Door(BaseHTTPRequestHandler):
    """One request, in a thread of its own."""

    def __init__(self, portal: Portal, *args: Any) -> None:
        self.portal = portal
        super().__init__(*args)

    def do_GET(self) -> None:
        self.answer(self.waits)

    def do_POST(self) -> None:
        self.answer(self.order if self.path == "/orders" else self.rule)

    def waits(self) -> list[dict[str, Any]]:
        return [{"wait": each.wait, "key": each.key, "about": each.about} for each in self.portal.waits("writers")]

    def order(self) -> str:
        said = self.said()
        self.portal.tell("intake", Order(int(said["number"]), str(said["topic"]), int(said["cents"])))
        return "it is on disk"

    def rule(self) -> str:
        said = self.said()
        verdict = Approved(said["by"]) if said["approved"] is True else Refused(said["by"])
        return f"of {self.portal.rule('writers', verdict, key=said['key']).about}"

    def said(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, work: Callable[[], object]) -> None:
        try:
            code, found = 200, work()
        except (KeyError, TypeError, ValueError) as error:  # a `ConfigurationError`, too
            code, found = 400, f"{type(error).__name__}: {error}"
        except AlreadyRuled as error:
            code, found = 409, str(error)
        except TreewardenError as error:  # who comes again with the same is not taken twice
            code, found = 503, str(error)
        body = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the journal has what was done."""


async def main(journal: str, port: int, thinks: float, ahead: float) -> None:
    writers = pool(child(Writer, args={"thinks": thinks}), size=2, route="shared", id="writers")
    studio = tree(Intake, writers)
    async with (
        open_tree(studio, journal=journal, wall=lambda: time.time() + ahead) as running,
        open_portal(running) as portal,
    ):
        with ThreadingHTTPServer(("127.0.0.1", port), partial(Door, portal)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                print("port", server.server_port, flush=True)
                await running.wait_ended()
            finally:
                server.shutdown()


if __name__ == "__main__":
    words = argparse.ArgumentParser(description="Writers who ask before they spend, and post in the morning.")
    words.add_argument("journal", metavar="FILE.db")
    words.add_argument("--port", type=int, default=8700)
    words.add_argument("--thinks", type=float, default=1.0, metavar="SECONDS", help="how long the model takes (1)")
    words.add_argument("--ahead", type=float, default=0.0, metavar="SECONDS", help="pretend that it is so much later")
    told = words.parse_args()
    trio.run(main, told.journal, told.port, told.thinks, told.ahead)
