"""A clinic around one gateway: machines, a centre, a person with a browser, and a disk whose power can go.

Everything outside the gateway lives in this process and goes on through its lives and deaths.
"""

import asyncio
import itertools
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from tools.faults.centre import Centre, Holding
from tools.faults.disk import Image
from tools.faults.machines import Machine
from tools.faults.oracle import Acknowledged, Bound, Closed, Opened, Oracle, Seen, Taken, Told, plain, said
from tools.faults.plugfs import Volume
from tools.faults.workshop import Workshop
from tools.people import Vitals, person
from tools.simulators import Values
from tools.stage import free_port

GATEWAY = "box-1"
OPERATOR = "tester"
START_S, SETTLE_S = 20.0, 20.0
LOOK_S = 0.01
LAST_WORDS = 500
SHOWN = ("systolic", "diastolic", "pulse_rate")
DRIVERS = ("omron_hbp", "astm")
STATE = "state"
UNLIKE = 8
"""People in a row whose blood sugars differ: an analyser's results of one second are told apart by value."""
_NUMBERS = itertools.count(1)


Trace = Callable[[int], None]


class Away(Exception):
    """The gateway does not answer: the power went."""


def innermost(error: BaseException) -> BaseException:
    """Return the first error inside a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Box:
    """Use as an async context manager. *folder* lies on no volume."""

    def __init__(self, workshop: Workshop, folder: Path, seed: int = 1) -> None:
        self.workshop, self.folder = workshop, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.oracle = Oracle()
        self.centre = Centre(self._taken)
        self.port = free_port()
        self.volume = Volume({})
        self.place = folder
        """Where the disk is mounted that the box is on."""
        self.machines = {name: Machine(name, folder / f"{name}.tty", self._acknowledged) for name in DRIVERS}
        self.refusals: list[httpx2.Response] = []
        """Every answer that said that it cannot be done now."""
        self.patience = SETTLE_S
        self.more = ""
        """Further sections of the configuration."""
        self._living = 0
        self._vitals = Vitals(seed)
        self._sugars: deque[Values] = deque(maxlen=UNLIKE)
        self._cursor: str | None = None
        self._visits = 0
        self._newest: dict[str, Mapping[str, Any]] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Box":
        await self._stack.enter_async_context(self.centre)
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        for machine in self.machines.values():
            self._stack.callback(group.create_task(machine.run()).cancel)
        base = f"http://127.0.0.1:{self.port}"
        self.http = await self._stack.enter_async_context(httpx2.AsyncClient(base_url=base, timeout=10))
        return self

    async def __aexit__(self, *failed: Any) -> None:
        await self._stack.__aexit__(*failed)

    def tell(self, told: Told) -> None:
        """Note what somebody was just told, in the volume's log too, so that its moment is known."""
        self.oracle.told.append(told)
        self.volume.note(len(self.oracle.told) - 1)

    def _taken(self, holdings: Sequence[Holding]) -> None:
        self.tell(Taken(len(self.centre.history), tuple(holdings)))

    def _acknowledged(self, driver: str, values: Values) -> None:
        self.tell(Acknowledged(said(values)))

    def on(self, image: Image | None = None, cut_at: int | None = None) -> Volume:
        """Put the box on a new disk that holds *image*, and take away the one it was on."""
        if self.place != self.folder:
            self.workshop.plugs.volumes.pop(self.place.name, None)
        self.volume = Volume(image or {}, cut_at)
        self.place = self.workshop.mount / f"disk-{next(_NUMBERS)}"
        self.workshop.plugs.volumes[self.place.name] = self.volume
        return self.volume

    def config(self) -> Path:
        """Write the gateway's configuration and return its path."""
        devices = "".join(
            f'[[devices]]\nname = "{name.replace("_", "-")}"\ndriver = "{name}"\n'
            f'port = "{machine.terminal.link}"\n'
            for name, machine in self.machines.items()
        )
        path = self.folder / "gateway.toml"
        path.write_text(
            f'gateway = "{GATEWAY}"\nstate = "{self.place / STATE}"\nlog_level = "warning"\n'
            f'[http]\nhost = "127.0.0.1"\nport = {self.port}\n[fhir]\nurl = "{self.centre.url}"\n'
            f"{self.more}{devices}",
            encoding="utf-8",
        )
        return path

    def command(self, *arguments: str, plant: str = "") -> int:
        """Run another command of the gateway's to its end; return its status."""
        life = self.workshop.nursery.born([*arguments, "--config", str(self.config())], self.log, plant)
        return self.workshop.nursery.ended(life)

    @property
    def log(self) -> Path:
        """The file that every life writes what it has to say to."""
        return self.folder / "gateway.log"

    @asynccontextmanager
    async def life(self, plant: str = "", trace: Trace | None = None) -> AsyncIterator[int]:
        """Let the gateway run; it is stopped as systemd does it, or killed where the power is off by then.

        *trace* is called with its process id before it has done anything.
        """
        arguments = ["run", "--config", str(self.config())]
        born = partial(self.workshop.nursery.born, arguments, self.log, plant, stopped=trace is not None)
        life = self._living = await asyncio.to_thread(born)
        if trace is not None:
            await asyncio.to_thread(trace, life)
        try:
            yield life
        finally:
            number = signal.SIGKILL if self.volume.off.is_set() else signal.SIGTERM
            await asyncio.to_thread(self.workshop.nursery.end, life, number)

    @property
    def dead(self) -> bool:
        """Say whether the gateway has ended, its status not yet asked for."""
        try:
            words = Path(f"/proc/{self._living}/stat").read_text(encoding="utf-8")
        except OSError:
            return False
        return words.rpartition(")")[2].split()[0] == "Z"

    async def until(self, come: Callable[[], Any], seconds: float | None = None) -> Any:
        """Return the first true result of awaiting *come()*. Raises Away where the power went."""
        deadline = asyncio.get_running_loop().time() + (seconds or self.patience)
        while asyncio.get_running_loop().time() < deadline:
            if self.volume.off.is_set() or self.dead:
                raise Away("the power went, or the process")
            if found := await come():
                return found
            await asyncio.sleep(LOOK_S)
        last = self.log.read_text(encoding="utf-8")[-LAST_WORDS:]
        raise TimeoutError(f"{come.__qualname__} did not come; the gateway's last words: {last}")

    async def up(self) -> None:
        """Return when the gateway answers and its ports are open."""
        await self.until(self._answers, START_S)

    async def _answers(self) -> bool:
        try:
            return (await self.http.get("/livez")).status_code == 200
        except httpx2.HTTPError:
            return False

    async def ask(self, method: str, path: str, **more: Any) -> Mapping[str, Any]:
        """Return the JSON answer. Raises Away where there is none, or the disk does not take it now."""
        try:
            answer = await self.http.request(method, path, **more)
        except httpx2.HTTPError as error:
            raise Away(str(error)) from error
        if answer.is_server_error:
            self.refusals.append(answer)
            raise Away(f"{answer.status_code} {answer.text}")
        answer.raise_for_status()
        return dict(answer.json())

    async def visit(self) -> None:
        """Let one resident be examined: opened, a blood pressure, a blood sugar, all bound, closed."""
        number, self._visits = self._visits, self._visits + 1
        who = person(number)
        resident = {"identifiers": [{"system": "cn-id", "value": who.cn_id}], "name": who.name}
        opened = await self.ask("POST", "/v1/exams", json={"resident": resident, "operator": OPERATOR})
        exam = str(opened["id"])
        self.tell(Opened(exam, who.name))
        pressure = {name: one for name, one in self._vitals.blood_pressure().items() if name in SHOWN}
        await self._measured("omron_hbp", pressure)
        await self._measured("astm", self._glucose())
        await self.bind_tray(exam)
        await self.close(exam)

    def _glucose(self) -> Values:
        """Return a blood sugar unlike the last ones."""
        while (found := self._vitals.glucose()) in self._sugars:
            pass
        self._sugars.append(found)
        return found

    async def _measured(self, driver: str, values: Values) -> None:
        """Let a person use a machine, and wait until the result was pulled."""
        self.measure(driver, values)
        before = len(self._newest)

        async def arrived() -> bool:
            await self.pull()
            return len(self._newest) > before

        await self.until(arrived)

    def measure(self, driver: str, values: Values) -> None:
        """Let a person use a machine."""
        self.oracle.measured[said(values)] += 1
        self.machines[driver].measure(values)

    async def bind_tray(self, exam: str) -> None:
        """Bind what belongs to nobody to this exam: an analyser's results come from its memory."""
        for key in [key for key, one in self._newest.items() if one["resident"] is None]:
            asked = {"exam": exam, "operator": OPERATOR, "reason": "the only one here"}
            await self.ask("POST", f"/v1/measurements/{key}/bind", json=asked)
            self.tell(Bound(key, exam))
        await self.pull()

    async def close(self, exam: str) -> None:
        """Close an exam."""
        await self.ask("POST", f"/v1/exams/{exam}/close", json={"operator": OPERATOR})
        self.tell(Closed(exam))

    async def pull(self) -> None:
        """Read every version that is new to a central system which pulls."""
        more = True
        while more:
            cursor = {"after": self._cursor} if self._cursor else {}
            page = await self.ask("GET", "/v1/measurements", params=cursor)
            for one in page["measurements"]:
                self._newest[one["id"]] = one
                self.tell(Seen(one["id"], one["version"], plain(one)))
            self._cursor, more = str(page["next"]), bool(page["more"])

    async def without_frames(self) -> bool:
        """Say whether some measurement's raw frames were let go."""
        for key in self._newest:
            if not (await self.ask("GET", f"/v1/measurements/{key}/evidence")).get("frames"):
                return True
        return False

    async def delivered(self) -> None:
        """Return when nothing waits to be delivered."""
        await self.until(self._nothing_waits)

    async def _nothing_waits(self) -> bool:
        outbox = await self.ask("GET", "/v1/outbox")
        return all(row["waiting"] == 0 for row in outbox["forwarders"].values())
