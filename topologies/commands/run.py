"""`treewarden run`: a tree from a file, shown while it runs, stopped in order."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext, redirect_stdout, suppress
from functools import partial
from typing import Final

import trio
from attrs import define, field

from treewarden.agents.core.exit import Stopped, alone
from treewarden.agents.errors import (
    CommitFailed,
    ConfigurationError,
    EpochLost,
    JournalError,
    SupervisionError,
    TreeFailed,
)
from treewarden.agents.version import VERSION
from treewarden.supervisor.journal.anchoring import Anchoring, key_from
from treewarden.supervisor.journal.port import Record, Seq
from treewarden.supervisor.journal.reading import JournalFile
from treewarden.supervisor.ops.console import Opening
from treewarden.supervisor.ops.output import Output, writer
from treewarden.supervisor.ops.summary_text import Ending
from treewarden.supervisor.ops.wording import duration

from ..chaos.live import LiveChaos
from ..collector import collecting_rarely
from ..core.blueprint import Blueprint
from ..open import open_tree
from ..running import Tree
from ..toml import Topology, load
from .choosing import choose_view
from .disturbing import CALMING, chaos_for
from .exits import ExitCode
from .files import head_of
from .loop_end import why_the_loop_ended
from .reloading import Marks, marks, watch_files
from .reporting import Report
from .stopping import STOPS, ExitNow, say_and_exit, signals

__all__ = ["run"]

_FRAME: Final = 0.25
"""Seconds between two frames, at least."""
_DRAWING: Final = 20
"""The shortest time between two frames, in times that one takes to be made."""
_GRACE: Final = 5.0
"""Seconds that the process waits for what does not end although it was cancelled."""
_FORCES: Final = 2
"""The signal that does not wait for order."""
_LAST_WORDS: Final = 5.0
"""Seconds that a reader of the output has for the last words."""
_BY_ITSELF: Final = "it had nothing left to do"
_IN_ORDER: Final = "shutdown"
"""What a tree gives its children for a reason where nobody has said another one."""


def run(arguments: Namespace) -> int:
    """Run the tree that a file describes. Returns the exit code.

    Raises `ConfigurationError` for a bad file, `JournalOwned`, and `JournalError` for a journal that cannot be used.
    """
    with collecting_rarely():
        try:
            return _run(arguments)
        except CommitFailed as error:  # nothing has begun; it is nobody's mistake, and passes when there is room
            sys.stderr.write(f"treewarden: {error}\n")
            return ExitCode.NOT_DONE


def _run(arguments: Namespace) -> int:
    topology, read = _load(arguments.file)
    journal = topology.journal or f"{topology.name}.db" if arguments.journal is None else arguments.journal
    anchor = _anchoring(arguments)
    view, hint = choose_view(sys.stdout, os.environ, json=arguments.json, plain=arguments.plain)
    exit_now: ExitNow = partial(say_and_exit, farewell=view.farewell)
    output = Output(writer(sys.stdout), _complain)
    chaos = chaos_for(arguments, topology, journal)
    one = _Run(arguments, topology, read, journal, Report(view, output), hint, exit_now, anchor, chaos)
    with redirect_stdout(sys.stderr) if arguments.json else nullcontext():
        try:
            code = trio.run(one.main)
        except trio.TrioInternalError as error:
            sentence = why_the_loop_ended(error)
            if not sentence:
                raise
            sys.stdout.write(view.farewell)
            sys.stderr.write(f"treewarden: {sentence}\n")
            return ExitCode.TREE_FAILED
    if code == ExitCode.OWNED:
        sys.stderr.write(f"treewarden: {one.sentence}\n")
    elif code == ExitCode.TREE_FAILED:
        sys.stderr.write(
            f"treewarden: {one.sentence}\n  `treewarden why {shlex.quote(journal)} /` tells what led to it\n"
        )
    return code


def _load(file: str) -> tuple[Topology, Marks]:
    """A topology, with its files as they then were."""
    topology = load(file)
    return topology, marks(topology.files)


def _complain(text: str) -> None:
    with suppress(OSError):  # nothing is left to say it to
        sys.stderr.write(f"treewarden: {text}\n")
        sys.stderr.flush()


@define(eq=False)
class _Run:
    """One run, from its first line to its last."""

    arguments: Namespace
    topology: Topology
    read: Marks
    """The files of the topology as they were when it was read."""
    journal: str
    report: Report
    hint: str
    exit_now: ExitNow
    anchor: Anchoring | None = None
    chaos: LiveChaos | None = None
    tree: Tree | None = None
    sentence: str = ""
    """How it ended."""
    began: float = 0.0
    stops: int = 0
    why: str = _BY_ITSELF
    """Why it ends."""
    opening: trio.CancelScope = field(factory=trio.CancelScope)
    told: trio.Event = field(factory=trio.Event)
    ended: trio.Event = field(factory=trio.Event)
    reloading: trio.Lock = field(factory=trio.Lock)

    async def main(self) -> int:
        self.began = trio.current_time()
        code = int(ExitCode.ORDERLY)
        try:
            with signals(self.exit_now, more=CALMING if self.chaos is not None else ()) as heard:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._listen, heard, nursery)
                    code = await self._live(nursery)
                    nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise alone(group) from None
        return code

    async def _live(self, nursery: trio.Nursery) -> int:
        self.report.read = await trio.to_thread.run_sync(head_of, self.journal)
        try:
            code, sentence = await self._to_its_end(nursery)
        except BaseException:
            if self.tree is not None:  # whatever it is, the terminal is left as it was
                with trio.CancelScope(shield=True):
                    await self._close(ExitCode.TREE_FAILED, "an error of treewarden's own")
            raise
        await self._close(code, sentence)
        return code

    async def _to_its_end(self, nursery: trio.Nursery) -> tuple[int, str]:
        """Open the tree and see it end: the exit code, and how it ended."""
        try:
            with self.opening:
                async with open_tree(
                    self._prepared(self.topology),
                    journal=self.journal,
                    anchor=self.anchor,
                    events=self.topology.events,
                    production=self.topology.production,
                ) as tree:
                    self._opened(tree, nursery)
                    exit = await tree.wait_ended()
                    if isinstance(exit, Stopped) and self.why == _BY_ITSELF and exit.reason != _IN_ORDER:
                        self.why = exit.reason  # somebody has said `treewarden stop`
                    self._calm("the tree has ended")
        except TreeFailed as failed:
            if self.stops < _FORCES:
                return ExitCode.TREE_FAILED, f"the tree failed: {failed.reason}"
        except JournalError as error:
            if self.tree is None:  # nothing has begun
                raise
            code = ExitCode.OWNED if isinstance(error, EpochLost) else ExitCode.TREE_FAILED
            return code, f"the journal failed: {error}"
        except (SystemExit, KeyboardInterrupt) as error:  # an agent's; ours come as signals
            code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else ExitCode.FORCED
            return code, f"an agent ended the process: {error!r}"
        if self.stops >= _FORCES:
            return ExitCode.FORCED, f"forced ({self.why})"
        return ExitCode.ORDERLY, f"ended in order ({self.why})"

    # -- the beginning

    def _opening(self) -> Opening:
        opened = self.tree.opened if self.tree is not None else None
        return Opening(
            name=self.topology.name,
            file=self.arguments.file,
            journal=self.journal,
            version=VERSION,
            at=time.time(),
            pid=os.getpid(),
            epoch=opened.epoch if opened is not None else 0,
            head=self.report.read,
            after_crash=opened is not None and opened.after_crash,
        )

    def _opened(self, tree: Tree, nursery: trio.Nursery) -> None:
        self.tree = tree
        nursery.start_soon(self._tell, tree)
        nursery.start_soon(self._end_without_reader)
        nursery.start_soon(self._outlive, tree)
        if self.report.view.draws:
            nursery.start_soon(self._draw, tree)
        if not self.arguments.no_reload:
            nursery.start_soon(watch_files, self._read, self._reload)
        if self.arguments.seconds is not None:
            nursery.start_soon(self._end_after, self.arguments.seconds)
        if self.chaos is not None:
            nursery.start_soon(self.chaos.run, tree)
        if self.stops:
            tree.stop()

    def _prepared(self, topology: Topology) -> Blueprint:
        return topology.blueprint if self.chaos is None else self.chaos.prepared(topology.blueprint)

    def _calm(self, why: str) -> None:
        if self.chaos is not None:
            self.chaos.stop(why)

    def _read(self) -> Marks:
        return self.read

    # -- while it runs

    async def _tell(self, tree: Tree) -> None:
        if self.hint:
            await self.report.notice(self.hint)
        if self.chaos is not None:
            stop = f"`treewarden chaos stop {shlex.quote(self.journal)}`, or `kill -USR1 {os.getpid()}`"
            await self.report.notice(f"chaos: the big red button is {stop}")
        await self.report.open(self._opening(), tree.snapshot())
        await self.report.follow(tree, self.ended)
        self.told.set()

    async def _draw(self, tree: Tree) -> None:
        await self.report.begun.wait()
        while not self.ended.is_set():
            before = trio.current_time()
            text = self.report.view.frame(tree.snapshot())
            took = trio.current_time() - before
            await self.report.output.write(text)
            with trio.move_on_after(max(_FRAME, _DRAWING * took)):
                await self.ended.wait()

    async def _listen(self, heard: AsyncIterator[signal.Signals], nursery: trio.Nursery) -> None:
        """Heed signals, and wait for nothing else: least of all for somebody to read what is said about them."""
        async for number in heard:
            if number in CALMING:
                self._calm(number.name)
                continue
            if number not in STOPS:
                nursery.start_soon(self._reload)
                continue
            self.stops += 1
            if self.stops == 1:
                self._stop(number.name, number.name)
                nursery.start_soon(self.report.notice, f"{number.name}: stopping in order; a second one forces")
            elif self.stops == _FORCES:
                nursery.start_soon(self._force, number.name)

    def _stop(self, why: str, reason: str = _IN_ORDER) -> None:
        self.why = why
        self._calm(why)
        if self.tree is not None:
            self.tree.stop(reason)

    async def _force(self, why: str) -> None:
        self.why = f"a second {why}"
        if self.tree is None:
            self.opening.cancel()
        else:
            self.tree.force()
        with trio.move_on_after(_GRACE):
            await self.report.notice(f"{why}: ending at once; what was acknowledged is in the journal")
            await trio.sleep_forever()
        self.exit_now("treewarden: it did not end although it was forced", ExitCode.FORCED)

    async def _end_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        self._stop(f"after {duration(seconds)}, as asked")

    async def _end_without_reader(self) -> None:
        await self.report.output.gone.wait()
        self._stop("nobody reads the output any more")

    async def _outlive(self, tree: Tree) -> None:
        """End the process under agents that do not end: they would hold it for ever."""
        await tree.wait_ended()
        while True:
            await trio.sleep(_GRACE)
            if left := tree.zombies:
                sentence = f"{', '.join(left)} did not end although cancelled; the process ends all the same"
                await self._close(ExitCode.LEFT_BEHIND, sentence)
                self.exit_now(f"treewarden: {sentence}", ExitCode.LEFT_BEHIND)

    async def _reload(self) -> None:
        if self.tree is None or self.stops:
            return
        async with self.reloading:
            file = self.arguments.file
            try:
                topology, read = await trio.to_thread.run_sync(_load, file)
                changes = await self.tree.reload(self._prepared(topology))
            except (ConfigurationError, SupervisionError) as error:
                await self.report.notice(f"{file} was not taken; the tree goes on as it was. {error}")
                return
            if topology.journal != self.topology.journal:
                await self.report.notice(f"{file} names another journal: that counts from the next start on")
            if topology.events != self.topology.events:
                await self.report.notice(f"{file} keeps other events: that counts from the next start on")
            if not (changes.added or changes.removed or changes.changed):
                await self.report.notice(f"{file} was read again: nothing has changed")
            self.topology, self.read = topology, read

    # -- the end

    async def _close(self, code: int, sentence: str) -> None:
        """Tell what is left to tell, once, and no longer than somebody reads."""
        if self.sentence:
            return
        self.sentence = sentence
        self.ended.set()
        with trio.move_on_after(_LAST_WORDS):
            if self.tree is None:
                await self.report.open(self._opening(), ())
            else:
                await self.told.wait()
            try:
                while records := await trio.to_thread.run_sync(_after, self.journal, self.report.read):
                    self.report.read = records[-1].seq
                    await self.report.tell(records)
            except JournalError as error:
                await self.report.notice(f"the end of the journal cannot be told: {error}")
            ending = Ending(
                name=self.topology.name,
                journal=self.journal,
                sentence=sentence,
                exit_code=code,
                seconds=trio.current_time() - self.began,
                handled=self.tree.handled if self.tree is not None else 0,
                head=self.report.read,
                summary=self.report.summary,
            )
            await self.report.output.write(self.report.view.closed(ending))


def _anchoring(arguments: Namespace) -> Anchoring | None:
    if arguments.head is None:
        if arguments.head_key is not None:
            raise ConfigurationError("--head-key signs the heads that are kept: say where, with --head")
        if arguments.head_every is not None:
            raise ConfigurationError("--head-every is how often heads are kept: say where, with --head")
        return None
    sign = None if arguments.head_key is None else key_from(arguments.head_key)
    every = {} if arguments.head_every is None else {"every": arguments.head_every}
    return Anchoring(file=arguments.head, sign=sign, **every)


def _after(file: str, seq: Seq) -> Sequence[Record]:
    """What was committed and is not told yet, or the next part of it."""
    with JournalFile.open(file) as journal:
        return journal.records(seq, 1000)
