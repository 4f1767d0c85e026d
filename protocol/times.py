"""A device's own date and time from the numbers it sent; never filled in, never mended."""

from datetime import datetime

from protocol.errors import MalformedValue


def device_time(*numbers: int) -> datetime:
    """Return the naive moment that year, month, day, hour, minute and, if told, second name.

    Raises MalformedValue where there is no such moment.
    """
    try:
        year, month, day, hour, minute, second = (*numbers, 0)[:6]
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a device's clock has no zone
    except ValueError as impossible:
        raise MalformedValue(f"no such moment: {' '.join(map(str, numbers))}") from impossible
