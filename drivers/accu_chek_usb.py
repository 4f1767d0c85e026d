"""Roche Accu-Chek Guide, Guide Me, Aviva Connect and Instant on their USB cable: ISO/IEEE 11073-20601.

The meter is a USB device of the health class (173A:21D5, 21CF, 21D6, 21D7), no serial port: its messages pass
over bulk endpoints (`gateway/links/bulk.py`), so no baud rate means anything. It speaks first, when it is
plugged in: it wants to be associated, and gives that up if nobody answers in time. Then all of its memory is
read and the meter is let go. Values are always mg/dL. Never tried on hardware. The messages are in
`protocol/phd20601.py`.
"""

from collections.abc import Callable, Generator

from drivers.catalogue import Decoded, Driver, Serial, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Send, Settings, Step
from drivers.meters import MOST_BETWEEN, Answered, Part, Told, newest_first, without_results
from drivers.push import pass_on
from protocol import phd20601
from protocol.framing import Frame
from protocol.phd20601 import (
    ABORT,
    ACTED,
    ASSOCIATION_REQUEST,
    CONFIG,
    EMPTY,
    GOT,
    RELEASE_RESPONSE,
    REPORT,
    SEGMENT_DATA,
    SEGMENT_INFO,
    TRANSFER,
    says,
    type_of,
)
from protocol.readings import Kind, Measure, Notice

PRODUCTS = (0x21D5, 0x21CF, 0x21D6, 0x21D7)
ANSWER = 5.0
"""Seconds a meter has to answer, as Tidepool waits."""
MOST_REPORTS = 1000
"""Ours: more than a memory fills; the end of a transfer in any case."""

decode = frame_by_frame(phd20601.decode_apdu)

Right = Callable[[bytes], bool]


def talk(_settings: Settings) -> Dialogue:
    """Wait for a meter that wants to be associated, read all it has and let it go."""
    told, heard = Told(), None
    while True:
        answer = heard or (yield Listen())
        heard = None
        if isinstance(answer, Frame) and type_of(answer.data) == ASSOCIATION_REQUEST:
            association = _Association(told)
            yield from association.read()
            heard = association.anew
        elif isinstance(answer, Frame):
            yield from pass_on(without_results(decode)([answer]))


class _Association:
    """One time that a meter is plugged in."""

    def __init__(self, told: Told) -> None:
        self.anew: Frame | None = None
        """What the meter said instead of an answer, where it wants to be associated once more."""
        self._told = told
        self._over = False

    def read(self) -> Part:
        """Associate, read and let go; where that breaks off, say what a person can do."""
        if not (yield from self._read()):
            yield Observe(Notice("accu_chek_usb.plug_in_again", fault=True))

    def _read(self) -> Generator[Step, Answer, bool]:
        """Return whether all of the memory was read."""
        config = yield from self._config()
        if config is None:
            return False
        store, invoke = phd20601.pm_store(config) or 0, phd20601.invoke_of(config)
        yield Send(phd20601.confirm_config(invoke))
        about = yield from self._ask(phd20601.ask_attributes(invoke + 1), lambda one: says(one, GOT))
        if about is None:
            return False
        yield from pass_on(decode([about]))
        invoke = phd20601.invoke_of(about.data) + 1
        info = yield from self._ask(phd20601.ask_segments(invoke, store), _acted(SEGMENT_INFO))
        return info is not None and (yield from self._memory(phd20601.invoke_of(info.data) + 1, store))

    def _config(self) -> Generator[Step, Answer, bytes | None]:
        """Accept the association, twice at most, and return a configuration that has a store."""
        for _ in range(2):
            config = yield from self._ask(phd20601.ACCEPT, lambda one: says(one, REPORT, CONFIG))
            if config is not None and phd20601.pm_store(config.data) is not None:
                return config.data
        return None

    def _memory(self, invoke: int, store: int) -> Generator[Step, Answer, bool]:
        """Pass on what is new, let the meter go, and return whether the last report came."""
        started = yield from self._ask(phd20601.ask_transfer(invoke, store), _acted(TRANSFER))
        result = None if started is None else phd20601.transfer_result(started.data)
        whole = result == EMPTY
        if result == 0:
            whole = yield from self._reports()
        if not self._over:
            yield from self._ask(phd20601.RELEASE, lambda one: type_of(one) == RELEASE_RESPONSE)
        return whole

    def _reports(self) -> Generator[Step, Answer, bool]:
        said: list[Decoded] = []
        last = False
        report = yield from self._await(_is_data)
        for _ in range(MOST_REPORTS):
            if report is None:
                break
            said += decode([report])
            confirmation = phd20601.confirm_data(report.data)
            if last := phd20601.is_last(report.data):
                yield Send(confirmation)
                break
            report = yield from self._ask(confirmation, _is_data)
        yield from self._told.news(newest_first(said))
        return last

    def _ask(self, message: bytes, right: Right) -> Answered:
        yield Send(message)
        return (yield from self._await(right))

    def _await(self, right: Right) -> Answered:
        """Return the next message that is *right*; None where none comes or the meter breaks off."""
        for _ in range(MOST_BETWEEN):
            answer = yield Listen(within=ANSWER)
            if not isinstance(answer, Frame):
                break
            if type_of(answer.data) in {ABORT, ASSOCIATION_REQUEST}:
                self._over = True
                self.anew = answer if type_of(answer.data) == ASSOCIATION_REQUEST else None
                break
            if right(answer.data):
                return answer
            yield from pass_on(without_results(decode)([answer]))
        return None


def _acted(what: int) -> Right:
    return lambda frame: says(frame, ACTED, what)


def _is_data(frame: bytes) -> bool:
    return says(frame, REPORT, SEGMENT_DATA)


DRIVER = Driver(
    name="accu_chek_usb",
    title="Accu-Chek glucose meter (USB)",
    models=("Accu-Chek Guide", "Accu-Chek Guide Me", "Accu-Chek Aviva Connect", "Accu-Chek Instant"),
    kinds=(Kind.GLUCOSE,),
    link=Serial(usb=tuple((0x173A, product) for product in PRODUCTS), bulk=True),
    framer=phd20601.framer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="constructed",
    sources="serial/other_glucose_meters.md: Tidepool's accuChekUSB.js and utils.js; ISO/IEEE 11073-20601",
    not_known=(
        "whether a meter minds being asked for its status (GET_STATUS) first, as the known client does",
        "the status of a result: any but 0 is flagged as questionable; a control solution may hide there",
        "what other segments than 0 hold; the order of the results",
        "whether a meter that was let go can be read again without pulling the cable",
        "the bytes that set the clock (action 0C17): the known client builds them from a wrong type",
        "whether a meter checks the one length that the known client sends as 0",
    ),
    machine_range={Measure.GLUCOSE: phd20601.SHOWN},
)
