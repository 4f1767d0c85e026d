"""Machines that repeat their line: one reading per person, taken once it has stood still."""

from collections.abc import Generator
from dataclasses import dataclass, field, replace

from drivers.catalogue import Decode, Decoded, Refusal
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Report, Step
from drivers.push import pass_on, refused
from protocol.framing import Frame
from protocol.readings import Progress, Reading
from protocol.steady import Steady

QUIET = 5.0
"""Ours: after so many seconds without a line the next one is another person's."""


def listening(decode: Decode, needed: int) -> Dialogue:
    """Take one result per person from a machine that repeats its line; with *needed* 1 each line is one."""
    repeated = Repeated(needed)
    while True:
        answer = yield Listen(QUIET)
        if not isinstance(answer, Frame):
            repeated.quiet()
        elif needed == 1:
            yield from pass_on(decode([answer]))
        else:
            for said in decode([answer]):
                yield from repeated.take(said)


@dataclass(slots=True)
class Repeated:
    """Reports a reading when *needed* lines in a row said the same, and then none until it is let go.

    One line is enough where it carries the machine's own mark for a stable value (its context says nothing
    of `stability`). It is let go by `quiet`, and by a `Progress` that says that nothing is under way.
    """

    needed: int
    _steady: dict[tuple[str, ...], Steady[str]] = field(default_factory=dict)
    """By what was measured: some machines say height and weight in turn."""
    _told: set[str] = field(default_factory=set)
    """Reasons of refusals let known since the last result: a wrong setting repeats itself with every line."""
    _empty: bool = False

    def take(self, said: Decoded) -> Generator[Step, Answer, None]:
        """Report, show or keep back what one line said."""
        match said:
            case Reading():
                self._empty = False
                yield from self._see(said)
            case Progress(underway=True):
                self._empty = False
                if not any(steady.taken for steady in self._steady.values()):
                    yield Observe(said)
                self._unsettle()
            case Progress():
                self.quiet()
                if not self._empty:
                    yield Observe(said)
                self._empty = True
            case Refusal():
                self._unsettle()
                if said.reason not in self._told:
                    self._told.add(said.reason)
                    yield Observe(refused(said))
            case _:
                yield Observe(said)

    def quiet(self) -> None:
        """Be ready for the next person."""
        for steady in self._steady.values():
            steady.release()

    def _see(self, reading: Reading) -> Generator[Step, Answer, None]:
        needed = self.needed if "stability" in reading.context else 1
        steady = self._steady.setdefault((reading.kind, *reading.values), Steady(needed))
        evidence = steady.see(f"{reading.values} {reading.failed}", reading.evidence[0])
        if evidence:
            self._told.clear()
            yield Report(replace(reading, evidence=evidence))
        elif not steady.taken:
            yield Observe(Progress(reading.kind, reading.values, "settling"))

    def _unsettle(self) -> None:
        for steady in self._steady.values():
            steady.unsettle()
