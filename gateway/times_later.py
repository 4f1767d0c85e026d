"""Gives measurements a better time once it is known: what was received before our clock was synchronised.

A measurement whose time changes gets a new verdict and so a new version; the old ones stay, and whoever got
one gets the new one. Done twice it changes nothing, so it may be cut off anywhere.
"""

import logging
from collections.abc import Callable
from zoneinfo import ZoneInfo

from drivers import catalogue
from gateway import receiving, times, times_known
from store.facts import Effective, Measurement
from store.journal import Journal, Transaction
from store.projections import NOT_JUDGED

log = logging.getLogger(__name__)

FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What a rule may fail with; a disk that fails is another matter, and then all is tried again."""
BATCH = 50
"""Measurements looked at in one command, so that a reading never waits for long."""
MOVED_S = 0.25
"""A time that is known only this much better is not worth a new version."""


async def settle(journal: Journal, zone: ZoneInfo) -> None:
    """Give all that wait the times that what is new of our clock tells.

    *zone* is that of devices of which the journal does not tell. Raises StoreError, and goes on next time.
    """
    while (news := await journal.run(lambda tx: tx.clocks.news())) is not None:
        after: int | None = 0
        while after is not None:
            after = await journal.run(_batch(after, zone, news))


def _batch(after: int, zone: ZoneInfo, news: int) -> Callable[[Transaction], int | None]:
    return lambda tx: retime(tx, after, zone, news)


def retime(tx: Transaction, after: int, zone: ZoneInfo, news: int, batch: int = BATCH) -> int | None:
    """Look at some of what waits after this number; return the number reached, None after the last.

    *news* is the turn of our clock because of which this is done.
    """
    waiting = tx.clocks.unsure(after, batch)
    for _, key in waiting:
        _retime(tx, key, zone)
    if len(waiting) == batch:
        return waiting[-1][0]
    tx.clocks.looked(news)
    return None


def _retime(tx: Transaction, key: str, zone: ZoneInfo) -> None:
    measurement = tx.measurement(key)
    if measurement is None or measurement.status == "entered-in-error":
        tx.clocks.settle(key)
        return
    try:
        with tx.nested():
            _again(tx, measurement, zone)
    except FAULTS:
        log.exception("a time could not be put right; it stays as it was", extra={"measurement": key})


def _again(tx: Transaction, measurement: Measurement, zone: ZoneInfo) -> None:
    timing = times_known.timing(tx, measurement, zone)
    if measurement.effective != NOT_JUDGED and _better(measurement.effective, times.effective(timing)):
        _rejudge(tx, measurement, zone)
    if timing.known.settled:
        tx.clocks.settle(measurement.id)


def _better(was: Effective, now: Effective) -> bool:
    """Return whether a new version is due: another quality, another time or none, or limits for it."""
    if was.quality != now.quality or (was.time is None) != (now.time is None):
        return True
    if was.time is not None and now.time is not None and abs(was.time - now.time).total_seconds() > MOVED_S:
        return True
    new = (was.earliest is None and now.earliest) or (was.latest is None and now.latest)
    return bool(new) and now.quality in {"gateway_unsynchronised", "unknown"}


def _rejudge(tx: Transaction, measurement: Measurement, zone: ZoneInfo) -> None:
    driver = catalogue.every().get(measurement.driver or "")
    receiving.judge(
        tx,
        measurement.id,
        machine_range=driver.machine_range if driver else {},
        zone=zone,
        repeats=receiving.repeats_of(measurement),
        confirmed_by=receiving.confirmed_by(measurement),
        was=measurement.effective,
    )
