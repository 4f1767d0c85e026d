"""List every driver and what is known about it; docs/devices.md is written from the same source."""

import json

import click

from drivers.catalogue import Advertisement, AnyLink, Driver, Gatt, Hid, Serial, every, left_out
from tools.forms import Json

GRADES = {
    "A": "vendor document or two independent implementations",
    "B": "one implementation with captured bytes",
    "C": "one mention",
}
PROVENANCES = {
    "captured": "bytes captured from a device",
    "document": "bytes printed in a vendor's document",
    "constructed": "bytes built from the documented rules; no device was heard",
}


def driver_json(driver: Driver) -> Json:
    """Return everything a driver declares; numbers of its machine's range as decimal strings."""
    return {
        "name": driver.name,
        "title": driver.title,
        "transports": [transport(driver.link)],
        "kinds": [kind.value for kind in driver.kinds],
        "models": list(driver.models),
        "grade": driver.grade,
        "provenance": driver.provenance,
        "sources": driver.sources,
        "not_known": list(driver.not_known),
        "line": _line(driver.link),
        "orders": list(driver.orders),
        "settings": dict(driver.settings),
        "machine_range": {
            measure.value: [format(low, "f"), format(high, "f")]
            for measure, (low, high) in driver.machine_range.items()
        },
    }


def transport(link: AnyLink) -> str:
    """Return `serial`, `hid` or `ble`."""
    match link:
        case Serial():
            return "serial"
        case Hid():
            return "hid"
        case _:
            return "ble"


def _line(link: AnyLink) -> Json:
    usb = [f"{vendor:04x}:{product:04x}" for vendor, product in link.usb]
    match link:
        case Hid(report=report):
            return {"report": report, "usb": usb}
        case Gatt():
            names = {"names": list(link.names), "pairing": link.pairing}
            return {"services": list(link.services), "characteristics": list(link.characteristics), **names}
        case Advertisement():
            companies = [f"{company:04x}" for company in link.companies]
            return {"services": list(link.services), "companies": companies, "names": list(link.names)}
        case Serial():
            return _serial(link, usb)


def _serial(link: Serial, usb: list[str]) -> Json:
    return {
        "baudrate": link.baudrate,
        "bytesize": link.bytesize,
        "parity": link.parity,
        "stopbits": link.stopbits,
        "usb": usb,
    }


def line_in_words(link: AnyLink) -> str:
    """Return the line as technicians write it: `9600 8N1`, the ids of a HID device, or Bluetooth services."""
    match link:
        case Hid():
            return "USB HID " + ", ".join(f"{vendor:04x}:{product:04x}" for vendor, product in link.usb)
        case Gatt():
            return "Bluetooth LE " + ", ".join((*link.services, *link.names))
        case Advertisement():
            makers = (f"{company:04x}" for company in link.companies)
            return "Bluetooth LE advertisements " + ", ".join((*link.services, *makers, *link.names))
        case Serial():
            return _settings_in_words(link)


def _settings_in_words(link: Serial) -> str:
    return f"{link.baudrate} {link.bytesize}{link.parity}{link.stopbits}"


def kinds_in_words(driver: Driver) -> str:
    """Return what the machine measures; one that measures nothing says who sits down."""
    return ", ".join(driver.kinds) or "identity"


def devices_page() -> str:
    """Return docs/devices.md whole."""
    found = every().values()
    rows = [
        f"| [`{driver.name}`](#{driver.name}) | {driver.title} | {kinds_in_words(driver)} "
        f"| {line_in_words(driver.link)} | {driver.grade} | {driver.provenance} |"
        for driver in found
    ]
    return "\n".join(
        (
            "# Devices",
            "",
            "Written by `checkup-gateway drivers --markdown`; a test fails when it and the code disagree.",
            "",
            *(f"* Grade {grade}: {meaning}." for grade, meaning in GRADES.items()),
            *(f"* Provenance *{name}*: {meaning}." for name, meaning in PROVENANCES.items()),
            "",
            "| driver | device | kinds | line | grade | provenance |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            *(line for driver in found for line in _section(driver)),
        )
    )


def _section(driver: Driver) -> list[str]:
    lines = [
        f"## {driver.name}",
        "",
        f"{driver.title}. Models: {', '.join(driver.models)}.",
        "",
        f"* Line: {line_in_words(driver.link)}, {_freedom(driver.link)}.",
    ]
    if driver.orders:
        lines.append(f"* A person may order: {', '.join(f'`{order}`' for order in driver.orders)}.")
    lines += [f"* Setting `{key}`, default `{_toml(value)}`." for key, value in driver.settings.items()]
    lines += [
        f"* The machine measures {measure} from {low:f} to {high:f}."
        for measure, (low, high) in driver.machine_range.items()
    ]
    lines += [f"* Not known: {gap}" for gap in driver.not_known]
    return [*lines, f"* Sources: {driver.sources}", ""]


def _freedom(link: AnyLink) -> str:
    if isinstance(link, Hid):
        return f"reports of {link.report} bytes"
    if isinstance(link, Gatt):
        return f"pairing: {link.pairing.replace('_', ' ')}"
    if isinstance(link, Advertisement):
        return "nothing is connected"
    return "each value can be set in the configuration"


def _toml(value: str | int | bool) -> str:
    return json.dumps(value, ensure_ascii=False)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
@click.option("--markdown", is_flag=True, help="The page docs/devices.md.")
def drivers(as_json: bool, markdown: bool) -> None:
    """List every driver and what is known about it; what could not be loaded is told on stderr."""
    if as_json and markdown:
        raise click.UsageError("--json and --markdown are two different outputs")
    for origin, why in left_out().items():
        click.echo(f"left out: {origin} could not be loaded ({why})", err=True)
    if as_json:
        click.echo(json.dumps([driver_json(driver) for driver in every().values()], ensure_ascii=False))
    elif markdown:
        click.echo(devices_page(), nl=False)
    else:
        _table()


def _table() -> None:
    for driver in every().values():
        click.echo(f"{driver.name}  {driver.title}")
        click.echo(f"    {kinds_in_words(driver)}; {line_in_words(driver.link)}; {', '.join(driver.models)}")
        click.echo(f"    grade {driver.grade}: {GRADES[driver.grade]}; {PROVENANCES[driver.provenance]}")
        for gap in driver.not_known:
            click.echo(f"    not known: {gap}")
