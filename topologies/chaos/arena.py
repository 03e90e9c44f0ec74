"""Where a test of worlds is run for pytest: saved failures first, then its seeds; a failure says how to see it."""

from __future__ import annotations

import json
import pathlib
import shlex
from collections.abc import Iterator
from typing import Any, NoReturn, cast

import pytest
from attrs import define, field

from treewarden.agents.errors import ConfigurationError

from .campaign import Campaign, Finding, find, rerun, run_seeds
from .replaying import Replay, code_of
from .run import Body, Setting
from .telling import ANOTHER_ORDER, story

__all__ = ["Arenas", "TestArena"]


@define(eq=False)
class Arenas:
    """What the tests of one session have in common."""

    seeds: int | None
    """In the place of what each test says."""
    replay: Replay | None
    file: pathlib.Path
    """Where failing runs are kept."""
    campaigns: dict[str, Campaign] = field(factory=dict[str, Campaign])

    @classmethod
    def of(cls, config: pytest.Config) -> Arenas:
        """As the command line and the ini file say. Raises `pytest.UsageError`."""
        try:
            text = config.getoption("--chaos-replay")
            replay = None if text is None else Replay.parse(text)
            seeds = config.getoption("--chaos-seeds") or int(config.getini("chaos_seeds") or 0)
        except (ConfigurationError, ValueError) as error:
            raise pytest.UsageError(str(error)) from None
        return cls(seeds or None, replay, config.rootpath / str(config.getini("chaos_file")))

    def saved(self, test: str) -> Iterator[Replay]:
        """The runs of this test that have failed before. Those that cannot be read are left where they are."""
        for text in self._kept().get(test, ()):
            try:
                yield Replay.parse(text)
            except ConfigurationError:
                continue

    def save(self, replay: Replay) -> None:
        """Keep a failing run, so that it is run first from now on."""
        kept = self._kept()
        known = kept.setdefault(replay.test, [])
        if all(_different(each, replay) for each in known):
            known.append(str(replay))
            self.file.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", "utf-8")

    def _kept(self) -> dict[str, list[str]]:
        try:
            found: Any = json.loads(self.file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise pytest.UsageError(f"{self.file}: it holds no failing runs ({error}); mend or remove it") from None
        return cast("dict[str, list[str]]", found)

    def summary(self) -> list[str]:
        """A line for each test of worlds."""
        return [
            f"chaos: {test}: {total.sentence}"
            + "".join(f"; not replayable: {each}" for each in total.escapes)
            + "".join(f"; outside of the seed: {each}" for each in total.readings)
            for test, total in self.campaigns.items()
        ]


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
        total = self.arenas.campaigns[self.test] = run_seeds(body, setting, range(wanted), test=self.test)
        for finding in total.findings:
            if finding.replayable:
                self.arenas.save(finding.replay)
            self._fail(finding, f"seed {finding.run.seed}, after {total.runs} of {wanted}")
        if total.never and wanted >= seeds:
            pytest.fail(f"in {total.runs} runs never reached: {', '.join(total.never)}", pytrace=False)

    def _replay(self, body: Body, replay: Replay) -> None:
        if replay.test != self.test:
            pytest.skip(f"the run to replay is one of {replay.test}")
        run = rerun(body, replay)
        notes: list[str] = []
        if replay.digest and not run.digest.startswith(replay.digest):
            same = replay.code == code_of(body)
            notes.append(
                "its trace is another one than it was: "
                + (f"something outside of the seed decides ({ANOTHER_ORDER})" if same else "the code has changed since")
            )
        if run.failed:
            finding = Finding(run=run, replay=replay, planned=len(run.injections), steady=not notes)
            self._fail(finding, "; ".join(["replayed", *notes]))

    def _fail(self, finding: Finding, how: str) -> NoReturn:
        command = f"pytest {shlex.quote(self.test)} --chaos-replay {shlex.quote(str(finding.replay))}"
        pytest.fail("\n".join(story(finding, how, command)), pytrace=False)
