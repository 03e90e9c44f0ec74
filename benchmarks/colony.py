"""Jobs of five stages on worker processes that are killed, and their controller with them: make bench-colony

    make bench-colony ARGS="--seeds 0-2 --profile hostile"

Every contender meets the same fate: at the same seconds the same places get a SIGKILL, and so does the controller,
once; it is started again at once. A contender has nothing but what it wrote to its folder. What it does not measure:
machines that are lost with their disk. docs/performance-colony.md says how it is read.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE
from typing import Final

import trio
from attrs import asdict, frozen
from colony_fate import PROFILES, Fate, fate
from colony_measure import Run, measured, notes
from colony_report import Row, as_svg, as_text, rows
from speaking import take_any_terminal

__all__ = ["CONTENDERS", "LIMIT", "Contender", "main", "run_once"]

HERE: Final = Path(__file__).parent
OUT: Final = HERE.parent / "build" / "bench" / "colony.svg"
RETRIES: Final = 2
AT_ONCE: Final = 4
"""Runs side by side: their workers sleep."""
LIMIT: Final = 3_000.0
"""Seconds of the colony after which a run counts as failed."""
LIVES: Final = 10
"""How often a controller is started; one more death than this and the run counts as failed."""


@frozen
class Contender:
    name: str
    program: str
    retries: int


CONTENDERS: Final = (
    Contender("treewarden", "colony_ours.py", RETRIES),
    Contender("naive", "colony_naive.py", RETRIES),
    Contender("naive, unlimited", "colony_naive.py", 1_000_000),
)


async def run_once(contender: Contender, doom: Fate, folder: Path, speed: float) -> Run:
    """One run in an empty folder. Raises `RuntimeError` if the jobs have not ended by the limits.

    Cancelled: controller and workers are killed with it.
    """
    killed: dict[int, float] = {}
    died = [0.0]
    began = time.monotonic()
    complete = trio.Event()
    ends: list[str] = []
    controllers: list[trio.Process] = []

    async def controller() -> None:
        command = [sys.executable, HERE / contender.program, folder, "--speed", str(speed)]
        for _ in range(LIVES):
            process = await trio.lowlevel.open_process(
                [*command, "--retries", str(contender.retries)], stdout=PIPE, start_new_session=True
            )
            controllers.append(process)
            assert process.stdout is not None
            said = b"".join([chunk async for chunk in process.stdout]).decode()
            await process.wait()
            ends.extend(line for line in said.splitlines() if line.startswith("ended "))
            if ends:
                break
        complete.set()

    async def kill_the_controller() -> None:
        await trio.sleep(max(0.0, began + doom.controller_dies / speed - time.monotonic()))
        if controllers and controllers[-1].returncode is None:
            died[0] = time.monotonic()
            controllers[-1].kill()

    async def kill_workers() -> None:
        for loss in doom.losses:
            await trio.sleep(max(0.0, began + loss.at / speed - time.monotonic()))
            pid = _worker_of(folder, loss.place)
            if pid is not None and pid not in killed:
                killed[pid] = time.monotonic()
                _kill(pid)

    try:
        with trio.move_on_after(LIMIT / speed):
            async with trio.open_nursery() as nursery:
                for work in (controller, kill_the_controller, kill_workers):
                    nursery.start_soon(work)
                await complete.wait()
                nursery.cancel_scope.cancel()
    finally:
        for process in controllers:
            if process.returncode is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
    if not ends:
        raise RuntimeError(
            f"{contender.name}: jobs are open after {LIMIT:g} s of the colony or {LIVES} lives of its controller"
        )
    _, done, _given_up, at = ends[0].split()
    log = folder / "work.log"
    return measured(
        notes(log.read_text()), completed=int(done), killed=killed, began=began, ended=float(at), speed=speed,
        controller_died=died[0],
    )  # fmt: skip


def _worker_of(folder: Path, place: int) -> int | None:
    try:
        return int((folder / f"place-{place}").read_text())
    except FileNotFoundError:
        return None


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


async def _race(profiles: Sequence[str], seeds: Sequence[int], speed: float) -> list[Row]:
    found: dict[tuple[str, str], dict[int, Run]] = {}
    cases = [(profile, seed, each) for profile in profiles for seed in seeds for each in CONTENDERS]
    room = trio.CapacityLimiter(AT_ONCE)

    async def one(profile: str, seed: int, contender: Contender) -> None:
        async with room:
            with tempfile.TemporaryDirectory(prefix="colony-") as folder:
                run = await run_once(contender, fate(profile, seed), Path(folder), speed)
        found.setdefault((profile, contender.name), {})[seed] = run
        _show(sum(map(len, found.values())), len(cases))

    async with trio.open_nursery() as nursery:
        for case in cases:
            nursery.start_soon(one, *case)
    return rows({
        (profile, each.name): [found[profile, each.name][seed] for seed in seeds]
        for profile in profiles
        for each in CONTENDERS
    })  # fmt: skip


def _show(done: int, of: int) -> None:
    if sys.stderr.isatty():
        filled = 30 * done // of
        print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {done} of {of}", end="\n" * (done == of), file=sys.stderr)
        sys.stderr.flush()


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    found = range(int(first), int(last or first) + 1)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} has no seeds: write 0-9")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The colony: durable work whose workers and controller are killed.")
    parser.add_argument("--seeds", type=_seeds, default=range(10), metavar="0-9")
    parser.add_argument("--profile", choices=list(PROFILES), action="append", help="only this; again for more")
    parser.add_argument("--speed", type=float, default=20.0, help="seconds of the colony in one of the wall (20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", default=OUT, help="where the SVG goes")
    given = parser.parse_args(arguments)
    found = trio.run(_race, given.profile or list(PROFILES), given.seeds, given.speed)
    print(as_text(found, len(given.seeds), given.speed))
    given.plot.parent.mkdir(parents=True, exist_ok=True)
    given.plot.write_text(as_svg(found))
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    take_any_terminal()
    sys.exit(main())
