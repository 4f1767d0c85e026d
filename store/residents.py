"""Who a resident key stands for. Names and numbers live only here, never in a fact."""

from collections.abc import Sequence
from typing import Literal

import msgspec


class Identifier(msgspec.Struct, frozen=True):
    """A number somebody gave a resident: `system` is the contract's word (`cn-id`, `health-record`, …)."""

    system: str
    value: str


class Resident(msgspec.Struct, frozen=True):
    """A resident as the clinic named them; `id` is ours and says nothing about the person."""

    id: str
    identifiers: Sequence[Identifier]
    name: str | None = None
    sex: Literal["male", "female"] | None = None
    birth_date: str | None = None
