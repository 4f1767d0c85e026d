"""For each kind of forwarder, how the contract suite reaches a real other side and looks at what it holds."""

from dataclasses import dataclass
from typing import Protocol

from gateway.config import Config, FhirConfig
from store.facts import Measurement
from tests.fhir import census
from tests.fhir.made import ZONE
from tests.fhir.stand_in import Asked, Pass, Reply, StandIn
from tools.fhir_server import FhirServer


class Front(Protocol):
    """An other side that can be switched off, and made to refuse whatever holds a word."""

    config: Config
    down: bool
    refused: str | None

    async def copies(self, one: Measurement) -> list[int]:
        """Return how many copies there are of each part of *one*; empty where there is none."""
        ...


@dataclass
class FhirFront:
    """The real FHIR server behind a stand-in."""

    server: FhirServer
    down: bool = False
    refused: str | None = None

    async def __aenter__(self) -> "FhirFront":
        self._stand_in = await StandIn(self.server.base_url, self._rule).__aenter__()
        self.config = Config(gateway="box-1", timezone=ZONE.key, fhir=FhirConfig(url=self._stand_in.url))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stand_in.__aexit__()

    async def copies(self, one: Measurement) -> list[int]:
        """See Front."""
        return [len(held) for held in (await census.observations(self.server.base_url, one)).values()]

    async def _rule(self, asked: Asked, forward: Pass) -> Reply | None:
        if self.down:
            return Reply(0)
        return Reply(422, "refused") if self.refused and asked.writes(self.refused) else None


RIGS = {"fhir": FhirFront}
