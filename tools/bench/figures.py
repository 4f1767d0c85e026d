"""One line a comparison: ours, the baseline of the same run, the ratio, the target and whether it is met."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

__all__ = ["Line", "Scale", "Target", "alternated", "median", "percentile", "seconds_of"]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on the ratio or on our own figure; `spare`, in our unit, is allowed above ratio x baseline."""

    bound: float
    on: Literal["ratio", "ours"] = "ratio"
    most: bool = True
    spare: float = 0.0

    def met(self, ours: float, baseline: float | None) -> bool | None:
        """Say whether *ours* keeps the bound; None where there is no baseline to hold it against."""
        if self.on == "ratio" and baseline is None:
            return None
        bound = self.bound * baseline + self.spare if self.on == "ratio" and baseline else self.bound
        return ours <= bound if self.most else ours >= bound

    def words(self, unit: str) -> str:
        """Return the bound as the table shows it."""
        sign = "<=" if self.most else ">="
        if self.on == "ours":
            return f"{sign} {plain(self.bound)} {unit}"
        return f"{sign} {plain(self.bound)} x" + (f" + {plain(self.spare)} {unit}" if self.spare else "")


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison. `ours` is None where it could not be measured; `note` then says why."""

    what: str
    unit: str
    ours: float | None
    baseline: float | None = None
    against: str = ""
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours by baseline."""
        return self.ours / self.baseline if self.ours is not None and self.baseline else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target or a figure."""
        return None if self.target is None or self.ours is None else self.target.met(self.ours, self.baseline)

    def row(self) -> str:
        """Return the line of the table."""
        ours = "not measured" if self.ours is None else f"{plain(self.ours)} {self.unit}"
        against = "-" if self.baseline is None else f"{plain(self.baseline)} {self.unit}"
        ratio = "-" if self.ratio is None else f"{plain(self.ratio)} x"
        target = self.target.words(self.unit) if self.target else "-"
        verdict = {True: "met", False: "NOT MET", None: "-"}[self.met]
        beside = "; ".join(part for part in (self.against and f"against {self.against}", self.note) if part)
        return _columns((self.what, ours, against, ratio, target, verdict, beside))

    def as_json(self) -> Mapping[str, object]:
        """Return the line for a program."""
        return {
            "what": self.what,
            "unit": self.unit,
            "ours": self.ours,
            "baseline": self.baseline,
            "against": self.against,
            "ratio": self.ratio,
            "target": self.target.words(self.unit) if self.target else None,
            "met": self.met,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: 1 is `make bench`; less is quicker and noisier."""

    factor: float

    def of(self, full: int, least: int) -> int:
        """Return how many rounds or things to measure."""
        return max(least, round(full * self.factor))

    def seconds(self, full: float, least: float) -> float:
        """Return how long to watch."""
        return max(least, full * self.factor)


def head() -> str:
    """Return the table's head."""
    return _columns(("what", "ours", "baseline", "ratio", "target", "", ""))


def _columns(cells: tuple[str, str, str, str, str, str, str]) -> str:
    what, ours, baseline, ratio, target, verdict, beside = cells
    row = f"{what:<57} {ours:>14} {baseline:>14} {ratio:>9}  {target:<19} {verdict:<8} {beside}"
    return row.rstrip()


def plain(number: float) -> str:
    """Return *number* with three digits that matter."""
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:,.{digits}f}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of all do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def seconds_of(deed: Callable[[], object]) -> float:
    """Return how long *deed* took."""
    began = time.perf_counter()
    deed()
    return time.perf_counter() - began


def alternated(rounds: int, *deeds: Callable[[], object]) -> list[list[float]]:
    """Return the seconds of each deed in each round; a round does each once, so that noise hits all alike."""
    times: list[list[float]] = [[] for _ in deeds]
    for _ in range(rounds):
        for taken, deed in zip(times, deeds, strict=True):
            taken.append(seconds_of(deed))
    return times
