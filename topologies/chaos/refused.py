"""What a dependency says that does not do what it was asked."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

__all__ = ["Refused", "Response"]


@frozen
class Response:
    """What the exception of a refused call carries, as HTTP clients' exceptions do."""

    status_code: int
    headers: Mapping[str, str] = field(factory=dict[str, str])


class Refused(Exception):
    """A dependency that did not do what it was asked."""

    def __init__(self, text: str, response: Response | None = None) -> None:
        super().__init__(text)
        if response is not None:
            self.response = response
