"""Analysers that send by ASTM E1381 (LIS1-A) and E1394 (LIS2-A2): HbA1c, albumin, haematology, chemistry.

Cable: RS-232, or a virtual port; no source read states the line settings, 9600 8N1 is a guess and differs by
instrument. The instrument speaks first (ENQ) and this driver only answers: ACK once all that a frame says is
on disk, NAK for a damaged frame, so that nothing the instrument deletes or marks as sent is lost. Results
other than glucose are kept as notices. Frames: `protocol/astm.py`; records: `protocol/astm_records.py`.
"""

from collections.abc import Generator, Iterable, Iterator

from drivers.catalogue import Decoded, Driver, Refusal, Serial
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Send, Settings, Step
from drivers.push import pass_on
from protocol.astm import ACK, ENQ, EOT, NAK, STX, AstmFramer, Receiver, Record
from protocol.astm_nameless import redact
from protocol.astm_records import Results
from protocol.errors import MalformedValue
from protocol.framing import Frame
from protocol.readings import Kind, Notice

NEXT_FRAME = 30.0
"""Seconds in which the next frame must come (sheet)."""
RESTING = 5.0
"""Ours: an ENQ sooner after our answer, within a message, is another byte that was damaged, or a repetition.
It gets no answer: an ACK too many would be taken for that of the next frame.
"""


def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
    """Yield what the frames of a capture say; it may begin in the middle of a transfer."""
    transfer, last = Transfer(Results()), None
    for last in frames:
        if last.data == ENQ:
            transfer.begin()
        elif last.data == EOT:
            transfer.end()
        elif last.data.startswith(STX):
            try:
                yield from transfer.take(last.data)
            except MalformedValue as bad:
                yield Refusal(last.data, bad.code, bad.detail)
    if last is not None and transfer.pending:
        yield Refusal(last.data, MalformedValue.code, "the last record does not end")


class Transfer:
    """What has been heard of a transfer: its frames as they come, its records as they are complete."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._receiver = Receiver()

    @property
    def begun(self) -> bool:
        """Say whether a frame of this transfer was heard."""
        return self._receiver.whole is not None

    @property
    def complete(self) -> bool:
        """Say whether it may end here: after a message's last frame, or its L record."""
        return bool(self._receiver.whole) or (self.begun and self._results.ended)

    @property
    def pending(self) -> bool:
        """Say whether a record has begun and not ended."""
        return self._receiver.pending

    def begin(self) -> None:
        """Take an ENQ."""
        self.end()
        self._results.begin()
        self._receiver.begin()

    def end(self) -> None:
        """Take an EOT, or give up waiting for one."""
        if self.complete:
            self._results.close()
        self._receiver.end()

    def take(self, frame: bytes) -> Iterator[Decoded]:
        """Return what *frame* completes; raises MalformedValue at once where it must come again."""
        return self._understood(self._receiver.take(frame))

    def _understood(self, records: Iterable[Record]) -> Iterator[Decoded]:
        for record in records:
            try:
                yield from self._results.read(record)
            except MalformedValue as bad:
                yield Refusal(record.frames[-1], bad.code, bad.detail)


def talk(settings: Settings) -> Dialogue:
    """Wait for an instrument that wants the line, and take what it sends."""
    names = (name.strip().lower() for name in str(settings["glucose_tests"]).split(","))
    transfer = Transfer(Results(frozenset(filter(None, names))))
    while True:
        answer = yield Listen()
        if isinstance(answer, Frame) and answer.data == ENQ:
            yield from _receive(transfer)
        elif isinstance(answer, Frame) and answer.data.startswith(STX):
            yield Send(NAK)  # what came before it was not heard: the instrument has to begin anew


def _receive(transfer: Transfer) -> Generator[Step, Answer, None]:
    """Take one transfer, from its ENQ to its EOT or to where it breaks off."""
    transfer.begin()
    yield Send(ACK)
    while True:
        answer = yield Listen(within=RESTING)
        if rested := answer is None:
            answer = yield Listen(timeout=NEXT_FRAME - RESTING)
        if not isinstance(answer, Frame) or answer.data == EOT:
            break
        if answer.data == ENQ:
            if rested or transfer.complete:
                transfer.begin()
                yield Send(ACK)
        elif answer.data.startswith(STX):
            yield from _answer(transfer, answer.data)
    if transfer.begun and not transfer.complete:
        yield Observe(Notice("astm.broken_off", fault=True))
    transfer.end()


def _answer(transfer: Transfer, frame: bytes) -> Generator[Step, Answer, None]:
    """ACK *frame* once all it says is durable; NAK it where it must come again."""
    try:
        said = transfer.take(frame)
    except MalformedValue:
        yield Send(NAK)
        return
    for item in said:
        yield from pass_on([_kept(item)])
    yield Send(ACK)


def _kept(item: Decoded) -> Decoded:
    """Return a refusal as a notice that is kept: the instrument will not say it again."""
    if not isinstance(item, Refusal):
        return item
    return Notice(item.code, {"reason": item.reason}, fault=True, evidence=item.frame)


DRIVER = Driver(
    name="astm",
    title="Laboratory analyser (ASTM E1381/E1394, LIS1-A/LIS2-A2)",
    models=(
        "Abbott Afinion 2",
        "Siemens DCA Vantage",
        "Sysmex XP-100",
        "Sysmex XN-550",
        "Roche cobas c111",
        "Roche cobas c311",
        "Cepheid GeneXpert",
        "Horiba Pentra XLR",
        "Horiba Yumizen",
    ),
    kinds=(Kind.GLUCOSE,),
    link=Serial(),
    framer=AstmFramer,
    decode=decode,
    talk=talk,
    grade="A",
    provenance="captured",
    sources="serial/astm_e1381_e1394.md: python-astm's tests, captured files of senaite.astm, "
    "time-outs of astm-http-bridge",
    not_known=(
        "the line settings: they differ by instrument and no source states them",
        "by what name each analyser calls blood sugar (glucose_tests; GLU may be a urine strip)",
        "which part of the H record's sender field is the serial number (all of it is taken as the identity)",
        "what an instrument does that asks for orders (Q record): it is kept and not answered",
        "the framing of the bioMerieux miniVIDAS and of Spotchem without a sum: refused",
    ),
    settings={"glucose_tests": "glucose"},
    redact=redact,
)
