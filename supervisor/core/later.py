"""Facts that are worked out when somebody looks at them: grounds cost more than the decision that rests on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from typing import Self

    from .event import Event

__all__ = ["Account", "Later"]

T = TypeVar("T")

_put: Final = object.__setattr__


class Later:
    """A frozen value some of which may be made before its fields are known. To be inherited with `slots=False`."""

    @classmethod
    def later(cls, work_out: Callable[[T], Self], of: T) -> Self:
        """What `work_out(of)` will return, once somebody looks at it.

        `work_out` has to return the same whenever it is called; it is called once.
        """
        made = object.__new__(cls)
        _put(made, "_work_out", work_out)
        _put(made, "_of", of)
        return made

    def work_out(self) -> None:
        """Look at it, so that nothing is left for later."""
        assert self.path is not None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Only for what is not there yet."""
            work_out = self.__dict__.get("_work_out")
            if work_out is None or name.startswith("__"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            self.__dict__.update(work_out(self.__dict__["_of"]).__dict__)
            self.__dict__.pop("_work_out", None)
            self.__dict__.pop("_of", None)
            return getattr(self, name)
    else:
        path: Any


class Account:
    """Facts about one thing that happened, worked out when they are read. To be inherited."""

    __slots__ = ()

    @property
    def count(self) -> int:
        """How many facts there are."""
        raise NotImplementedError

    @property
    def facts(self) -> tuple[Event, ...]:
        """They themselves, the same ones whenever this is asked."""
        raise NotImplementedError
