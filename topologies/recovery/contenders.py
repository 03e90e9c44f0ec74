"""Who races: policies with the limits that those who use them give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import frozen

from treewarden.agents.errors import ConfigurationError
from treewarden.supervisor.core.believer import belief
from treewarden.supervisor.core.decision import Policy
from treewarden.supervisor.core.ladder import ladder
from treewarden.supervisor.core.policies import akka, kubernetes, otp
from treewarden.supervisor.core.spec import Intensity

from .as_shipped import AsShipped

__all__ = ["CONTENDERS", "Contender", "chosen"]


@frozen
class Contender:
    """A policy, made anew for each race, and the restart limit of its supervisor."""

    name: str
    make: Callable[[], Policy]
    restarts: Intensity = Intensity(10, 300.0)


CONTENDERS: Final[Mapping[str, Contender]] = {
    each.name: each
    for each in (
        Contender("otp", otp, Intensity(3, 300.0)),
        Contender("kubernetes", kubernetes),
        Contender("akka", akka),
        Contender("adaptive_runtime", AsShipped),
        Contender("ladder", ladder),
        Contender("belief", belief),
    )
}


def chosen(names: Sequence[str], own: Callable[[str], Contender | None] = lambda _: None) -> tuple[Contender, ...]:
    """The contenders of these names; all of them without any. `own` knows those that are the user's.

    Raises `ConfigurationError` for one that is not there.
    """
    found: list[Contender] = []
    for name in dict.fromkeys(names or CONTENDERS):
        contender = CONTENDERS.get(name) or own(name)
        if contender is None:
            known = f"{', '.join(CONTENDERS)}; or write rules.toml or module:name for one of yours"
            raise ConfigurationError(f"no policy {name!r} races; there is {known}")
        found.append(contender)
    return tuple(found)
