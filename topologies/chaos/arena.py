"""Where a test of worlds is run for pytest: saved failures first, then its seeds; a failure says how to see it."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn, cast

import pytest
from attrs import define, evolve

from treewarden.agents.core.said import plural
from treewarden.agents.errors import ConfigurationError

from .campaign import Campaign, Finding, find, rerun, run_seeds
from .replaying import Replay, code_of
from .run import Body, Setting
from .set_order import in_orders, set_order, with_order
from .telling import story

__all__ = ["Arenas", "TestArena"]

_ANOTHER: Final = "its trace is another one than it was"


@define(eq=False)
class Arenas:
    """What the tests of one session have in common."""

    seeds: int | None
    """In the place of what each test says."""
    replay: Replay | None
    file: pathlib.Path
    """Where failing runs are kept."""
    folder: pathlib.Path
    """Where this command line was given."""
    named: Callable[[str], str]
    """How a test is to be named on a command line that begins where this one was given."""

    @classmethod
    def of(cls, config: pytest.Config) -> Arenas:
        """As the command line and the ini file say. Raises `pytest.UsageError`."""
        text = config.getoption("--chaos-replay")
        try:
            replay = None if text is None else Replay.parse(text)
        except ConfigurationError as error:
            raise pytest.UsageError(f"--chaos-replay: {error}") from None
        seeds = config.getoption("--chaos-seeds") or int(config.getini("chaos_seeds") or 0)
        file = config.rootpath / str(config.getini("chaos_file"))
        here = config.invocation_params.dir

        def named(test: str) -> str:
            path, colons, names = test.partition("::")
            return os.path.relpath(config.rootpath / path, here) + colons + names

        return cls(seeds or None, replay, file, here, named)

    def saved(self, test: str) -> Iterator[Replay]:
        """The runs of this test that have failed before. Those that cannot be read are left where they are."""
        for text in self._kept().get(test, ()):
            try:
                yield Replay.parse(text)
            except ConfigurationError:
                continue

    def save(self, replay: Replay) -> str:
        """Keep a failing run, so that it is run first from now on. Returns why it cannot be kept, if it cannot.

        Several processes may do so at the same time.
        """
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                kept = self._read(file.read() or "{}")
                known = kept.setdefault(replay.test, [])
                if all(_different(each, replay) for each in known):
                    known.append(str(replay))
                    file.truncate(0)
                    file.write(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            return f"it is not kept for the next time: {error}"
        return ""

    def _kept(self) -> dict[str, list[str]]:
        try:
            text = self.file.read_text("utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise pytest.UsageError(f"{self.file}: it cannot be read ({error}); mend or remove it") from None
        return self._read(text)

    def _read(self, text: str) -> dict[str, list[str]]:
        try:
            found: Any = json.loads(text)
        except ValueError as error:
            raise pytest.UsageError(f"{self.file}: it holds no failing runs ({error}); mend or remove it") from None
        items = cast("dict[Any, Any]", found).items() if isinstance(found, dict) else [("", "")]
        for test, runs in items:
            if not isinstance(runs, list) or not all(isinstance(run, str) for run in cast("list[Any]", runs)):
                text = f"{test!r} has to have a list of texts" if test else "it has to be an object of tests"
                raise pytest.UsageError(f"{self.file}: it holds no failing runs ({text}); mend or remove it")
        return cast("dict[str, list[str]]", found)


def _sentence(total: Campaign) -> str:
    """What is said of a test at the end of a session."""
    escapes = (f"; not replayable: {each}" for each in total.escapes)
    readings = (f"; outside of the seed: {each}" for each in total.readings)
    return "".join((total.sentence, *escapes, *readings))


def _different(text: str, replay: Replay) -> bool:
    try:
        other = Replay.parse(text)
    except ConfigurationError:
        return True
    return (other.seed, other.injections, other.scale) != (replay.seed, replay.injections, replay.scale)


@define(eq=False)
class TestArena:
    """The arena of one test."""

    __test__ = False

    arenas: Arenas
    test: str
    tell: Callable[[str], object] = lambda sentence: None
    """Takes what is to be said at the end of the session."""

    def run(self, body: Body, setting: Setting, seeds: int) -> None:
        """Run it, and fail the test with the story of the first run that fails."""
        if self.arenas.replay is not None:
            self._replay(body, self.arenas.replay)
            return
        again = [rerun(body, replay) for replay in self.arenas.saved(self.test)]
        for run in again:
            if run.failed:
                self._fail(find(body, run, test=self.test), "it has failed before")
        wanted = self.arenas.seeds or seeds
        total = run_seeds(body, setting, range(wanted), test=self.test)
        self.tell(_sentence(total))
        for finding in map(self._ordered, total.findings):
            unkept = self.arenas.save(finding.replay) if finding.replayable else ""
            how = f"seed {finding.run.seed}, after {total.runs} of {wanted}"
            self._fail(finding, f"{how}; {unkept}" if unkept else how)
        if total.never and wanted >= seeds:
            pytest.fail(f"in {plural(total.runs, 'run')} never reached: {', '.join(total.never)}", pytrace=False)

    def __getattr__(self, name: str) -> NoReturn:
        """Whoever wants a world of it is a test without a mark."""
        raise AttributeError(
            f"{name!r}: only a test that is marked gets a world as `world`; put `@chaos(seeds=50, faults=[kill()])` "
            "above it"
        )

    def _replay(self, body: Body, replay: Replay) -> None:
        if replay.test != self.test:
            pytest.skip(f"the run to replay is one of {replay.test}")
        run = rerun(body, replay)
        notes: list[str] = []
        if replay.digest and not run.digest.startswith(replay.digest):
            same = replay.code == code_of(body)
            notes.append(f"{_ANOTHER}: {self._why(replay, same=same)}")
        if run.failed:
            finding = Finding(run=run, replay=replay, planned=len(run.injections), steady=not notes)
            self._fail(finding, "; ".join(["replayed", *notes]))
        for note in notes:
            self.tell(f"replayed; {note}")

    def _why(self, replay: Replay, *, same: bool) -> str:
        if not same:
            return "the code has changed since"
        if replay.order != set_order():
            return f"it ran under PYTHONHASHSEED={replay.order or 'random'}, and this under {set_order() or 'random'}"
        return "something outside of the seed decides"

    def _ordered(self, finding: Finding) -> Finding:
        """As it is; or, if the order of sets decides, with one in which it fails. Other processes are asked."""
        if not finding.replayable or set_order():
            return finding
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", self.arenas.named(self.test)]
        said = in_orders([*command, "--chaos-replay", str(finding.replay)], str(self.arenas.folder))
        if said is None or any(code > 1 for code, _ in said.values()):  # it has not come to the test
            return finding
        failing = [order for order, (code, _) in said.items() if code]
        if len(failing) == len(said) and not any(_ANOTHER in text for _, text in said.values()):
            return finding
        if not failing:
            return evolve(finding, by_set_order=True, steady=False)
        return evolve(finding, by_set_order=True, replay=evolve(finding.replay, order=failing[0], digest=""))

    def _fail(self, finding: Finding, how: str) -> NoReturn:
        test = shlex.quote(self.arenas.named(self.test))
        command = f"pytest {test} --chaos-replay {shlex.quote(str(finding.replay))}"
        command = with_order(finding.replay.order, command)
        pytest.fail("\n".join(story(finding, how, command)), pytrace=False)
