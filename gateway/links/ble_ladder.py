"""What to try when Bluetooth does not work, from the mildest to the last, and how often to knock. Pure."""

from collections import deque
from enum import Enum, auto


class Rung(Enum):
    """One remedy."""

    RESCAN = auto()
    POWER_CYCLE = auto()
    RESTART = auto()
    """Of bluetooth.service."""
    REBOOT = auto()
    """Of the box, which is a person's to do."""


STEPS = (Rung.RESCAN, Rung.RESCAN, Rung.POWER_CYCLE, Rung.RESCAN, Rung.RESTART, Rung.RESCAN, Rung.RESCAN)
"""Ours: for the first faults in a row; after them only a reboot is left."""
QUIET = ((600.0, Rung.POWER_CYCLE), (1800.0, Rung.RESTART))
"""Ours: after so many seconds of listening without one advertisement of anybody, each once.

A room may well be silent, so silence alone never asks for a reboot and is not acted upon again and again."""
WELL_S = 300.0
"""Ours: a fault sooner after the last one is the same trouble, even if a scan went well in between: after a
crash in the kernel scans may work and every connection kill the Bluetooth service anew."""
PERSONS = frozenset({"radio.none", "radio.several", "radio.blocked", "radio.denied"})
"""Faults that no remedy here mends: a person has to plug in, choose, unblock or allow something."""
ATTEMPTS = 4
WITHIN_S = 60.0
REST_S = 30.0
"""Ours: a machine that has said all it had to say goes on advertising; it is left alone so long."""
ASLEEP_S = 10.0
"""Ours: a machine unheard for so many seconds of listening has slept: what comes then is news."""
LONGEST_PAUSE_S = 20.0
LEFT_S = 1.0
"""Ours: a machine that let go of us by itself stops advertising within that, or has more to tell."""


class Ladder:
    """Counts faults of the radio that belong together, and silence."""

    def __init__(self) -> None:
        self._faults = 0
        self._fault_at = float("-inf")
        self._quiet_done = 0

    def fault(self, code: str, now: float) -> Rung:
        """Return what to do about one more fault, at *now* (seconds of any clock that only goes on)."""
        if code in PERSONS:
            return Rung.RESCAN
        if now - self._fault_at > WELL_S:
            self._faults = 0
        self._faults, self._fault_at = self._faults + 1, now
        return STEPS[self._faults - 1] if self._faults <= len(STEPS) else Rung.REBOOT

    def heard(self) -> None:
        """Note that somebody advertised."""
        self._quiet_done = 0

    def quiet(self, seconds: float) -> Rung | None:
        """Return what to do after *seconds* of listening without an advertisement, if it was not done yet."""
        if self._quiet_done < len(QUIET) and seconds >= QUIET[self._quiet_done][0]:
            self._quiet_done += 1
            return QUIET[self._quiet_done - 1][1]
        return None


class Pace:
    """When one machine may be connected to again: at most ATTEMPTS within WITHIN_S, later and later.

    Times are seconds of any clock that only goes on; `listened` is how long the radio has listened so far.
    """

    def __init__(self) -> None:
        self._tries: deque[float] = deque(maxlen=ATTEMPTS)
        self._failed = 0
        self._not_before = float("-inf")
        self._resting = False
        self._listened = 0.0

    def heard(self, listened: float) -> None:
        """Note an advertisement; after a sleep, the rest after the last contact is over."""
        if self._resting and listened - self._listened >= ASLEEP_S:
            self._resting, self._not_before = False, float("-inf")
        self._listened = listened

    def may(self, now: float) -> bool:
        """Say whether the machine may be connected to now."""
        often = len(self._tries) == ATTEMPTS and now - self._tries[0] < WITHIN_S
        return not often and now >= self._not_before

    def tried(self, now: float) -> None:
        """Note an attempt."""
        self._tries.append(now)

    def failed(self, now: float) -> None:
        """Note that nothing came of it, or that the link was lost."""
        self._failed += 1
        self._resting = False
        self._not_before = now + min(2.0 ** (self._failed - 1), LONGEST_PAUSE_S)

    def left(self, now: float) -> None:
        """Note that the machine itself ended a conversation that worked: it may come back with the next."""
        self._failed, self._resting = 0, False
        self._not_before = now + LEFT_S

    def ended(self, now: float) -> None:
        """Note that a conversation came to its own end."""
        self._failed, self._resting = 0, True
        self._not_before = now + REST_S
