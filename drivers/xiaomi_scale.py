"""Xiaomi scales, heard and never spoken to: Mi Scale (181D), Mi Body Composition Scale (181B), S400 (FE95).

The scale repeats its last advertisement; the same time and weight is the same weighing. A weight is taken
when it stands; where the scale measures impedance, too, it is waited for. A weighing in object mode is marked
questionable: nobody stood there, or an infant. 斤 is told in kg (half of it, exactly).
An S400 needs its address (`mac`, else the port's) and `bindkey`, which its maker's cloud gives. Layouts:
`protocol/xiaomi.py`.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace

from drivers.catalogue import Advertisement, Decode, Decoded, Driver, Refusal
from drivers.dialogue import Answer, Dialogue, Known, Listen, Observe, Report, Settings, Step
from drivers.push import refused
from protocol.errors import ConfigError, LinkError, MalformedValue
from protocol.framing import Frame, ValueFramer
from protocol.readings import Kind, Progress, Reading
from protocol.scales import more
from protocol.xiaomi import Key, Told, reading, told

WAIT = 10.0
"""Ours: seconds to wait for the impedance of a weight that stands."""
KEY, ADDRESS = 16, 6


def decoder(key: Key | None) -> Decode:
    """Return what says what an advertisement means; an S400's only with *key*."""

    def decode(frames: Iterable[Frame]) -> Iterator[Decoded]:
        for frame in frames:
            try:
                said = told(frame.data, key)
            except MalformedValue as impossible:
                yield Refusal(frame.data, impossible.code, impossible.detail)
                continue
            if said is not None:
                yield reading(said) or more(said.context)

    return decode


def talk(settings: Settings) -> Dialogue:
    """Report each weighing once, with the impedance that belongs to it."""
    key = _key(settings)
    scale = _Scale()
    while True:
        try:
            answer = yield Listen(WAIT if scale.held else None)
        except LinkError:
            yield from scale.settle()
            raise
        if not isinstance(answer, Frame):
            yield from scale.settle()
            continue
        try:
            said = told(answer.data, key)
        except MalformedValue as impossible:
            yield from scale.refuse(Refusal(answer.data, impossible.code, impossible.detail))
        else:
            yield from scale.take(said)


@dataclass(slots=True)
class _Scale:
    """Who stands there; `held` waits for its impedance, `last` was reported."""

    held: Reading | None = None
    name: str = ""
    last: str = ""
    measuring: bool = False
    complained: str = ""

    def take(self, said: Told | None) -> Generator[Step, Answer, None]:
        """Take one advertisement."""
        item = None if said is None else reading(said)
        if said is None or (item is None and (self.held is None or said.name != self.name)):
            return
        if isinstance(item, Progress):
            yield from self.settle()
            if item.underway:
                self.measuring, self.last = True, ""
            yield Observe(item)
            return
        if self.held is not None and said.name != self.name:
            yield from self.settle()
        if said.name == self.last:
            return
        self._hold(said, item)
        if said.complete:
            yield from self.settle()

    def settle(self) -> Generator[Step, Answer, None]:
        """Report what is held, unless the journal knows it."""
        weighed, self.held = self.held, None
        if weighed is None:
            return
        self.last = self.name
        if weighed.record is None:
            weighed = replace(weighed, stored=not self.measuring)
        elif (yield Known(weighed.record)) is True:
            return
        self.measuring, self.complained = False, ""
        yield Report(weighed)

    def refuse(self, refusal: Refusal) -> Generator[Step, Answer, None]:
        """Let a refusal be known, once until something was understood: it repeats ten times a second."""
        if refusal.code != self.complained:
            self.complained = refusal.code
            yield Observe(refused(refusal))

    def _hold(self, said: Told, item: Reading | None) -> None:
        """Hold what was told, with what was told before of the same weighing."""
        self.name, before = said.name, self.held
        if before is None:
            self.held = item
        elif said.frame not in before.evidence:
            self.held = replace(
                before,
                values=item.values if item else before.values,
                evidence=(*before.evidence, said.frame),
                context={**before.context, **said.context},
            )


def _key(settings: Settings) -> Key | None:
    """Return what the settings name, None where no key is named; raise ConfigError for what is none."""
    stated = [str(settings[name]).replace(":", "") for name in ("mac", "bindkey")]
    try:
        address, key = map(bytes.fromhex, stated)
    except ValueError:
        address = key = b"?"
    if len(address) not in {0, ADDRESS} or len(key) not in {0, KEY} or (key and not address):
        raise ConfigError("bindkey: 16 bytes in hex, with mac: 6 bytes", code="xiaomi_scale.settings")
    return Key(address, key) if key else None


def _shaped(driver: Driver, settings: Settings) -> Driver:
    """Return the driver with the configured key; ValueError where it is none."""
    try:
        return replace(driver, decode=decoder(_key(settings)))
    except ConfigError as wrong:
        raise ValueError(wrong.detail) from wrong


DRIVER = Driver(
    name="xiaomi_scale",
    title="Xiaomi scale",
    models=("Mi Scale (XMTZC01HM, 04HM)", "Mi Body Composition Scale (XMTZC02HM, 05HM, NUN4049CN)", "S400"),
    kinds=(Kind.BODY_SIZE,),
    link=Advertisement(services=("181D", "181B", "FE95"), names=("MI_SCALE", "MIBFS", "MIBCS")),
    framer=ValueFramer,
    decode=decoder(None),
    talk=talk,
    grade="A",
    provenance="captured",
    sources="ble/xiaomi_scales.md: xiaomi-ble, ble_monitor, theengs, openScale and ble-scale-sync agree",
    not_known=(
        "whether the time of a weight that stands ever changes before it is told with its impedance",
        "which of an S400's two impedances is of the high frequency (two programs differ)",
        "whether an S400's clock counts in UTC or local time: its seconds are context, not a time",
        "the flags of the S200 and S800: their advertisements are refused",
        "what an infant on a scale in object mode looks like: all of that mode are questionable",
    ),
    settings={"mac": "", "bindkey": ""},
    shaped=_shaped,
)
