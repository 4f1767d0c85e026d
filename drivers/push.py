"""What the dialogues have in common: passing on what was understood, and the one that only listens."""

from collections.abc import Callable, Generator, Iterable

from drivers.catalogue import Decode, Decoded, Refusal
from drivers.dialogue import Answer, Dialogue, Listen, Settings, Step, tell
from protocol.framing import Frame
from protocol.readings import Notice


def pass_on(decoded: Iterable[Decoded]) -> Generator[Step, Answer, None]:
    """Report each reading (durable before the next step), let each event and each refusal be known.

    A refusal becomes a notice under its own code, with the reason and the bytes: nobody can mend a wrong
    setting that nobody sees.
    """
    for item in decoded:
        yield from tell(refused(item) if isinstance(item, Refusal) else item)


def push(decode: Decode) -> Callable[[Settings], Dialogue]:
    """Return the dialogue of a device that speaks by itself and is never spoken to."""

    def talk(_settings: Settings) -> Dialogue:
        while True:
            answer = yield Listen()
            if isinstance(answer, Frame):
                yield from pass_on(decode([answer]))

    return talk


def refused(refusal: Refusal) -> Notice:
    """Return the notice a person needs to mend what made the device speak so."""
    return Notice(refusal.code, {"reason": refusal.reason, "frame": refusal.frame.hex(" ")}, fault=True)
