"""The screen of `listen`: a table that grows, the bytes of the row under the cursor, keys to choose.

Only this file knows textual, and only a terminal that shows it loads this file.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Input, Static

from drivers.catalogue import Refusal
from protocol.errors import GatewayError
from protocol.framing import Frame, Noise
from protocol.readings import DeviceClock, Notice, Reading
from protocol.transcript import Sent
from tools.forms import in_words
from tools.watching import Choice, Ended, Only, Shown, Watch, as_line

KEPT = 5000
"""Rows held at most, ours: the oldest leave first. `--output` keeps everything."""
DRAWN_S = 0.1
"""Ours: so often new rows are drawn, however fast they come."""
ROW_BYTES = 8
WHOLE_BYTES = 16
COLUMNS = (("s", 9), ("", 1), ("hex", 3 * ROW_BYTES - 1), ("text", ROW_BYTES), ("meaning", None))
"""Narrow enough that the meaning begins on a terminal of 80 columns."""


@dataclass(slots=True)
class Counts:
    """What the line at the top says."""

    heard: int = 0
    sent: int = 0
    frames: int = 0
    noise: int = 0
    refused: int = 0

    def add(self, shown: Shown) -> None:
        """Count *shown*."""
        match shown:
            case bytes():
                self.heard += len(shown)
            case Sent(data):
                self.sent += len(data)
            case Frame():
                self.frames += 1
            case Noise(data):
                self.noise += len(data)
            case Refusal():
                self.refused += 1

    def __str__(self) -> str:
        return (
            f"heard {self.heard} B, sent {self.sent} B, frames {self.frames}, "
            f"refused {self.refused}, noise {self.noise} B"
        )


class Screen(App[BaseException]):
    """Everything told by *watch* until a key ends it; returns the fault that ended the watching, if any."""

    CSS = """
    #top { height: 2; background: $panel; }
    #rows { height: 1fr; }
    #bytes { height: 8; border-top: solid $panel; overflow-y: auto; }
    #find { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "Hold", priority=False),
        Binding("a", "only('all')", "All"),
        Binding("b", "only('bytes')", "Bytes"),
        Binding("f", "only('frames')", "Frames"),
        Binding("n", "only('noise')", "Noise"),
        Binding("slash", "find", "Find"),
        Binding("s", "save", "Save"),
        Binding("q", "end", "Quit"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, title: str, watch: Watch, choice: Choice, folder: Path | None = None) -> None:
        """Watch by *watch*; files are saved in *folder*, the current one where none is named."""
        super().__init__()
        self.choice = choice
        self.counts = Counts()
        self.rows: deque[tuple[float, Shown]] = deque(maxlen=KEPT)
        self.paused = False
        self._named = title
        self._watch = watch
        self._folder = folder or Path.cwd()
        self._fresh: deque[tuple[float, Shown]] = deque(maxlen=KEPT)
        self._listed: deque[Shown] = deque()

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield Static(id="top", markup=False)
        yield DataTable[Text](id="rows", cursor_type="row", zebra_stripes=False)
        yield Static(id="bytes", markup=False)
        yield Input(placeholder="text or hex; Enter takes it, empty shows everything", id="find")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to watch."""
        for name, width in COLUMNS:
            self._table.add_column(name, width=width)
        self._table.focus()
        self.set_interval(DRAWN_S, self._draw)
        self.run_worker(self._watching(), exit_on_error=False)
        self._say()

    async def _watching(self) -> None:
        try:
            await self._watch(self._told)
        except Exception as fault:  # the command line puts it into words once the screen is gone
            self.exit(fault)

    def _told(self, offset: float, shown: Shown) -> None:
        self.counts.add(shown)
        self.rows.append((offset, shown))
        self._fresh.append((offset, shown))

    def _draw(self) -> None:
        """Add what has come, unless the screen is held."""
        self._say()
        if self.paused or not self._fresh:
            return
        fresh = [row for row in self._fresh if self.choice.takes(row[1])]
        self._fresh.clear()
        self._list(fresh)

    def _list(self, rows: list[tuple[float, Shown]]) -> None:
        table = self._table
        at_end = table.cursor_row >= table.row_count - 1
        for offset, shown in rows:
            table.add_row(*_cells(offset, shown))
            self._listed.append(shown)
        while table.row_count > KEPT:
            table.remove_row(next(iter(table.rows)))
            self._listed.popleft()
        if at_end and table.row_count:
            table.move_cursor(row=table.row_count - 1)

    def _relist(self) -> None:
        """Show the held rows anew, under the choice as it is now."""
        self._table.clear()
        self._listed.clear()
        self._fresh.clear()
        self._list([row for row in self.rows if self.choice.takes(row[1])])
        self._say()

    def _say(self) -> None:
        showing = f"showing {self.choice.only}" + (f" with {self.choice.text!r}" if self.choice.text else "")
        held = f"   HELD, {len(self._fresh)} more" if self.paused else ""
        self.query_one("#top", Static).update(f"{self._named}\n{self.counts}   {showing}{held}")

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one("#rows", DataTable)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show all bytes and words of the row under the cursor."""
        if 0 <= event.cursor_row < len(self._listed):
            self.query_one("#bytes", Static).update(whole(self._listed[event.cursor_row]))

    def action_pause(self) -> None:
        """Hold the list still, or let it go on; what comes meanwhile is kept."""
        self.paused = not self.paused
        self._draw()

    def action_only(self, only: Only) -> None:
        """Show one sort of lines."""
        self.choice = replace(self.choice, only=only)
        self._relist()

    def action_find(self) -> None:
        """Ask for a text."""
        field = self.query_one("#find", Input)
        field.display = True
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show the lines that contain the text."""
        event.input.display = False
        self.choice = replace(self.choice, text=event.value)
        self._relist()
        self._table.focus()

    def action_save(self) -> None:
        """Write the lines shown to a new file that only its owner can read."""
        path = self._folder / f"listen-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}.txt"
        wanted = [as_line(offset, shown) for offset, shown in self.rows if self.choice.takes(shown)]
        try:
            path.touch(mode=0o600, exist_ok=False)
            path.write_text("\n".join([self._named, *wanted, ""]), encoding="utf-8")
        except OSError as error:
            self.notify(f"{path}: {error.strerror}", severity="error", markup=False)
            return
        self.notify(f"{len(wanted)} lines in {path}", markup=False)

    def action_end(self) -> None:
        """End without a fault."""
        self.exit()


def shown_on(screen: Screen, seconds: float | None) -> None:
    """Run *screen* until a key, the time or a fault ends it; raises that fault."""

    async def bounded() -> None:
        running = asyncio.create_task(screen.run_async())
        done, _ = await asyncio.wait({running}, timeout=seconds)
        if not done:
            screen.exit()
        fault = await running
        if isinstance(fault, GatewayError):
            raise fault
        if fault is not None:
            raise RuntimeError("the watching ended") from fault

    with suppress(KeyboardInterrupt):
        asyncio.run(bounded())


def whole(shown: Shown) -> str:
    """Return everything about one row: its bytes sixteen a line with their text, then its meaning."""
    data = _bytes_of(shown)
    lines = [
        f"{begin:04x}  {part.hex(' '):<{3 * WHOLE_BYTES}} {dotted(part)}"
        for begin in range(0, len(data), WHOLE_BYTES)
        if (part := data[begin : begin + WHOLE_BYTES])
    ]
    return "\n".join([*lines, _meaning(shown)])


def dotted(data: bytes) -> str:
    """Return *data* as text with a dot for what cannot be printed."""
    return "".join(chr(one) if 32 <= one < 127 else "." for one in data)


def _cells(offset: float, shown: Shown) -> list[Text]:
    data = _bytes_of(shown)
    more = "…" if len(data) > ROW_BYTES else ""
    way, colour = _way(shown)
    cells: list[Any] = [
        f"{offset:9.3f}",
        way,
        data[: ROW_BYTES - bool(more)].hex(" ") + more,
        dotted(data[: ROW_BYTES - bool(more)]) + more,
        _meaning(shown),
    ]
    return [Text(cell, style=colour) for cell in cells]


def _bytes_of(shown: Shown) -> bytes:
    match shown:
        case bytes():
            return shown
        case Sent(data) | Frame(data) | Noise(data):
            return data
        case Refusal(frame):
            return frame
        case Reading():
            return shown.evidence[-1]
        case DeviceClock() | Notice():
            return shown.evidence
        case _:
            return b""


def _way(shown: Shown) -> tuple[str, str]:
    """Return the row's sign and colour."""
    match shown:
        case bytes():
            return "<", "dim"
        case Sent():
            return ">", "cyan"
        case Frame():
            return "=", "bold"
        case Noise():
            return "?", "yellow"
        case Refusal():
            return "!", "red"
        case Ended():
            return "/", "magenta"
        case _:
            return "", "green"


def _meaning(shown: Shown) -> str:
    match shown:
        case bytes() | Sent() | Frame():
            return ""
        case Noise(_, reason):
            return f"noise: {reason}"
        case Refusal(_, code, reason):
            return f"refused: {code}: {reason}"
        case Ended(code, detail):
            return f"ended: {code} {detail}"
        case _:
            return " ".join(in_words(shown).split())
