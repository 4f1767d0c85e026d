"""The device's side of a transcript on a pseudo-terminal, in real time, for whoever opens it."""

import os
import select
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from protocol.errors import Lost, UnexpectedReply
from protocol.transcript import Heard, Ordered, Sent, Silence, Transcript, turn_line

LOOK_S = 0.05


def serve(transcript: Transcript, link: Path, tell: Callable[[str], None]) -> None:
    """Play *transcript* once to the program that opens *link*; return when that program lets the port go.

    *tell* gets a line for each order that a person has to give now. Raises UnexpectedReply
    (`replay.differs`) where the other side says something else, Lost where it goes too early.
    """
    with _pseudo_terminal(link) as master:
        while _alone(master):
            time.sleep(LOOK_S)
        for turn in transcript.turns:
            match turn:
                case Heard(data):
                    _say(master, data)
                case Silence(seconds):
                    time.sleep(seconds)
                case Sent(data):
                    _expect(master, data)
                case Ordered():
                    tell(turn_line(turn))
        while not _alone(master):
            time.sleep(LOOK_S)


@contextmanager
def _pseudo_terminal(link: Path) -> Iterator[int]:
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)  # so that the other side's opening and closing can be seen
    if link.is_symlink():
        link.unlink()
    link.symlink_to(name)
    try:
        yield master
    finally:
        with suppress(FileNotFoundError):
            link.unlink()
        os.close(master)


def _alone(master: int) -> bool:
    poll = select.poll()
    poll.register(master, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _say(master: int, data: bytes) -> None:
    while data:
        data = data[os.write(master, data) :]


def _expect(master: int, wanted: bytes) -> None:
    heard = b""
    while len(heard) < len(wanted):
        try:
            heard += os.read(master, len(wanted) - len(heard))
        except OSError as error:
            raise Lost("the other side closed the port before the transcript was over") from error
    if heard != wanted:
        raise UnexpectedReply(
            f"heard {heard.hex(' ')}, the transcript has {wanted.hex(' ')}", code="replay.differs"
        )
