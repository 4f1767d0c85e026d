"""An analyser on a pseudo-terminal that sends by ASTM E1381 and knows what the host has acknowledged."""

import os
import select
import tty
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from protocol.astm import ACK, ENQ, EOT, ETX, STX
from protocol.checks import sum8

PATIENCE_S = 3.0
LATE_S = 6.0
"""How much longer an answer may take that must not be taken for the answer to what is said next."""
NOON = datetime(2026, 3, 1, 12)


class Analyser:
    """Use as a context manager; `port` is where the gateway finds it, `taken` what was acknowledged."""

    def __init__(self) -> None:
        self._line, self._kept = os.openpty()
        tty.setraw(self._line)
        self.port = os.ttyname(self._kept)
        self.taken: list[str] = []
        self._told = 0
        self._owed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._line)
        os.close(self._kept)

    def sends(self) -> bool:
        """Send one more result, each with its own value; return whether the host acknowledged it."""
        if self._owed:
            self._answer(EOT, LATE_S)
            self._owed = False
            return False
        self._told += 1
        value = f"{3 + self._told // 100}.{self._told % 100:02}"
        self._forget_what_was_said()
        if self._answer(ENQ) != ACK:
            return False
        at = NOON + timedelta(seconds=self._told)
        records = [
            "H|\\^&|||Analyser^1.0^A17|||||||P|1|20260301235900",
            f"P|1\rO|1|S-{self._told}||^^^Glucose",
            f"R|1|^^^Glucose|{value}|mmol/L||||F||||{at:%Y%m%d%H%M%S}\rL|1|N",
        ]
        text = b"1" + "\r".join(records).encode() + b"\r" + ETX
        taken = self._answer(STX + text + b"%02X\r\n" % sum8(text)) == ACK
        os.write(self._line, EOT)
        if taken:
            self.taken.append(value)
        return taken

    def _answer(self, said: bytes, patience: float = PATIENCE_S) -> bytes:
        os.write(self._line, said)
        ready, _, _ = select.select([self._line], [], [], patience)
        self._owed = not ready
        return os.read(self._line, 1) if ready else b""

    def _forget_what_was_said(self) -> None:
        while select.select([self._line], [], [], 0)[0]:
            os.read(self._line, 4096)
