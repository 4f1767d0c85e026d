"""People nobody can be: residents born in 18xx with sound identity numbers, and plausible values for them."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
"""GB 11643-1999, MOD 11-2."""
SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"
GIVEN = ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十")


@dataclass(frozen=True, slots=True)
class Person:
    """A resident for demonstration and tests."""

    name: str
    cn_id: str


def person(number: int) -> Person:
    """Return resident *number* (0 …): always the same one, born 1800 to 1899."""
    year, month, day = 1800 + number % 100, 1 + number % 12, 1 + number % 28
    first = f"370305{year}{month:02d}{day:02d}{1 + number % 999:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(first, WEIGHTS, strict=True))
    name = SURNAMES[number % len(SURNAMES)] + "试" + GIVEN[number // 16 % 10]
    return Person(name, first + "10X98765432"[total % 11])


class Vitals:
    """Values for one exam after another, each drawn once; the same seed gives the same people."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._seen: set[str] = set()

    def blood_pressure(self) -> Mapping[str, str]:
        """Return systolic, diastolic, mean_pressure and pulse_rate; never the same set twice."""
        while True:
            diastolic = self._random.randint(60, 100)
            systolic = diastolic + self._random.randint(25, 70)
            mean = diastolic + (systolic - diastolic) // 3
            pulse = self._random.randint(52, 104)
            drawn = {
                "systolic": str(systolic),
                "diastolic": str(diastolic),
                "mean_pressure": str(mean),
                "pulse_rate": str(pulse),
            }
            if str(drawn) not in self._seen:
                self._seen.add(str(drawn))
                return drawn

    def glucose(self) -> Mapping[str, str]:
        """Return glucose in mmol/L with one decimal."""
        return {"glucose": self._tenths(38, 145)}

    def weight(self) -> Mapping[str, str]:
        """Return body_weight in kg."""
        return {"body_weight": str(Decimal(self._random.randint(4000, 9900)).scaleb(-2))}

    def height_and_weight(self) -> Mapping[str, str]:
        """Return body_height in cm and body_weight in kg."""
        return {"body_height": self._tenths(1400, 1890), **self.weight()}

    def _tenths(self, low: int, high: int) -> str:
        return str(Decimal(self._random.randint(low, high)).scaleb(-1))
