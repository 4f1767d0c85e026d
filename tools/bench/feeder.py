"""Sixteen machines that never stop talking, each at its real baud rate: `python -m tools.bench.feeder`.

A program of its own, so that its work is not counted as the gateway's. Says its ports as one JSON line, talks
from the first line it reads until the next, then says how many whole rounds each port has said and how long
a byte of it had to wait.
"""

import json
import os
import select
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from drivers.catalogue import Serial, every
from protocol import transcript
from tools.fuzz import TRANSCRIPTS
from tools.terminal import Terminal

STREAM_TIMES = 200
ROUNDS: dict[str, tuple[tuple[str, ...], int]] = {
    "omron_hbp": (("omron_hbp-bp_line",), 4),
    "gtech_gl": (("gtech_gl-line",), 4),
    "scale_st_gs": (("scale_st_gs-stream",), 2),
    "pm6750": (("pm6750-idle",), 4),
    "lepu_vx": (("lepu_vx-measurement", *["lepu_vx-finger_and_probe"] * STREAM_TIMES), 2),
}
"""By driver: the transcripts that are said again and again, and on how many ports.

The last one's line is so fast that a measurement alone, again and again, would be two hundred a second of one
machine: between two it sends curves and vital signs.
"""
STEP_S = 0.01
BITS = 10
"""On the line for a byte: start, eight, stop."""


@dataclass
class Talker:
    """One machine: what a round is, and how far it has come."""

    driver: str
    terminal: Terminal
    words: bytes
    rate: float
    """Bytes a second."""
    said: int = 0
    late_s: float = 0.0
    """The longest that a byte had to wait because nobody had read the ones before it."""

    def go_on(self, elapsed: float) -> None:
        """Say what is due after *elapsed* seconds."""
        due = int(elapsed * self.rate)
        self._say(due)
        self.late_s = max(self.late_s, (due - self.said) / self.rate)

    def finish(self) -> bool:
        """Say the rest of the round; return whether it is said."""
        end = -(-self.said // len(self.words)) * len(self.words)
        self._say(end)
        return self.said == end

    def _say(self, due: int) -> None:
        end = self.terminal.fileno()
        assert end is not None
        while self.said < due:
            begin = self.said % len(self.words)
            part = self.words[begin : begin + min(due - self.said, 4096)]
            try:
                self.said += os.write(end, part)
            except BlockingIOError:
                return


def heard(stems: Sequence[str]) -> bytes:
    """Return all that the device says in these transcripts, one after the other."""
    return b"".join(map(_heard, stems))


@cache
def _heard(stem: str) -> bytes:
    turns = transcript.parse((TRANSCRIPTS / f"{stem}.txt").read_text(encoding="utf-8")).turns
    return b"".join(turn.data for turn in turns if isinstance(turn, transcript.Heard))


def talkers() -> list[Talker]:
    """Return every machine, its terminal plugged in."""
    found = []
    for name, (stems, ports) in ROUNDS.items():
        link = every()[name].link
        assert isinstance(link, Serial)
        for _ in range(ports):
            terminal = Terminal(None)
            terminal.plug()
            found.append(Talker(name, terminal, heard(stems), link.baudrate / BITS))
    return found


def main() -> None:
    """Talk between two lines of standard input."""
    machines = talkers()
    print(json.dumps([[one.driver, one.terminal.path] for one in machines]), flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    while not select.select([sys.stdin], [], [], STEP_S)[0]:
        for one in machines:
            one.go_on(time.monotonic() - began)
    while [one for one in machines if not one.finish()]:
        time.sleep(STEP_S)
    print(json.dumps([[one.said // len(one.words), one.late_s] for one in machines]), flush=True)
    sys.stdin.readline()
    sys.stdin.readline()


if __name__ == "__main__":
    main()
