"""A number exactly as a device sent it, with its UCUM unit."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Comparator = Literal["<", ">"]

UNITS = frozenset({"mm[Hg]", "kPa", "/min", "mmol/L", "mg/dL", "Cel", "cm", "kg", "[lb_av]", "kg/m2", "%"})


@dataclass(frozen=True, slots=True)
class Quantity:
    """A finite Decimal with the precision the device gave it and a unit of `UNITS`.

    `comparator` is set where the device said only "above" (`>`) or "below" (`<`) the value.
    """

    value: Decimal
    unit: str
    comparator: Comparator | None = None

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"not a unit of this project: {self.unit!r}")
        if not isinstance(self.value, Decimal) or not self.value.is_finite():
            raise ValueError(f"not a finite Decimal: {self.value!r}")

    def as_json(self) -> dict[str, str]:
        """Return the contract's form: `{"value": "120", "unit": "mm[Hg]"}`, `comparator` only if set."""
        plain = {"value": format(self.value, "f"), "unit": self.unit}
        return {"comparator": self.comparator, **plain} if self.comparator else plain


def tenths(raw: int, unit: str) -> Quantity:
    """Return *raw* tenths as a quantity with one decimal, as devices that send `268` for 26.8 mean it."""
    return Quantity(Decimal(raw).scaleb(-1), unit)
