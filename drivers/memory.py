"""Downloading a memory that is indexed newest first: what is new, oldest first, so that a cut loses nothing.

A record is reported only after every older one was, so one record that the journal knows means that it knows
all before it: the next contact reads from the newest down to that one, wherever the last was cut.
"""

from collections.abc import Callable, Generator, Sequence

from drivers.catalogue import Decoded
from drivers.dialogue import Answer, Known, Step
from drivers.push import pass_on
from protocol.readings import Reading

Fetched = Generator[Step, Answer, Sequence[Decoded] | None]
"""Reads one record and returns what it says; None where the device gave no good answer."""
Settled = Generator[Step, Answer, bool]
"""Says whether the memory holds as many records as before."""


def download(
    fetch: Callable[[int], Fetched], count: int, settled: Callable[[], Settled] | None = None
) -> Generator[Step, Answer, bool]:
    """Read the records 0 (newest) to *count* - 1 up to the first known one and pass the new ones on.

    Returns False, with nothing passed on, where one could not be read: the device keeps them, and the next
    contact begins again. So it does where `settled`, asked after a walk to the end, says no: a test made
    meanwhile has moved the oldest record out of the walk, and nobody would look for it again.
    """
    new: list[Sequence[Decoded]] = []
    for index in range(count):
        said = yield from fetch(index)
        if said is None:
            return False
        if (yield from _known(said)):
            break
        new.append(said)
    else:
        if new and settled is not None and not (yield from settled()):
            return False
    for said in reversed(new):
        yield from pass_on(said)
    return True


def _known(said: Sequence[Decoded]) -> Generator[Step, Answer, bool]:
    for item in said:
        if isinstance(item, Reading) and item.record is not None:
            return (yield Known(item.record)) is True
    return False
