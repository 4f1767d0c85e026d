"""BerryMed PM6750 board (blood pressure, SpO2, temperature) over its Bluetooth LE service.

Advertised as `BerryMed`. The packets are those of the cable, one or several or a part in a notification;
about 50 ms have to lie between two writes, or a command is lost. The conversation is that of
`drivers/pm6750.py`: it inflates a cuff on a person's order and at no other time, and stays connected as
long as the board is there.
"""

from drivers import pm6750
from drivers.carried import carried
from drivers.catalogue import Driver, Gatt
from drivers.dialogue import Dialogue, Settings
from protocol import berry

SERVICE = "49535343-fe7d-4ae5-8fa9-9fafd205e455"
NOTIFY = "49535343-1e4d-4bd9-ba61-23c647249616"
WRITE = "49535343-8841-43f4-a8d4-ecbe34729bb3"
GAP = 0.0625
"""Seconds between two writes: the 0.05 that the board wants and a little more (ours)."""


def talk(settings: Settings) -> Dialogue:
    """Hold the board's conversation over its two characteristics."""
    return carried(pm6750.talk(settings), NOTIFY, WRITE, GAP)


DRIVER = Driver(
    name="pm6750_ble",
    title="BerryMed PM6750 parameter board (Bluetooth LE)",
    models=("PM6750",),
    kinds=pm6750.DRIVER.kinds,
    link=Gatt((NOTIFY, WRITE), default=NOTIFY, services=(SERVICE,), names=("BerryMed",)),
    framer=berry.framer,
    decode=pm6750.decode,
    talk=talk,
    grade="A",
    provenance="constructed",
    sources="serial/pm6750.md: the board's Bluetooth variant, an independent client of it (JavaScript)",
    not_known=(*pm6750.DRIVER.not_known, "whether other boards with this radio module use the same service"),
    orders=pm6750.DRIVER.orders,
    settings=pm6750.DRIVER.settings,
)
