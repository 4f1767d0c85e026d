"""RBP pulse-wave blood-pressure monitors (脉搏波, Raycome 瑞光康泰), sold as 三开 too, over a serial port.

Cable or Bluetooth SPP port with the packets of the Bluetooth LE form; no source states the cable's baud rate,
9600 is a guess. The monitor is connected first (model type 9000 is not: `connect = false`), wants 0.55 s
between two packets and starts on a person's order or its own key; the cuff pressure is shown, never kept.
It may repeat a final result: its own time and values are the record's name, and one that is known is no news.
The packets themselves are in `protocol/raycome.py`.
"""

from collections.abc import Generator
from dataclasses import dataclass

from drivers.catalogue import Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Order, Report, Send, Settings, Step
from drivers.push import pass_on
from protocol import raycome
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.raycome import BATTERY, CONNECT, LOWEST_MV, START, STOP
from protocol.readings import Kind, Notice, Reading

GAP = 0.625
"""Seconds between two packets: the 0.55 that the monitor wants and a little more (ours)."""
ANSWER = 5.0
"""Seconds a known host waits for the battery; taken for the other questions too (ours)."""
FIRST_PACKET = 10.0
"""Ours: seconds an ordered monitor may say nothing at all before a person is told."""
LIMIT = 180.0
"""Seconds after which a known host gives a measurement up."""
START_ORDER, STOP_ORDER = "start_blood_pressure", "stop_blood_pressure"

decode = frame_by_frame(raycome.decode_packet)


def talk(settings: Settings) -> Dialogue:
    """Connect, read the battery, then pass on every result; start and stop only when a person asks."""
    monitor = _Monitor()
    connected = bool(settings["connect"])
    if connected:
        yield Send(raycome.command(CONNECT))
        if (yield from monitor.answered(CONNECT)) is None:
            raise NoAnswer("the connect was not answered")
    if (yield from monitor.charge()) is None and not connected:
        raise NoAnswer("no word of the battery")
    while True:
        answer = yield Listen(orders=True)
        if isinstance(answer, Frame):
            yield from monitor.take(answer)
        elif isinstance(answer, Order) and answer.name == STOP_ORDER:
            yield from monitor.send(STOP)
        elif isinstance(answer, Order):
            yield from monitor.measure()


@dataclass(slots=True)
class _Monitor:
    last: str | None = None
    """The record told last at this contact."""

    def send(self, action: bytes) -> Generator[Step, Answer, bool]:
        """Send once the monitor had its time; returns whether a measurement's last word came meanwhile."""
        ended = False
        while isinstance(answer := (yield Listen(within=GAP)), Frame):
            ended = (yield from self.take(answer)) or ended
        yield Send(raycome.command(action))
        return ended

    def answered(self, action: bytes) -> Generator[Step, Answer, bytes | None]:
        """Return the packet that answers *action*, all before it passed on; None if none came."""
        while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
            yield from self.take(answer)
            if raycome.action(answer.data) == action:
                return answer.data
        return None

    def charge(self) -> Generator[Step, Answer, int | None]:
        """Ask for the battery and return its mV, None if it does not say."""
        yield from self.send(BATTERY)
        answer = yield from self.answered(BATTERY)
        return None if answer is None else raycome.battery(answer)

    def take(self, frame: Frame) -> Generator[Step, Answer, bool]:
        """Pass on what a packet says; returns whether it is the last word on a measurement, and a new one."""
        ended = False
        for said in decode([frame]):
            if isinstance(said, Reading):
                if said.record is not None and (self.last == said.record or (yield Known(said.record))):
                    continue
                self.last, ended = said.record, True
            yield from pass_on([said])
        return ended

    def measure(self) -> Generator[Step, Answer, None]:
        """Start where the battery allows it, and follow the measurement to its end."""
        charge = yield from self.charge()
        if charge is None:
            raise NoAnswer("no word of the battery, so nothing was started")
        if charge <= LOWEST_MV:
            return
        yield from self.send(START)
        heard = b""
        while (answer := (yield Listen(orders=True, within=LIMIT if heard else FIRST_PACKET))) is not None:
            if isinstance(answer, Order) and answer.name == STOP_ORDER:
                yield from self.stop(heard)
                return
            if isinstance(answer, Order):
                yield Observe(Notice("nibp.already_measuring"))
            elif isinstance(answer, Frame):
                heard = answer.data
                if (yield from self.take(answer)):
                    return
        yield from self.send(STOP)
        if not heard:
            raise NoAnswer("the start was not answered")
        yield Report(_failed("timed_out", heard))

    def stop(self, heard: bytes) -> Generator[Step, Answer, None]:
        """Stop, and report what was *heard* of the measurement as stopped here unless it ended by itself."""
        if (yield from self.send(STOP)):
            return
        while isinstance(answer := (yield Listen(within=ANSWER)), Frame):
            if (yield from self.take(answer)):
                return
            heard = answer.data
            if raycome.action(heard) == STOP:
                break
        if heard:
            yield Report(_failed("stopped_by_host", heard))


def _failed(reason: str, frame: bytes) -> Reading:
    return Reading(Kind.BLOOD_PRESSURE, {}, (frame,), failed=reason)


DRIVER = Driver(
    name="raycome_rbp",
    title="RBP pulse-wave blood-pressure monitor (Raycome)",
    models=("Raycome RBP", "三开"),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Serial(),
    framer=raycome.framer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="captured",
    sources="serial/raycome_rbp.md: a C# gateway with captures, a Python client citing the vendor's PDF 1.8",
    not_known=(
        "the baud rate of the cable",
        "what the error codes mean",
        "how a cuff pressure above 255 mmHg is read (two clients differ; no number is shown then)",
        "whether and how a start and a stop are answered",
        "whether an older result is told again at connecting",
        "how stored records are downloaded, and what the version byte means",
    ),
    orders=(START_ORDER, STOP_ORDER),
    settings={"connect": True},
)
