"""One value out of a stream that repeats it: taken once it has stood still, once until it is let go."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value", bound=Hashable)


class Steady(Generic[Value]):
    """Takes a value when *needed* (at least one) equal ones came in a row, and then none until `release`.

    Always true: between two values taken lies a `release`; what is held is at most *needed* frames.
    """

    taken: bool
    """Whether a value was taken since the last `release`."""

    def __init__(self, needed: int) -> None:
        self._needed = max(1, needed)
        self._value: Value | None = None
        self._frames: list[bytes] = []
        self.taken = False

    def see(self, value: Value, frame: bytes) -> tuple[bytes, ...]:
        """Count *value*, read from *frame*; return the frames that prove it where it is taken, else ()."""
        if value != self._value:
            self._value, self._frames = value, []
        if self.taken:
            return ()
        self._frames.append(frame)
        self.taken = len(self._frames) == self._needed
        return tuple(self._frames) if self.taken else ()

    def unsettle(self) -> None:
        """Begin counting anew: something else came between."""
        self._value, self._frames = None, []

    def release(self) -> None:
        """Be ready for the next value: what was measured has gone away."""
        self.unsettle()
        self.taken = False
