"""The people of a clinic: who sits down where, what the doctor does, forgets, mistakes and mends."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from gateway.app import Gateway
from gateway.identifiers import CN_ID
from gateway.service import ExamRequest
from protocol.errors import RequestRefused, StoreError
from store.residents import Identifier
from tools.life.box import Box, Down
from tools.life.machines import Machine
from tools.life.truth import Act, Truth, found_of
from tools.life.world import World
from tools.people import person
from tools.simulators import Measure

T = TypeVar("T")
PATIENCE_S = 150.0
"""How long anybody waits for a result before trying once more."""
METER_S = 100.0
"""How long the meter hangs on its cable: long enough to be read, twice where something came between."""
WRONG_ORDERS = (
    ("bp", "start_blood_pressure"),
    ("scale", "stop_blood_pressure"),
    ("cuff", "make_coffee"),
    ("nobody", "start_blood_pressure"),
    ("cuff", "stop_blood_pressure"),
    ("meter", "start_blood_pressure"),
)
"""Orders that no machine of this clinic can follow, or that stop what runs."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody whose exam is open."""

    person: int
    exam: str


class Doctor:
    """One doctor and the residents of one township."""

    def __init__(
        self, world: World, box: Box, machines: Mapping[str, Machine], truth: Truth, people: int
    ) -> None:
        self._world, self._box, self._machines, self._truth = world, box, machines, truth
        self._people = people
        self._forgotten: list[Visitor] = []
        """Whose exam the doctor forgot to close; done before somebody else is opened."""

    async def day(self, exams: int) -> None:
        """Examine about as many people."""
        while exams > 0:
            await asyncio.sleep(self._world.between(20, 400))
            kind = self._world.chance.random()
            if kind < 0.2:
                exams -= 2
                await self._pair()
            elif kind < 0.3:
                await self._walk_in()
            else:
                exams -= 1
                await self._alone()
            if self._world.happens(0.2):
                await self._order_wrongly()
        await self._tidy()

    async def _alone(self) -> None:
        await self._close_forgotten()
        visitor = await self._open()
        for name in self._chosen():
            await self._measured(name, visitor)
            if self._world.happens(0.03):
                break  # called home
        if self._world.happens(0.1):
            self._forgotten.append(visitor)
        else:
            await self._close(visitor)

    async def _pair(self) -> None:
        """Two people at once, with and without pointing machines at them."""
        await self._close_forgotten()
        both = [await self._open(), await self._open()]
        for name in self._chosen():
            for visitor in both:
                pointed = name != "analyser" and self._world.happens(0.5)
                if pointed and not await self._pointed(name, visitor.exam):
                    continue
                await self._measured(name, visitor)
                if pointed:
                    await self._pointed(name, None)
        for visitor in both:
            await self._close(visitor)

    async def _walk_in(self) -> None:
        """Somebody uses a machine while nobody's exam is open."""
        await self._close_forgotten()
        who = self._world.chance.randrange(self._people)
        await self._sits_down(self._world.chance.choice(("bp", "scale")), who, None)

    def _chosen(self) -> list[str]:
        names = [name for name in self._machines if self._world.happens(0.3 if name == "meter" else 0.75)]
        self._world.chance.shuffle(names)
        return names or ["bp"]

    async def _open(self) -> Visitor:
        who = self._world.chance.randrange(self._people)
        someone = person(who)
        request = ExamRequest((Identifier(CN_ID, someone.cn_id),), someone.name, "doctor")
        while True:
            try:
                exam = await self._box.ask(lambda gateway: gateway.open_exam(request))
            except (Down, StoreError):
                exam = await self._open_already(someone.cn_id) or ""
                if not exam:
                    continue
            self._truth.exams[exam] = who
            self._truth.tally.exams += 1
            self._world.note("opened", exam, who)
            return Visitor(who, exam)

    async def _open_already(self, number: str) -> str | None:
        """Look whether the exam stands on the page after all."""
        queries = await self._box.queries()
        for exam in queries.exams():
            resident = queries.resident(exam.resident)
            if resident and any(one.value == number for one in resident.identifiers):
                return exam.id
        return None

    async def _close(self, visitor: Visitor) -> None:
        await self._surely(lambda gateway: gateway.close_exam(visitor.exam, "doctor"))

    async def _close_forgotten(self) -> None:
        while self._forgotten:
            await self._close(self._forgotten.pop())

    async def _pointed(self, name: str, exam: str | None) -> bool:
        return await self._surely(lambda gateway: gateway.point(name, exam, "doctor"))

    async def _surely(self, what: Callable[[Gateway], Awaitable[object]]) -> bool:
        """Ask again until the service answers; return whether it did as asked."""
        while True:
            try:
                await self._box.ask(what)
            except (Down, StoreError):
                continue
            except RequestRefused as refused:
                self._world.note("refused", refused.code)
                return False
            return True

    async def _measured(self, name: str, visitor: Visitor) -> None:
        for _ in range(2):
            act = await self._sits_down(name, visitor.person, visitor.exam)
            if act.measurement is not None:
                return

    async def _sits_down(self, name: str, who: int, exam: str | None) -> Act:
        """Let a person use a machine, and wait for the result as long as anybody would."""
        machine, world = self._machines[name], self._world
        values, found = self._values(machine)
        act = self._truth.act(name, found, who, exam)
        await asyncio.sleep(world.between(5, 60))
        world.note("sits down", name, who, *found)
        machine.cue(Measure(values))
        for _ in range(round(PATIENCE_S / 10)):
            await asyncio.sleep(10)
            if act.measurement is not None:
                break
            if name in {"analyser", "meter"}:
                break  # nobody waits for these
        return act

    def _values(self, machine: Machine) -> tuple[Mapping[str, str], tuple[str, ...]]:
        """Draw values that nobody had before at this machine."""
        kind = {"bp": "blood_pressure", "cuff": "blood_pressure", "scale": "body_size"}.get(
            machine.name, "glucose"
        )
        while True:
            values = dict(machine.person())
            if kind == "glucose":
                whole = self._world.chance.randint(40, 590)
                values = {"glucose": str(whole) if machine.name == "meter" else f"{whole / 10:.1f}"}
            found = found_of(kind, values)
            if self._truth.is_new(machine.name, found):
                return values, found

    async def _order_wrongly(self) -> None:
        device, order = self._world.chance.choice(WRONG_ORDERS)
        with suppress(RequestRefused, Down, StoreError):
            await self._box.ask(lambda gateway: gateway.order(device, order, {}, "doctor"))
            self._world.note("ordered", device, order)

    async def _tidy(self) -> None:
        """At the end of the day: look through the tray, bind what is known, mistake some, and mend it."""
        await self._close_forgotten()
        self._machines["meter"].switch(on=True)  # its cable is put in once a day
        await asyncio.sleep(METER_S)
        self._machines["meter"].switch(on=False)
        for turn in ("mistaken", "right"):
            for key, act in await self._to_bind():
                wrong = turn == "mistaken" and self._world.happens(0.15)
                exam = self._someone_elses(act) if wrong else act.exam
                await self._surely(self._binding(key, exam))
                await asyncio.sleep(self._world.between(0, 5))
        queries = await self._box.queries()
        for parked in queries.deliveries("parked"):
            if self._world.happens(0.5):
                await self._surely(resending(parked.measurement))

    def _binding(self, key: str, exam: str | None) -> Callable[[Gateway], Awaitable[object]]:
        return lambda gateway: gateway.bind(key, exam, "doctor", "looked it up")

    async def _to_bind(self) -> list[tuple[str, Act]]:
        """Return what lies in the tray, or with the wrong person, and is known to be somebody's."""
        queries = await self._box.queries()
        found: list[tuple[str, Act]] = []
        for key in list(self._truth.loose):
            act, one = self._truth.act_of[key], queries.measurement(key)
            if one is not None and one.status != "entered-in-error" and one.exam != act.exam and act.exam:
                found.append((key, act))
            elif one is not None:
                del self._truth.loose[key]
        return found

    def _someone_elses(self, act: Act) -> str | None:
        return self._world.chance.choice([*self._truth.exams, None, act.exam])


def resending(key: str) -> Callable[[Gateway], Awaitable[object]]:
    """Return the wish that a parked delivery be sent again."""
    return lambda gateway: gateway.resend("fhir", key, "doctor")
