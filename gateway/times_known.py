"""What the journal tells of the moment a measurement came, for the rules of `gateway/times.py`."""

from zoneinfo import ZoneInfo

from gateway import verification
from gateway.times import Known, Timing, boots_of, known
from store.facts import Instant, Measurement, Received
from store.journal import Transaction

LOOKED_AT = 200
"""Turns of our clock on either side at most; where there are more, less is known, and nothing wrong."""
CLOCK_LOST = "clock_lost"
"""The flag under which a driver tells that the machine's clock was not right when it measured."""


def moment(tx: Transaction, seq: int, at: Instant) -> Known:
    """Return what is known of the moment of the fact *seq*, written at *at*."""
    if at.synchronised:
        return known([], at)
    before = tx.clocks.up_to(seq, LOOKED_AT)[::-1]
    after = tx.clocks.since(seq, LOOKED_AT)
    until = tx.last_at() if len(after) < LOOKED_AT else None
    return known(boots_of([*before, *after], until), at)


def timing(tx: Transaction, measurement: Measurement, zone: ZoneInfo) -> Timing:
    """Return all that decides a measurement's effective time.

    *zone* is the device's where the journal does not tell it.
    """
    received = tx.fact(measurement.received_seq)
    told = received.body.zone if received is not None and isinstance(received.body, Received) else ""
    return Timing(
        stored=measurement.stored,
        device_time=measurement.device_time,
        arrived=measurement.received,
        known=moment(tx, measurement.received_seq, measurement.received),
        offset_s=measurement.clock_offset_s,
        tolerance_s=verification.tolerance_s(),
        zone=ZoneInfo(told) if told else zone,
        clock_lost=CLOCK_LOST in measurement.flags,
    )
