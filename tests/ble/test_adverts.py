"""Which driver fits what a device advertises, and what such a driver is told; pure values."""

from dataclasses import replace

import pytest

from drivers.catalogue import Advertisement, Driver, Gatt, Serial, every
from gateway.links.ble_adverts import Advert, fitting, short, values, why

HERE = Advert("F0:F1:F2:F3:F4:F5")


def driver(link, **changes) -> Driver:
    return replace(every()["omron_hbp"], link=link, **changes)


@pytest.mark.parametrize(
    ("uuid", "name"),
    [
        ("00002a35-0000-1000-8000-00805f9b34fb", "2A35"),
        ("0000FFB1-0000-1000-8000-00805F9B34FB", "FFB1"),
        ("12342a35-0000-1000-8000-00805f9b34fb", "12342a35-0000-1000-8000-00805f9b34fb"),
        ("ECBE3980-C9A2-11E1-B1BD-0002A5D5C51B", "ecbe3980-c9a2-11e1-b1bd-0002a5d5c51b"),
    ],
)
def test_a_uuid_is_written_as_drivers_write_it(uuid, name):
    assert short(uuid) == name


def test_a_driver_hears_the_data_of_its_services_and_makers_only():
    advert = replace(
        HERE, service_data={"181D": b"weight", "180F": b"battery"}, maker_data={0x157: b"maker", 1: b"other"}
    )
    assert list(values(advert, Advertisement(services=("181D",), companies=(0x157,)))) == [
        b"weight",
        b"maker",
    ]
    assert list(values(advert, Advertisement(names=("SCALE",)))) == [
        b"weight",
        b"battery",
        b"maker",
        b"other",
    ]
    assert list(values(replace(HERE, service_data={"181D": b""}), Advertisement(services=("181D",)))) == []


def test_a_name_or_a_service_speaks_for_a_driver_and_the_reason_is_told():
    cuff = driver(Gatt(("2A35",), "2A35", services=("1810",), names=("BLEsmart", "UA-651")))
    assert why(replace(HERE, name="UA-651BLE"), cuff) == "its name begins with UA-651"
    both = replace(HERE, name="BLEsmart_01", services=("1810", "180A"))
    assert why(both, cuff) == "its name begins with BLEsmart, it offers service 1810"
    assert why(replace(HERE, name="x UA-651"), cuff) == ""
    assert why(HERE, cuff) == ""


def test_the_name_of_another_product_speaks_against():
    cuff = driver(Gatt(("2A35",), "2A35", services=("1810",), not_names=("Polar",)))
    assert why(replace(HERE, name="Polar H10", services=("1810",)), cuff) == ""


XIAOMI = every()["xiaomi_scale"]
WEIGHED = bytes.fromhex("22983aea070b150c0000")
"""75.00 kg of a Mi Scale."""
S400 = bytes.fromhex("4859d53b0bd6ef0b25db72785e7e2f46d6000000d8642df6")
"""A weighing, encrypted."""
THERMOMETER = bytes.fromhex("40595b0501020304")
"""What another product of the same maker advertises under FE95."""


def test_a_scale_that_only_advertises_is_known_by_data_it_understands():
    assert why(replace(HERE, service_data={"181D": WEIGHED}), XIAOMI) == "it carries data of service 181D"
    for theirs in ({"FE95": THERMOMETER}, {"181D": b"x"}, {"180F": WEIGHED}, {"181D": b""}):
        assert why(replace(HERE, service_data=theirs), XIAOMI) == ""
    scale = replace(XIAOMI, link=Advertisement(companies=(0x157,)))
    assert why(replace(HERE, maker_data={0x157: WEIGHED}), scale) == "it carries data of company 0157"
    assert why(replace(HERE, maker_data={0x157: b"x", 0x4C: WEIGHED}), scale) == ""


def test_a_scale_s_name_alone_does_not_make_it_one():
    okok = every()["okok_scale"]
    named = replace(HERE, name="ADV-12")
    weighed = bytes(6) + b"\x05\x00\x18\x5b\x00\x00\x66" + bytes(6)
    assert why(named, okok) == "its name begins with ADV", "it sleeps"
    assert why(replace(named, maker_data={0x20CA: weighed}), okok)
    assert why(replace(named, maker_data={0x4C: b"\x02\x15"}), okok) == ""


def test_an_encrypted_scale_is_known_before_its_key_is():
    advert = replace(HERE, service_data={"FE95": S400})
    assert why(advert, XIAOMI) == "it carries data of service FE95"


def test_who_only_offers_a_service_is_connected_to_and_not_listened_to():
    advert = replace(HERE, services=("181D", "181B"))
    fits = [one.name for one, _ in fitting(advert, every().values())]
    assert fits == ["sig_body_composition", "sig_weight_scale"]


@pytest.mark.parametrize("name", ["MI_SCALE", "MIBFS", "MIBCS"])
def test_a_xiaomi_scale_is_not_connected_to(name):
    advert = replace(HERE, name=name, services=("181D", "181B"), service_data={"181D": WEIGHED})
    assert [one.name for one, _ in fitting(advert, every().values())] == ["xiaomi_scale"]


def test_neither_a_line_s_driver_nor_an_experimental_one_is_proposed():
    advert = replace(HERE, name="UA-651", services=("1810",))
    gatt = Gatt(("2A35",), "2A35", services=("1810",))
    known = [driver(Serial()), driver(gatt, grade="C"), driver(gatt, name="fits")]
    assert [(one.name, reason) for one, reason in fitting(advert, known)] == [
        ("fits", "it offers service 1810")
    ]
