"""What doctor looks at, one function a check. Every check reads; none opens a device's port or writes."""

from collections.abc import Iterator

from tools.checks import backups, centre, ports, software, storage, times
from tools.checks.report import Box, Check, Fact

__all__ = ["Box", "Check", "Fact", "every"]


def every(box: Box) -> Iterator[Check]:
    """Yield each check's outcome as it is known, in the order of the report."""
    seen = storage.seen(box)
    yield software.versions()
    yield software.configuration(box)
    yield storage.state_folder(box)
    yield storage.disk(box)
    if seen:
        yield storage.journal(box)
        yield storage.people(box)
    yield backups.copies(box)
    yield from (ports.port(box, device) for device in box.config.devices)
    yield ports.other_speakers(box)
    yield ports.hot_plug(box)
    yield times.clock(box)
    yield times.real_time_clock(box)
    if seen:
        yield storage.outbox(box)
    yield centre.centre(box)
    yield from filter(None, (centre.certificate(box), centre.token(box)))
    yield centre.way_out(box)
    yield software.service(box)
