"""Eufy Smart Scale P2 and P2 Pro (T9148, T9149).

Service FFF0: weights are told on FFF2 once host and scale have shown each other on FFF1 and FFF4 that they
know the scale's address (`mac`, else the port's). QN, Koogeek and Vitafit use the same numbers: name and
a whole frame say that it is this scale. Nothing is written into it. The frames are in `protocol/eufy.py`.
"""

from collections.abc import Generator, Iterable

from drivers.catalogue import Driver, Gatt, frame_by_frame
from drivers.dialogue import Answer, Dialogue, Listen, Observe, Settings, Step, Subscribe, Write
from drivers.weighing import attend
from protocol import eufy
from protocol.errors import ConfigError, NoAnswer
from protocol.framing import Frame, ValueFramer
from protocol.readings import Kind, Notice

DATA, WRITE, AUTH = "FFF2", "FFF1", "FFF4"
GAP = 1.0
"""Seconds between two frames (public source no. 54726523536: shorter ones ended the link of some scales)."""
ANSWER = 5.0
"""Ours: seconds to answer a question."""
MOST = 32
"""Ours: frames that may come before the answer."""
ADDRESS = 6

decode = frame_by_frame(eufy.decode_frame)


def talk(settings: Settings) -> Dialogue:
    """Show that we know the scale, then pass on each weighing."""
    address = _address(str(settings["mac"]))
    for characteristic in (DATA, AUTH):
        if (yield Subscribe(characteristic)) is not True:
            raise NoAnswer(f"no characteristic {characteristic}")
    if not address:
        yield Observe(Notice("eufy_p2.no_address", fault=True))
        return
    proof = eufy.Proof(address)
    yield from _write(proof.ask())
    taken: bool | None = None
    for _ in range(MOST):
        answer = yield Listen(within=ANSWER)
        if not isinstance(answer, Frame):
            raise NoAnswer("the scale does not go on")
        if answer.source == AUTH:
            yield from _write(proof.answer(answer.data))
            taken = eufy.proved(answer.data)
        if taken is not None:
            break
    if not taken:
        yield Observe(Notice("eufy_p2.not_accepted", fault=True))
        return
    yield from attend(decode)


def _write(frames: Iterable[bytes]) -> Generator[Step, Answer, None]:
    """Write *frames*, slowly; the scale says nothing before the last of them."""
    for number, frame in enumerate(frames):
        if number:
            yield Listen(timeout=GAP)
        yield Write(WRITE, frame)


def _address(stated: str) -> bytes:
    try:
        address = bytes.fromhex(stated.replace(":", ""))
    except ValueError:
        address = b"?"
    if len(address) not in {0, ADDRESS}:
        raise ConfigError(f"mac {stated!r}", code="eufy_p2.settings")
    return address


DRIVER = Driver(
    name="eufy_p2",
    title="Eufy Smart Scale P2",
    models=("Eufy P2 (T9148)", "Eufy P2 Pro (T9149)"),
    kinds=(Kind.BODY_SIZE,),
    link=Gatt((DATA, WRITE, AUTH), default=DATA, names=("eufy T9148", "eufy T9149", "T9148", "T9149")),
    framer=ValueFramer,
    decode=decode,
    talk=talk,
    grade="B",
    provenance="captured",
    sources="ble/scales_vendor.md: captured weights; the proof from one program (bdr99/eufylife-ble-client)",
    not_known=(
        "whether byte 12 alone makes a weight final (two programs of one origin say so; the sheet does not)",
        "bytes 8 to 11 of a weight: one program takes them for the impedance, the captures contradict it",
        "whether the weight is in kg where the scale shows another unit",
        "what a scale makes of a name that is not a number (15 letters, as the app's number has)",
    ),
    settings={"mac": ""},
)
