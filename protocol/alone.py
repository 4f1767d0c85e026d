"""Messages as documents print them: without the envelope they have on the wire, silence before and after."""

from collections.abc import Callable, Iterator

from protocol.framing import Frame, Framer, Noise


class AloneFramer:
    """Gives out what stands alone between two silences, and leaves everything else to *framer*.

    `may(held)` says whether the first bytes since a silence can still become such a message, which bounds
    what is held; `alone(held)` says whether they are one.
    """

    def __init__(self, framer: Framer, may: Callable[[bytes], bool], alone: Callable[[bytes], bool]) -> None:
        """Begin with nothing heard."""
        self._framer = framer
        self._may = may
        self._alone = alone
        self._first: bytes | None = b""

    def feed(self, chunk: bytes) -> Iterator[Frame | Noise]:
        """Yield what the framer finds in *chunk*, once it cannot be a message that stands alone."""
        if self._first is not None:
            self._first += chunk
            if self._may(self._first):
                return
            chunk, self._first = self._first, None
        yield from self._framer.feed(chunk)

    def finish(self) -> Iterator[Frame | Noise]:
        """Yield what is held: a message that stood alone, or what the framer makes of it."""
        first, self._first = self._first, b""
        if first and self._alone(first):
            yield Frame(first)
            return
        yield from self._framer.feed(first or b"")
        yield from self._framer.finish()
