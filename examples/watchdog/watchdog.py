"""Fifty endpoints, each watched by an agent of its own. `watchdog.toml` says which."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import trio
from attrs import evolve, frozen
from checks import Expectation, Finding, Kind, Observation, judge
from fetching import Call, Fetch, Unreachable, fetch, http_client
from service import Where
from standing import Damping, Standing, step

from treewarden.agents.agent import Agent, every, handles
from treewarden.agents.core.message import Request
from treewarden.agents.errors import ConfigurationError, DeliveryError, RateLimited

__all__ = ["Checked", "Endpoint", "Errand", "History", "Recheck", "Report"]

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@frozen
class Recheck:
    """Check now, beside the schedule. `within` is a limit in seconds as somebody typed it; empty: the usual one."""

    within: str = ""


@frozen(kw_only=True)
class Checked:
    """One check, as the journal keeps it."""

    at: float
    """When it ended, in wall seconds."""
    kind: str
    latency: float
    status: int | None = None
    text: str = ""
    trouble: str = ""
    """What the endpoint is held to be in after this check; empty: it is well."""


@frozen(kw_only=True)
class History:
    """What an endpoint's agent knows; it goes on over crashes, restarts and `kill -9`."""

    checks: int = 0
    failures: int = 0
    in_a_row: int = 0
    """Failures since the last success."""
    limited: int = 0
    """Answers that asked for fewer requests (429); they are neither success nor failure."""
    kind: str = ""
    status: int | None = None
    latency: float = 0.0
    """Of the last check, in seconds."""
    at: float = 0.0
    """When the last check ended; wall seconds, as all of these."""
    since: float = 0.0
    """Since when it is in its present trouble, or in none."""
    next: float = 0.0
    """When the next check is due."""
    standing: Standing = Standing()

    @property
    def up(self) -> bool:
        return self.standing.up


@frozen
class Report(Request[History]):
    """Ask for the present state."""


class Endpoint(Agent[History]):
    """Watches one endpoint. What is wrong with the endpoint is a signal; it is no crash of this agent.

    Every check is recorded. Trouble is signalled when enough checks have failed (`damping`), under the kind of what was
    found, and taken back when enough have succeeded. An answer of 429 throttles the agent for as long as it asks.

    `url` begins with `https://`, `http://`, or `demo:/` for the demo service, whose agent is at `service`. A check is
    bounded by `timeout` seconds (`inf`: by nothing but the child's `progress_within`); a longer one is `down`. `body`
    is sent as it is if it is a text, else as JSON. `fetch` sends the requests; tests pass their own.
    """

    state = History()

    def __init__(
        self,
        url: str,
        every: float = 60.0,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        expect: Mapping[str, Any] | None = None,
        timeout: float = 5.0,
        slow_over: float | None = None,
        damping: Mapping[str, Any] | None = None,
        service: str = "../../service",
        fetch: Fetch = fetch,
    ) -> None:
        parts = urlsplit(url)
        if not (parts.scheme in ("http", "https") and parts.hostname) and not url.startswith("demo:/"):
            raise ConfigurationError(f"url is {url!r}; begin it with https://, http:// or demo:/")
        if method not in METHODS:
            raise ConfigurationError(f"method is {method!r}; give one of {', '.join(METHODS)}")
        if not timeout > 0:
            raise ConfigurationError(f"timeout is {timeout!r}; give a positive number of seconds, or inf for none")
        self.call = _call(url, method, headers or {}, body)
        self.period = every
        self.expectation = Expectation.parse(expect or {}, slow_over=slow_over)
        self.timeout = timeout
        self.damping = Damping.parse(damping or {})
        self.service = service
        self.fetch = fetch
        self.base = ""
        self.lost = False
        self.limited: list[Checked] = []
        self.said = False

    async def on_start(self) -> None:
        if self.fetch is fetch:
            await trio.to_thread.run_sync(http_client)

    @every("period")
    async def check(self) -> None:
        await self.check_within(self.timeout)

    @handles
    async def recheck(self, message: Recheck) -> None:
        await self.check_within(float(message.within) if message.within else self.timeout)

    @handles
    def report(self, _: Report) -> History:
        return self.state

    async def check_within(self, limit: float) -> None:
        """One check: ask, judge, remember, and tell the supervisor if that changes what the endpoint is held for."""
        seen = await self.observe(limit)
        found = judge(self.expectation, seen)
        before = self.state
        if found.kind is Kind.RATE_LIMITED:
            # Kept with the next check: what this handler would keep is undone by what it raises.
            self.limited.append(self.checked(found, seen, before.standing))
            raise RateLimited(found.after, f"{self.call.url}: {found.text}")
        standing, change = step(self.damping, before.standing, found.kind.value)
        failed = found.kind is not Kind.OK
        self.state = History(
            checks=before.checks + 1,
            failures=before.failures + failed,
            in_a_row=before.in_a_row + 1 if failed else 0,
            limited=before.limited + len(self.limited),
            kind=found.kind.value,
            status=seen.status,
            latency=seen.latency,
            at=self.now(),
            since=self.now() if change is not None or not before.checks else before.since,
            next=self.life.slot.due.get("check", 0.0),
            standing=standing,
        )
        for each in (*self.limited, self.checked(found, seen, standing)):
            self.record(each)
        self.limited.clear()
        # A supervisor that has started anew has not heard of a trouble that goes on: the first check says it again.
        if standing.trouble and failed and (change is not None or not self.said):
            self.alarm(standing.trouble, found, seen)
        # After the alarm, so that a trouble that turns into another is never over in between.
        if change is not None and change.was:
            self.recovered(change.was, f"now {change.now}" if change.now else f"well again: {self.call.url}")
        self.said = True

    def checked(self, found: Finding, seen: Observation, standing: Standing) -> Checked:
        return Checked(
            at=self.now(),
            kind=found.kind.value,
            latency=round(seen.latency, 6),
            status=seen.status,
            text=found.text,
            trouble=standing.trouble,
        )

    def alarm(self, trouble: str, found: Finding, seen: Observation) -> None:
        facts = {"latency": round(seen.latency, 3), "in_a_row": self.state.in_a_row, **found.facts}
        known = {name: value for name, value in facts.items() if value is not None}
        said = found.text if found.kind == trouble else f"{found.kind}, {found.text}"
        self.signal(trouble, found.severity, f"{self.call.method} {self.call.url}: {said}", **known)

    async def observe(self, limit: float) -> Observation:
        """Send the request, for `limit` seconds at most. No answer is an observation too."""
        begun = trio.current_time()
        status: int | None = None
        headers: Mapping[str, str] = {}
        body, error = "", f"no answer within {limit:g} s"
        with trio.move_on_after(limit):
            try:
                answer = await self.fetch(evolve(self.call, url=await self.resolve(self.call.url)))
                status, headers, body, error = answer.status, answer.headers, answer.body, ""
            except (Unreachable, DeliveryError) as reason:
                error = str(reason)
        self.lost = status is None
        return Observation(latency=trio.current_time() - begun, status=status, headers=headers, body=body, error=error)

    async def resolve(self, url: str) -> str:
        """`demo:/users/1` as an address; the service's agent knows the beginning."""
        if not url.startswith("demo:"):
            return url
        if self.lost or not self.base:  # it may have come back elsewhere; while it is away, its old address will do
            try:
                self.base = await self.ref(self.service).ask(Where(), within=0.2 if self.base else 2.0)
            except DeliveryError:
                if not self.base:
                    raise
        return self.base + url.removeprefix("demo:")


@frozen
class Sent:
    """Whether an errand has been run."""

    sent: bool = False


class Errand(Agent[Sent]):
    """Somebody who asks for a recheck once in the life of the journal, and mistypes the limit.

    `float("soon")` ends the endpoint's agent each time that the message is delivered, so the message is the culprit:
    it is set aside, and the agent goes on.
    """

    state = Sent()

    def __init__(self, to: str, after: float = 2.0, within: str = "soon") -> None:
        self.to = to
        self.delay = after
        self.within = within
        self.ticks = 0

    @every("delay")
    async def run_it(self) -> None:
        self.ticks += 1
        if self.ticks > 1 and not self.state.sent:
            await self.ref(self.to).tell(Recheck(self.within))
            self.state = Sent(sent=True)


def _call(url: str, method: str, headers: Mapping[str, str], body: Any) -> Call:
    if body is None:
        return Call(url=url, method=method, headers=headers)
    if isinstance(body, str):
        return Call(url=url, method=method, headers=headers, body=body.encode())
    try:
        encoded = json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"body is {body!r}: {error}; give a text, or texts, numbers, tables and lists"
        ) from None
    return Call(url=url, method=method, headers={"Content-Type": "application/json", **headers}, body=encoded)
