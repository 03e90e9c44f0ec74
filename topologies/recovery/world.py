"""A world that policies are raced in, as a value, and the file that worlds are written in."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final, cast

from attrs import evolve, field, frozen

from treewarden.agents.core.said import is_count, is_number
from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.written_file import content_of

__all__ = [
    "CAUSES",
    "CIRCUMSTANCES",
    "DAY",
    "REPAIRS",
    "SHIPPED",
    "SIGNS",
    "UNMODELLED",
    "Nature",
    "Spread",
    "World",
    "load_worlds",
]

SHIPPED: Final = "worlds.toml"
UNMODELLED: Final = "unmodelled"
CAUSES: Final = (
    "transient", "overload", "bad_state", "bad_version", "dependency_down", "leak", "hang", "rate_limited",
    "poison_message", UNMODELLED,
)  # fmt: skip
SIGNS: Final = (
    "crash", "connection", "timeout", "code_error", "bad_state", "out_of_memory", "overloaded", "stalled",
    "rate_limited",
)  # fmt: skip
CIRCUMSTANCES: Final = ("deployed", "siblings", "refails", "same_message", "memory", "queue")
REPAIRS: Final = ("resume", "restart", "recycle", "roll_back", "throttle", "break", "set_aside", "fall_back", "act")
COSTS: Final = (*REPAIRS, "page")
DAY: Final = 86_400.0
"""No time in a world is longer."""
_MOST: Final = 1_000_000.0
"""No amount is larger: a cost, or seconds that an action adds."""
_MOST_INCIDENTS: Final = 10_000
_WIDEST: Final = 3.0
"""No logarithm of a time spreads further."""


@frozen
class Spread:
    """A log-normal time: its median in seconds, and the spread of its logarithm."""

    median: float
    sigma: float


@frozen(kw_only=True)
class Nature:
    """What a cause is like in a world."""

    share: float
    shows: Mapping[str, float]
    """How often it shows as what; one of these at each failure."""
    comes_with: Mapping[str, float]
    repairs: Mapping[str, float] = field(factory=dict[str, float])
    """P(an action ends it), at each try. A person always does."""
    lasts: Spread | None = None
    """It is outside and ends by itself."""
    mitigated: Mapping[str, float] = field(factory=dict[str, float])
    """After one of these helped: the share of the service that is still missing until it ends."""
    prolonged: Mapping[str, float] = field(factory=dict[str, float])
    """Seconds that one of these adds to it."""


@frozen(kw_only=True)
class World:
    """One world: what goes wrong there and what helps."""

    name: str
    says: str = ""
    incidents: int
    jitter: float
    unmodelled: float
    person: Spread
    notices: float
    costs: Mapping[str, float]
    causes: Mapping[str, Nature]
    later: Mapping[str, Nature]
    """The same from half of the incidents on."""

    def nature(self, cause: str, place: int) -> Nature:
        """What a cause is like at the incident with this number, from 0."""
        return (self.later if 2 * place >= self.incidents else self.causes)[cause]


def load_worlds(file: str | None = None) -> tuple[World, ...]:
    """The worlds of a file, or those that are shipped. A file without a `[base]` has the shipped one.

    Raises `ConfigurationError` for a file that cannot be read, and for what stands in it, by its place.
    """
    name = SHIPPED if file is None else file
    try:
        data = tomllib.loads(_shipped() if file is None else content_of(file).decode())
    except OSError as error:
        raise ConfigurationError(f"{name}: {error.strerror}; give a file of worlds that can be read") from None
    except ValueError as error:  # also for bytes that are no UTF-8, and numbers of thousands of digits
        raise ConfigurationError(f"{name}: no TOML: {error}; the shipped worlds.toml shows how it is written") from None
    except RecursionError:
        raise ConfigurationError(f"{name}: no file of worlds: it is nested too deeply; give tables") from None
    return _Reader(name, data).worlds()


def _shipped() -> str:
    return (resources.files("treewarden.topologies.recovery") / SHIPPED).read_text("utf-8")


def _merged(base: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    """The base with what a world changes, table by table; how a cause shows is replaced as a whole."""
    merged = dict(base)
    for key, value in item.items():
        below = merged.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and key != "shows":
            merged[key] = _merged(cast("dict[str, Any]", below), cast("dict[str, Any]", value))
        else:
            merged[key] = value
    return merged


@frozen
class _Reader:
    """Reads one file, and names it in what it refuses."""

    file: str
    data: Mapping[str, Any]

    def worlds(self) -> tuple[World, ...]:
        data = self.data
        self.only(data, "", ("base", "world"))
        if "base" not in data:
            data = {**data, "base": tomllib.loads(_shipped())["base"]}
        base = self.table(data, "base", "base", file_level=True)
        listed = self.items(data, "world", "world", "write at least one [[world]] with a name")
        found = [self.world(base, item, f"world[{place}]") for place, item in enumerate(listed)]
        names = [world.name for world in found]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise self.refused(f"world[{place}].name", name, "each world needs a name of its own")
        return tuple(found)

    def world(self, base: Mapping[str, Any], item: Any, at: str) -> World:
        if not isinstance(item, dict):
            raise self.refused(at, item, "write it as [[world]]")
        given = _merged(base, cast("dict[str, Any]", item))
        self.only(given, at, _WORLD)
        name = given.get("name")
        if not isinstance(name, str) or not name or not name.isprintable():
            raise self.refused(f"{at}.name", name, "give the world a name, in one line")
        says = given.get("says", "")
        if not isinstance(says, str) or not says.isprintable():
            raise self.refused(f"{at}.says", says, "say in one line what the world asks")
        causes = self.causes(given, at)
        half: Mapping[str, Any] = self.table(given, "half_way", at) if "half_way" in given else {}
        self.only(half, f"{at}.half_way", ("shares", "repairs"))
        world = World(
            name=name,
            says=says,
            incidents=self.count(given, "incidents", at),
            jitter=self.share(given, "jitter", at),
            unmodelled=self.share(given, "unmodelled", at),
            person=self.spread(given, "person", at),
            notices=self.time(given, "notices", at),
            costs=self.numbers(given, "costs", at, COSTS),
            causes=causes,
            later=causes,
        )
        shares = half.get("shares", {})
        later = self.later(causes, half, f"{at}.half_way")
        if UNMODELLED not in shares or not any(nature.share for nature in later.values()):
            later = self.with_unmodelled(later, world.unmodelled, f"{at}.half_way.shares")
        causes = self.with_unmodelled(causes, world.unmodelled, f"{at}.causes")
        return evolve(world, causes=causes, later=later)

    def causes(self, given: Mapping[str, Any], at: str) -> dict[str, Nature]:
        tables = self.table(given, "causes", at)
        self.only(tables, f"{at}.causes", CAUSES)
        where = f"{at}.causes"
        return {cause: self.nature(self.table(tables, cause, where), f"{where}.{cause}") for cause in CAUSES}

    def nature(self, table: Mapping[str, Any], at: str) -> Nature:
        self.only(table, at, ("share", "shows", "comes_with", "repairs", "lasts", "mitigated", "prolonged"))
        shows = self.numbers(table, "shows", at, SIGNS)
        if not math.isclose(sum(shows.values()), 1.0, abs_tol=1e-6):
            raise self.refused(f"{at}.shows", dict(shows), "these shares must add up to 1")
        return Nature(
            share=self.share(table, "share", at),
            shows=shows,
            comes_with=self.shares(table, "comes_with", at, CIRCUMSTANCES),
            repairs=self.shares(table, "repairs", at, REPAIRS),
            lasts=self.spread(table, "lasts", at) if "lasts" in table else None,
            mitigated=self.shares(table, "mitigated", at, REPAIRS) if "mitigated" in table else {},
            prolonged=self.numbers(table, "prolonged", at, REPAIRS) if "prolonged" in table else {},
        )

    def later(self, causes: Mapping[str, Nature], half: Mapping[str, Any], at: str) -> dict[str, Nature]:
        shares = self.shares(half, "shares", at, CAUSES) if "shares" in half else {}
        repairs: Mapping[str, Any] = self.table(half, "repairs", at) if "repairs" in half else {}
        self.only(repairs, f"{at}.repairs", CAUSES)
        found: dict[str, Nature] = {}
        for cause, nature in causes.items():
            changed = self.shares(repairs, cause, f"{at}.repairs", REPAIRS) if cause in repairs else {}
            share = shares.get(cause, nature.share)
            found[cause] = evolve(nature, share=share, repairs={**nature.repairs, **changed})
        return found

    def with_unmodelled(self, causes: Mapping[str, Nature], share: float, at: str) -> dict[str, Nature]:
        total = sum(nature.share for cause, nature in causes.items() if cause != UNMODELLED)
        if not total > 0 and share < 1:
            raise self.refused(at, "no share above 0", "let at least one cause happen")
        odds = share / (1.0 - share) * total if share < 1 else math.inf
        if math.isinf(odds):
            return {c: evolve(n, share=float(c == UNMODELLED)) for c, n in causes.items()}
        return {c: evolve(n, share=odds) if c == UNMODELLED else n for c, n in causes.items()}

    # -- values

    def table(self, data: Mapping[str, Any], key: str, at: str, *, file_level: bool = False) -> Mapping[str, Any]:
        found = data.get(key)
        if not isinstance(found, dict):
            where = key if file_level else f"{at}.{key}"
            raise self.refused(where, found, "a table is needed here")
        return cast("dict[str, Any]", found)

    def items(self, data: Mapping[str, Any], key: str, at: str, remedy: str) -> list[Any]:
        found: object = data.get(key)
        if not isinstance(found, list) or not found:
            raise self.refused(at, cast("object", found), remedy)
        return cast("list[Any]", found)

    def numbers(self, data: Mapping[str, Any], key: str, at: str, allowed: tuple[str, ...]) -> dict[str, float]:
        table = self.table(data, key, at)
        self.only(table, f"{at}.{key}", allowed)
        return {name: self.amount(table, name, f"{at}.{key}") for name in table}

    def shares(self, data: Mapping[str, Any], key: str, at: str, allowed: tuple[str, ...]) -> dict[str, float]:
        table = self.table(data, key, at)
        self.only(table, f"{at}.{key}", allowed)
        return {name: self.share(table, name, f"{at}.{key}") for name in table}

    def amount(self, data: Mapping[str, Any], key: str, at: str) -> float:
        value = data.get(key)
        if not is_number(value) or not 0 <= value <= _MOST:
            raise self.refused(f"{at}.{key}", value, f"give a number, 0 or more, {_MOST:,.0f} at most")
        return float(value)

    def time(self, data: Mapping[str, Any], key: str, at: str) -> float:
        value = self.amount(data, key, at)
        if not 1 <= value <= DAY:
            raise self.refused(f"{at}.{key}", value, "give seconds, from 1 to a day")
        return value

    def share(self, data: Mapping[str, Any], key: str, at: str) -> float:
        value = self.amount(data, key, at)
        if value > 1:
            raise self.refused(f"{at}.{key}", value, "give a share, from 0 to 1")
        return value

    def count(self, data: Mapping[str, Any], key: str, at: str) -> int:
        value = data.get(key)
        if not is_count(value) or value > _MOST_INCIDENTS:
            raise self.refused(f"{at}.{key}", value, f"give a whole number, 1 or more, {_MOST_INCIDENTS:,} at most")
        return value

    def spread(self, data: Mapping[str, Any], key: str, at: str) -> Spread:
        remedy = "give [median in seconds, spread of its logarithm]"
        value = self.items(data, key, f"{at}.{key}", remedy)
        if len(value) != 2:
            raise self.refused(f"{at}.{key}", value, remedy)
        median, sigma = (self.amount({f"{place}": each}, f"{place}", f"{at}.{key}") for place, each in enumerate(value))
        if not 0 < median <= DAY:
            raise self.refused(f"{at}.{key}.0", median, "the median must be above 0, and a day at most")
        if sigma > _WIDEST:
            raise self.refused(f"{at}.{key}.1", sigma, f"the spread of its logarithm is at most {_WIDEST:g}")
        return Spread(median, sigma)

    def only(self, data: Mapping[str, Any], at: str, allowed: tuple[str, ...]) -> None:
        for key in data:
            if key not in allowed:
                where = f"{at}.{key}" if at else key
                raise self.refused(where, data[key], f"there is no such field here, there is {', '.join(allowed)}")

    def refused(self, at: str, value: object, remedy: str) -> ConfigurationError:
        return ConfigurationError(f"{self.file}: {self.written(at)} is {_shown(value):.120}; {remedy}")

    def written(self, at: str) -> str:
        """Where it stands in the file: what a world does not change it has from the base."""
        whose, _, below = at.partition(".")
        listed, keys = cast("object", self.data.get("world")), below.split(".")
        if not whose.startswith("world[") or not isinstance(listed, list) or not _holds(self.data.get("base"), keys):
            return at
        item = cast("list[object]", listed)[int(whose[6:-1])]
        return at if _holds(item, keys) else f"base.{below}"


def _holds(data: object, keys: Sequence[str]) -> bool:
    """Whether there is something at this place below `data`."""
    for key in keys:
        if isinstance(data, dict) and key in data:
            data = cast("dict[str, object]", data)[key]
        elif isinstance(data, list) and key.isdecimal() and int(key) < len(cast("list[object]", data)):
            data = cast("list[object]", data)[int(key)]
        else:
            return False
    return True


def _shown(value: object) -> str:
    try:
        return repr(value)
    except ValueError:  # of a whole number in hexadecimal digits, which TOML allows to be of any length
        return "a number of thousands of digits"


_WORLD: Final = (
    "name", "says", "incidents", "jitter", "unmodelled", "person", "notices", "costs", "causes", "half_way",
)  # fmt: skip
