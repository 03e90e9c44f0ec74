"""The studio as it is run: orders and rulings over HTTP, two processes that are killed in the middle, two mornings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

STUDIO = Path(__file__).parents[2] / "examples" / "studio" / "studio.py"
COMMAND = (sys.executable, "-c", "import sys; from treewarden.topologies.cli import main; sys.exit(main())")
DAY = 86_400
T = TypeVar("T")


class Studio:
    """A process of the studio, and what it answers."""

    def __init__(self, folder: Path, *words: str) -> None:
        line = [sys.executable, str(STUDIO), "studio.db", "--port", "0", *words]
        self.process = subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().removeprefix('port ').strip()}"

    def post(self, where: str, **said: Any) -> tuple[int, str]:
        request = Request(f"{self.url}/{where}", json.dumps(said).encode())
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def order(self, number: int, topic: str, cents: int) -> None:
        assert self.post("orders", number=number, topic=topic, cents=cents) == (200, "it is on disk")

    def waits(self) -> list[dict[str, Any]]:
        with urlopen(f"{self.url}/waits", timeout=30) as answer:
            return json.load(answer)

    def end(self) -> int:
        """Kill it, if it still runs."""
        self.process.send_signal(signal.SIGKILL)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(timeout=30)


@pytest.fixture
def studios(tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    begun: list[Studio] = []

    def begin(*words: str) -> Studio:
        begun.append(Studio(tmp_path, *words))
        return begun[-1]

    yield begin
    for each in begun:
        each.end()


def when(look: Callable[[], T], want: Callable[[T], object]) -> T:
    """What `look` finds as soon as it is wanted."""
    end = time.monotonic() + 60
    while not want(found := look()):
        assert time.monotonic() < end, found
        time.sleep(0.01)
    return found


def lines(file: Path) -> list[str]:
    """What the world outside has, without the keys."""
    found = file.read_text().splitlines() if file.exists() else []
    return sorted(line.partition(" ")[2] for line in found)


def treewarden(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=60, env={**os.environ, "NO_COLOR": "1"}
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def test_nothing_is_begun_paid_or_posted_twice(tmp_path: Path, studios: Callable[..., Studio]) -> None:
    bill, posted = tmp_path / "bill.txt", tmp_path / "posted.txt"
    first = studios("--thinks", "0")
    first.order(1, "tea", 300)
    first.order(1, "tea", 300)  # as webhooks are: once or more
    first.order(2, "rum", 90_000)
    first.order(3, "gold", 80_000)
    shown = when(first.waits, lambda found: [each["wait"] for each in found].count("spend") == 2 and len(found) == 3)
    keys = {each["about"]["number"]: each["key"] for each in shown if each["key"]}
    rum: dict[str, Any] = {"key": keys[2], "by": "ada", "approved": True}
    assert first.post("rulings", **rum) == (200, "of {'number': 2, 'topic': 'rum', 'cents': 90000}")
    code, late = first.post("rulings", **rum | {"approved": False, "by": "eve"})
    assert (code, "was approved by ada at " in late) == (409, True)
    assert first.post("rulings", **rum | {"key": "none"})[0] == 400
    assert first.post("orders", number="x")[0] == 400
    when(first.waits, lambda found: [each["wait"] for each in found].count("morning") == 2)
    assert first.end() == -signal.SIGKILL

    assert "  Order  writers  waits since " in treewarden(tmp_path, "trace", "studio.db", "order-3")
    said = treewarden(tmp_path, "refuse", "studio.db", "writers", "--key", keys[3], "--by", "eve")
    assert said.endswith("is refused by eve, from the next start on\n")

    second = studios("--thinks", "600")
    second.order(4, "salt", 500)
    when(lambda: lines(bill), lambda found: "4 500" in found)  # the model is at it
    assert second.end() == -signal.SIGKILL
    assert lines(bill) == ["1 300", "2 90000", "4 500"]
    assert lines(posted) == []

    third = studios("--thinks", "600", "--ahead", str(2 * DAY))
    third.order(1, "tea", 300)
    assert when(lambda: lines(posted), lambda found: len(found) == 2) == ["1 all about tea", "2 all about rum"]
    (left,) = when(third.waits, lambda found: len(found) == 1)  # it was paid for, the model says, and has its morning
    assert left["wait"] == "morning"
    assert treewarden(tmp_path, "stop", "studio.db") == "applied: the tree has stopped\n"
    assert third.process.wait(timeout=30) == 0

    fourth = studios("--ahead", str(4 * DAY))
    when(lambda: lines(posted), lambda found: len(found) == 3)
    when(fourth.waits, lambda found: not found)
    treewarden(tmp_path, "stop", "studio.db")
    assert lines(posted) == ["1 all about tea", "2 all about rum", "4 all about salt"]
    assert lines(bill) == ["1 300", "2 90000", "4 500"]
    (fact,) = treewarden(tmp_path, "journal", "show", "studio.db", "--kind", "Recorded").splitlines()
    assert fact.endswith("writers:Dropped number=3 why=Refused")
