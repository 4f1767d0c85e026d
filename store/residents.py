"""Who a resident key stands for: the values. Names and numbers live only under lock, never in a fact."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Sex = Literal["male", "female"]
Hidden = Literal["erased", "key_missing", "damaged"]
"""Why nobody can say who it is: erased for good, the key is not at hand, what was sealed is damaged."""


class Identifier(msgspec.Struct, frozen=True):
    """A number somebody gave a resident: `system` is the contract's word (`cn-id`, `health-record`, …)."""

    system: str
    value: str


class Resident(msgspec.Struct, frozen=True):
    """A resident as the clinic named them; `id` is ours and says nothing about the person."""

    id: str
    identifiers: Sequence[Identifier] = ()
    name: str | None = None
    sex: Sex | None = None
    birth_date: str | None = None


class Unnamed(Resident, frozen=True, kw_only=True):
    """A resident of whom nothing can be said but why."""

    hidden: Hidden
