"""The board over Bluetooth: the cable's packets, however notifications cut them, and the pause it wants."""

import pytest

from drivers.dialogue import Listen, Subscribe, Write
from drivers.pm6750_ble import DRIVER, NOTIFY, WRITE
from protocol.errors import NoAnswer
from protocol.readings import Reading
from tests.ble_rows import decoded
from tests.vector_rows import decoded as decoded_on_the_cable
from tests.vector_rows import raw, rows

HEARD = rows("pm6750", "device->host")


@pytest.mark.parametrize("row", HEARD, ids=lambda row: row["id"])
def test_a_packet_means_what_it_means_on_the_cable(row: dict[str, str]) -> None:
    data = raw(row)
    stated = decoded_on_the_cable("pm6750", data)
    for size in (len(data), 20, 1):
        values = [data[at : at + size] for at in range(0, len(data), size)]
        assert decoded("pm6750_ble", *values, source=NOTIFY) == stated


def test_several_packets_in_one_notification() -> None:
    result = bytes.fromhex("55aa08030000785d50cf")
    said = decoded("pm6750_ble", result * 3, source=NOTIFY)
    assert [type(item) for item in said] == [Reading] * 3


def test_between_two_writes_lies_the_time_the_board_wants() -> None:
    dialogue = DRIVER.talk(DRIVER.settings)
    assert dialogue.send(None) == Subscribe(NOTIFY)
    steps = [dialogue.send(True)]
    while len(steps) < 9:
        steps.append(dialogue.send(None))
    assert [type(step) for step in steps] == [Write, Listen] * 4 + [Write]
    assert {step.characteristic for step in steps if isinstance(step, Write)} == {WRITE}
    assert all((step.within or 0) > 0.05 for step in steps if isinstance(step, Listen))


def test_a_device_without_the_service_is_left_alone() -> None:
    dialogue = DRIVER.talk(DRIVER.settings)
    dialogue.send(None)
    with pytest.raises(NoAnswer):
        dialogue.send(False)
