"""A policy around another one, for who watches or disturbs what is decided: in all else it is the one inside."""

from __future__ import annotations

from .case import Case
from .decision import Policy, is_paced, looks_back
from .guards import Declined, Option
from .signal import Signal

__all__ = ["Around"]


class Around:
    """Says what `policy` says. A subclass holds the policy, and does something of its own where it is asked."""

    __slots__ = ()
    policy: Policy

    @property
    def name(self) -> str:
        return self.policy.name

    @property
    def counts_alike(self) -> bool:
        return self.policy.counts_alike

    @property
    def escalates(self) -> bool:
        return self.policy.escalates

    @property
    def paced(self) -> bool:
        return is_paced(self.policy)

    @property
    def stable_after(self) -> float | None:
        return self.policy.stable_after

    def looks_back(self, signal: Signal) -> bool:
        return looks_back(self.policy, signal)

    def propose(self, case: Case) -> tuple[Option, ...]:
        return self.policy.propose(case)

    def declined(self, case: Case) -> tuple[Declined, ...]:
        return self.policy.declined(case)
