"""Notices that our clock was set, has the journal keep it, and has the times that depended on it put right.

The kernel tells of a step at once (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET); that synchronisation came or
went it does not, so that is looked for. Every fact written looks, too (`store/transaction.py`).
"""

import asyncio
import ctypes
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from zoneinfo import ZoneInfo

from gateway.clock import Clock
from gateway.times_later import settle
from protocol.errors import StoreError
from store.clocks import was_set
from store.journal import Journal

log = logging.getLogger(__name__)

LOOK_S = 30.0
"""How often the clock is looked at where nothing is told."""
_CLOCK_REALTIME = 0
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_ABSTIME_CANCEL_ON_SET = 1 | 2
_FAR = 2**62
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Itimerspec(ctypes.Structure):
    _fields_ = (("every", ctypes.c_long * 2), ("first", ctypes.c_long * 2))


def alarm() -> int | None:
    """Return a descriptor that becomes readable when the wall clock is set; None where there is none."""
    try:
        descriptor: int = _LIBC.timerfd_create(_CLOCK_REALTIME, _NONBLOCK_CLOEXEC)
    except AttributeError:
        return None
    if descriptor < 0:
        return None
    if not arm(descriptor):
        os.close(descriptor)
        return None
    return descriptor


def arm(descriptor: int) -> bool:
    """Let the alarm go off at the next step, and no sooner; return whether it will."""
    never = _Itimerspec((0, 0), (_FAR, 0))
    armed: int = _LIBC.timerfd_settime(descriptor, _ABSTIME_CANCEL_ON_SET, ctypes.byref(never), None)
    return armed == 0


@contextmanager
def _stirring(event: asyncio.Event) -> Iterator[None]:
    """Set *event* whenever the kernel tells that the clock was set."""
    descriptor, loop = alarm(), asyncio.get_running_loop()

    def told() -> None:
        assert descriptor is not None
        with suppress(OSError):  # ECANCELED: that is the news
            os.read(descriptor, 8)
        arm(descriptor)
        event.set()

    if descriptor is None:
        yield
        return
    try:
        loop.add_reader(descriptor, told)
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def watch(journal: Journal, clock: Clock, zone: ZoneInfo, stirred: asyncio.Event) -> None:
    """Keep a fact of every time our clock was set, and put times right by it, until cancelled.

    *stirred* may be set by whoever knows that there is something new; *zone* is the gateway's.
    """
    before = clock.now()
    with _stirring(stirred):
        while True:
            now = clock.now()
            try:
                if was_set(before, now):
                    await journal.run(lambda tx: tx.look())
                await settle(journal, zone)
                before = now
            except StoreError as error:
                log.warning("the clock's news wait", extra={"code": error.code})
            stirred.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(stirred.wait(), LOOK_S)
