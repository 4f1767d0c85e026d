"""Deliveries from a real journal to a real FHIR server, beside the very same bundles posted bare to its twin.

Both servers begin empty and get the same in turn, so both grow alike. Then to a server that keeps nothing,
which shows what the gateway itself costs.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

from gateway.config import FhirConfig
from gateway.delivery import Delivery, JournalOutbox
from gateway.fhir.bundle import Written
from gateway.fhir.setting import Setting
from gateway.forwarders.central import FHIR_JSON, Central
from gateway.forwarders.fhir import FhirForwarder
from gateway.forwarders.shared import Shared
from store.journal import Journal
from tools.bench import stock
from tools.bench.figures import Line, Scale, Target, median
from tools.fhir_server import FhirServer

TIMEOUT_S = 120.0
MONTH = 45_000
"""30 days of 500 exams with 3 measurements each."""
FIRST = 2
"""Exams sent before anything is measured: the first bundles also make the devices."""


class Recording(Central):
    """The forwarder's own HTTP side; keeps every transaction it sends."""

    def __init__(self, url: str) -> None:
        super().__init__(url, timeout_s=TIMEOUT_S, token_file=None)
        self.sent: list[bytes] = []

    async def transact(self, transaction: bytes, entries: int) -> list[Written]:
        """Send it, and keep it."""
        self.sent.append(transaction)
        return await super().transact(transaction, entries)


class Forwarder(FhirForwarder):
    """The service's forwarder over a recording line."""

    def __init__(self, url: str) -> None:
        super().__init__(
            FhirConfig(url=url, timeout_s=TIMEOUT_S), Setting(stock.GATEWAY, "bench", stock.ZONE)
        )
        self.line = Recording(url)
        self._central, self._shared = self.line, Shared(self.line)


def measure(scale: Scale, folder: Path) -> Iterator[Line]:
    """Measure against the real server, then the gateway's own cost."""
    rounds, exams = scale.of(4, 1), scale.of(25, 2)
    with _journal(folder) as journal, _server(folder / "ours") as url, _server(folder / "bare") as twin:
        ours, bare = asyncio.run(_drained(journal, url, twin, rounds, exams))
    sent = exams * stock.AN_EXAM
    rates, target = (sent / median(ours), sent / median(bare)), Target(0.7, most=False)
    yield Line(
        f"{sent} measurements waiting, to the FHIR server",
        "/s",
        *rates,
        "the same bundles posted bare",
        target,
    )
    exams = scale.of(400, 2)
    with _journal(folder / "sink") as journal, _sink() as url:
        (taken,), _ = asyncio.run(_drained(journal, url, None, 1, exams))
    month = taken / (exams * stock.AN_EXAM) * MONTH
    note = f"from {exams * stock.AN_EXAM}; without TLS"
    yield Line(
        f"{MONTH:,} measurements, to a server that keeps nothing",
        "s",
        month,
        None,
        "",
        Target(5, on="ours"),
        note,
    )


async def _drained(
    journal: Journal, url: str, twin: str | None, rounds: int, exams: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of each round of *exams*: drained to *url*, and its bundles posted to *twin*."""
    forwarder = Forwarder(url)
    outbox = JournalOutbox(journal, forwarder.name, 1)
    delivery = Delivery(outbox, forwarder, asyncio.Event())
    ours: list[float] = []
    bare: list[float] = []
    async with httpx2.AsyncClient(timeout=TIMEOUT_S, headers={"Accept": FHIR_JSON}) as client:
        for number in range(rounds + 1):
            count = exams if number else FIRST
            await asyncio.to_thread(stock.fill, journal, count, number * exams + FIRST)
            forwarder.line.sent.clear()
            began = time.perf_counter()
            async with asyncio.timeout(TIMEOUT_S):
                await delivery.drain()
            between = time.perf_counter()
            if twin:
                await _posted(client, twin, forwarder.line.sent)
            if number:
                ours.append(between - began)
                bare.append(time.perf_counter() - between)
    await forwarder.close()
    _all_delivered(journal, (rounds * exams + FIRST) * stock.AN_EXAM)
    return ours, bare


async def _posted(client: httpx2.AsyncClient, url: str, transactions: Sequence[bytes]) -> None:
    headers = {"Content-Type": FHIR_JSON, "Prefer": "return=minimal"}
    for transaction in transactions:
        (await client.post(url, content=transaction, headers=headers)).raise_for_status()


def _all_delivered(journal: Journal, wanted: int) -> None:
    counts = journal.queries.outbox_counts()["fhir"]
    if counts.delivered != wanted or counts.waiting or counts.parked:
        raise AssertionError(f"{counts.delivered} of {wanted} delivered, {counts.parked} refused")


@contextmanager
def _journal(folder: Path) -> Iterator[Journal]:
    journal = stock.opened(folder)
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    server = FhirServer()
    server.start(folder)
    try:
        yield server.base_url
    finally:
        server.stop()


@contextmanager
def _sink() -> Iterator[str]:
    command = [sys.executable, "-m", "tools.bench.sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdout is not None
        try:
            yield sink.stdout.readline().strip()
        finally:
            sink.terminate()
