"""RBP pulse-wave blood-pressure monitors (脉搏波, 瑞光康泰, Maibobo) of health kiosks, over Bluetooth LE.

Service FFF0: the monitor tells packets on FFF1 and is told on FFF2; no pairing. Others use the same
service: a whole packet says that it is this monitor. Packets and conversation are those of
`drivers/raycome_rbp.py`: it starts on a person's order or its own key, and stays connected meanwhile. A
result is live only where its measurement was seen under way; all others are from the memory.
"""

from drivers import raycome_rbp
from drivers.carried import carried, fresh
from drivers.catalogue import Driver, Gatt
from drivers.dialogue import Dialogue, Settings
from protocol import raycome
from protocol.readings import Kind

NOTIFY, WRITE = "FFF1", "FFF2"


def talk(settings: Settings) -> Dialogue:
    """Hold the monitor's conversation over its two characteristics."""
    return fresh(carried(raycome_rbp.talk(settings), NOTIFY, WRITE))


DRIVER = Driver(
    name="maibobo_rbp",
    title="RBP pulse-wave blood-pressure monitor (Bluetooth LE)",
    models=("RBP", "BP06"),
    kinds=(Kind.BLOOD_PRESSURE,),
    link=Gatt((NOTIFY, WRITE), default=NOTIFY, names=("RBP", "BP0")),
    framer=raycome.framer,
    decode=raycome_rbp.decode,
    talk=talk,
    grade="B",
    provenance="document",
    sources="ble/maibobo_rbp.md: a Python client quoting the maker's PDF; serial/raycome_rbp.md for captures",
    not_known=(
        "a captured result over Bluetooth (the serial ones are of the same packets)",
        "how a cuff pressure above 255 mmHg is read (two clients differ; no number is shown then)",
        "what the error codes mean",
        "whether an older result is told again at connecting",
        "how stored records are downloaded",
    ),
    orders=(raycome_rbp.START_ORDER, raycome_rbp.STOP_ORDER),
    settings={"connect": True},
)
