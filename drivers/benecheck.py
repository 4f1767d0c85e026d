"""BeneCheck (百捷) meters for glucose, uric acid and cholesterol, and their Bluetooth dongle.

Service 1000, results told on 1002: the same numbers as Bioland meters have, so only a whole `$PCL` frame
says that it is this meter. Nothing is ever sent. Every result carries its own time and counts as one from
the memory: no source says whether it was measured now. Uric acid and cholesterol have no measure here: they
are kept with their bytes. The frames are in `protocol/benecheck.py`.
"""

from drivers.catalogue import Driver, Gatt, frame_by_frame
from drivers.dialogue import Dialogue, Known, Listen, Settings, Subscribe
from drivers.push import pass_on
from protocol import benecheck
from protocol.errors import NoAnswer
from protocol.framing import Frame
from protocol.readings import Kind, Reading

NOTIFY = "1002"
IDLE = 60.0
"""Ours: seconds without a word after which the link is given up."""

decode = frame_by_frame(benecheck.decode_frame)


def talk(_settings: Settings) -> Dialogue:
    """Pass on each result that the journal does not hold."""
    if (yield Subscribe(NOTIFY)) is not True:
        raise NoAnswer("no characteristic 1002")
    while isinstance(answer := (yield Listen(timeout=IDLE)), Frame):
        for said in decode([answer]):
            known = isinstance(said, Reading) and said.record and (yield Known(said.record)) is True
            if not known:
                yield from pass_on([said])


DRIVER = Driver(
    name="benecheck",
    title="BeneCheck glucose, uric-acid and cholesterol meter",
    models=("BeneCheck TC-B", "BeneCheck-1544", "BeneCheck GL"),
    kinds=(Kind.GLUCOSE,),
    link=Gatt((NOTIFY,), default=NOTIFY, names=("BeneCheck", "Benecheck")),
    framer=benecheck.framer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="captured",
    sources="ble/benecheck.md: one captured frame with a verified check; glucose from one more program",
    not_known=(
        "whether a glucose result (command 41) is always in mg/dL: one program and its frame say so",
        "what the number of a cholesterol result (command 61) counts: it is kept, no value is read",
        "whether results are of now or from the memory, and how the memory is asked for",
        "how a control solution or a strip error is told",
    ),
)
