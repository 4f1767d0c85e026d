"""A box and a machine in a world whose true time is known.

The box is the real one from the station inwards: station, receiving, journal, times. Only what the kernel
says of the time is scripted (`gateway.clock.Source`).
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from drivers import catalogue
from gateway import exams, times_later
from gateway.clock import Clock
from gateway.config import DeviceConfig
from gateway.links.hotplug import Hotplug
from gateway.service import ExamRequest
from gateway.supervisor import Station, Surroundings
from protocol.quantities import Quantity
from protocol.readings import DeviceClock, Kind, Measure, Reading
from store.facts import DeviceEvent, Measurement
from store.journal import Journal
from store.residents import Identifier

SHANGHAI = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 3, 2, 8, 0, tzinfo=SHANGHAI)


class Kernel:
    """What the kernel says, and what is true; implements `gateway.clock.Source`.

    The time since boot runs `drift_ppm` too fast while nobody keeps it, and right while it is synchronised.
    """

    def __init__(self, start: datetime = START, drift_ppm: float = 0.0) -> None:
        self.truth = start.astimezone(UTC)
        self.drift_ppm = drift_ppm
        self.boots = 0
        self.boot(self.truth)

    def boot(self, wall: datetime) -> None:
        """Let the box start, its wall clock showing *wall*."""
        self.boots += 1
        self._since_boot = timedelta(seconds=8)
        self._kept = False
        self.set(wall)

    def set(self, wall: datetime, *, kept: bool = False) -> None:
        """Set the wall clock: by hand, which the kernel remembers, or by who knows."""
        self._shift = wall.astimezone(UTC) - self._since_boot
        self._kept = kept

    def keep(self, *, kept: bool) -> None:
        """Let somebody keep the wall clock right from now on, or nobody."""
        self._kept = kept

    def go(self, span: timedelta, *, off: bool = False) -> None:
        """Let true time pass; *off* is without power, or asleep without a counter."""
        assert span >= timedelta()
        self.truth += span
        if not off:
            self._since_boot += span if self._kept else span * (1 + self.drift_ppm / 1e6)

    def wall(self) -> datetime:
        """See Source."""
        return self._shift + self._since_boot

    def boottime_ns(self) -> int:
        """See Source."""
        return round(self._since_boot.total_seconds() * 1e9)

    def boot_id(self) -> str:
        """See Source."""
        return f"00000000-0000-4000-8000-{self.boots:012d}"

    def synchronised(self) -> bool:
        """See Source."""
        return self._kept


@dataclass
class Machine:
    """A machine with a memory and a clock that is `ahead` of the true time in its zone."""

    ahead: timedelta = timedelta()
    zone: ZoneInfo = SHANGHAI
    follows: bool = True
    """Whether it puts its clock forward and back with its zone."""

    def shows(self, truth: datetime) -> datetime:
        """Return what the machine's clock shows, whole seconds."""
        there = truth.astimezone(self.zone)
        if not self.follows:
            there = (truth + timedelta(hours=1)).astimezone(UTC)  # Berlin's winter time, all the year
        return there.replace(tzinfo=None, microsecond=0) + self.ahead


class Box:
    """The box with its journal; `close` and `open` are a restart of the service."""

    def __init__(
        self, folder: Path, kernel: Kernel, zone: ZoneInfo = SHANGHAI, machine_zone: str | None = None
    ) -> None:
        self.kernel, self._folder, self._zone = kernel, folder, zone
        self._config = DeviceConfig(
            name="meter", driver="sinocare_sn", port="/dev/null", timezone=machine_zone
        )
        self.clock = Clock(kernel)
        self._cursor: str | None = None
        self.open()

    def open(self) -> None:
        """Start the service."""
        self.journal = Journal.open(
            self._folder / "state" / "journal.db",
            gateway="g-1",
            now=self.clock.now,
            forwarders=("fhir",),
        )
        shared = Surroundings(self.journal, self.clock, Hotplug(), self._zone, lambda: None)
        self.station = Station(self._config, catalogue.every()[self._config.driver], shared)

    def close(self) -> None:
        """Stop the service."""
        self.journal.close()

    async def starts(self) -> None:
        """The service opens the machine's port, which is the first fact of every start."""
        event = DeviceEvent(device="meter", code="link.opened", detail={})
        await self.journal.run(lambda tx: tx.append(event))

    async def look(self) -> None:
        """Do what the watch does when it looks at the clock."""
        await self.journal.run(lambda tx: tx.look())
        await times_later.settle(self.journal, self._zone)

    async def sit_down(self) -> str:
        """A person sits down; return the exam."""
        request = ExamRequest([Identifier("card", "A")], None, "li")
        return await self.journal.run(lambda tx: exams.open_exam(tx, request))

    async def reads(self, shown: datetime) -> None:
        """The machine tells its clock."""
        await self.station.observe(DeviceClock(shown, b"clock"))

    async def hears(self, name: str, said: datetime | None = None, *, stored: bool = False) -> Measurement:
        """The machine tells a result; return its measurement."""
        value = Quantity(Decimal("5.6"), "mmol/L")
        await self.station.report(
            Reading(
                Kind.GLUCOSE,
                {Measure.GLUCOSE: value},
                (name.encode(),),
                device_time=said,
                stored=stored,
                record=f"record {name}" if stored else None,
            )
        )
        return self.measurement(self._newest())

    def _newest(self) -> str:
        """Return the id of the version written last, and remember how far the journal was read."""
        documents, self._cursor, more = self.journal.queries.page(self._cursor, 1000)
        assert documents
        assert not more
        key: str = json.loads(documents[-1])["id"]
        return key

    def measurement(self, key: str) -> Measurement:
        """Return a measurement as it stands."""
        found = self.journal.queries.measurement(key)
        assert found is not None
        return found
