"""`devices scan | list | show`: which ports there are and what fits them; the configured devices now.

`scan` only reads the kernel's list and never opens a port: opening a line can wake or reset a machine.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from drivers import catalogue
from drivers.catalogue import Driver
from gateway import messages
from gateway.config import Config, load
from gateway.links.ports import PortInfo, ports
from protocol.errors import RequestRefused
from tools import running, stanzas
from tools.parameters import CONFIG, JSON


@click.group()
def devices() -> None:
    """Scan for devices, list and show them."""


@devices.command()
@click.option("--format", "form", type=click.Choice(["toml", "json"]), default="toml", help="What to print.")
def scan(form: str) -> None:
    """Print a stanza for every serial port there is. Nothing is opened or sent."""
    drivers = list(catalogue.every().values())
    found = ports()
    if form == "json":
        listed = [as_json(port, fitting(port, drivers)) for port in found]
        click.echo(json.dumps({"schema": 1, "ports": listed}, ensure_ascii=False, indent=2))
        return
    if not found:
        click.echo("no serial port is there: plug the machine in, or see `checkup-gateway doctor`", err=True)
    click.echo("\n".join(as_stanza(number, port, drivers) for number, port in enumerate(found, 1)), nl=False)


def fitting(port: PortInfo, drivers: Iterable[Driver]) -> list[Driver]:
    """Return the drivers whose machines carry the port's USB ids; a serial chip's ids fit none."""
    return [driver for driver in drivers if (port.vid, port.pid) in driver.link.usb]


def lasting_name(port: PortInfo) -> str:
    """Return the name of *port* that survives unplugging, or the device path where it has none."""
    if port.by_id:
        return port.by_id
    if port.vid is not None and port.pid is not None and port.serial:
        return f"usb:{port.vid:04x}:{port.pid:04x}:{port.serial}"
    return port.device


def as_json(port: PortInfo, fits: Sequence[Driver]) -> dict[str, object]:
    """Return one port as `--format json` has it; `drivers` are those certain to fit, with the reason."""
    return {
        "device": port.device,
        "port": lasting_name(port),
        "vid": port.vid and f"{port.vid:04x}",
        "pid": port.pid and f"{port.pid:04x}",
        "serial": port.serial,
        "location": port.location,
        "description": port.description,
        "drivers": [{"name": one.name, "why": f"USB {_usb(port)} names this machine"} for one in fits],
    }


def as_stanza(number: int, port: PortInfo, drivers: Sequence[Driver]) -> str:
    """Return the stanza of *port*, ready where one driver is certain, else commented out with the choice."""
    fits = fitting(port, drivers)
    what = " ".join(part for part in (port.device, _usb(port), port.description) if part)
    if len(fits) == 1:
        [driver] = fits
        stanza = stanzas.stanza(driver, f"{driver.name}-{number}", lasting_name(port))
        return f"# {what}: these USB ids name {driver.title}.\n{stanza}"
    names = ", ".join(driver.name for driver in fits or drivers)
    lines = [
        f"# {what}: nothing in it tells which machine is behind it.",
        f"# Choose the driver: {names}.",
        f"# To see what the machine says: checkup-gateway listen {lasting_name(port)}",
        "#[[devices]]",
        f'#name = "device-{number}"',
        '#driver = ""',
        f"#port = {stanzas.written(lasting_name(port))}",
    ]
    return "\n".join(lines) + "\n"


def _usb(port: PortInfo) -> str:
    return f"{port.vid:04x}:{port.pid:04x}" if port.vid is not None and port.pid is not None else ""


@devices.command("list")
@CONFIG
@JSON
def list_(path: Path | None, as_json: bool) -> None:
    """List the configured devices with their state, asked of the running service."""
    config, states = _asked(path)
    if as_json:
        click.echo(json.dumps({"schema": 1, "devices": states}, ensure_ascii=False, indent=2))
        return
    for state in states:
        heard = state["last_heard"] or "-"
        click.echo(
            f"{state['name']:<16} {state['driver']:<16} {state['condition']:<10} {heard:<26} {state['port']}"
        )
        if state["code"]:
            click.echo(f"    {messages.text(state['code'], config.language)} [{state['code']}]")


@devices.command()
@click.argument("name")
@CONFIG
@JSON
def show(name: str, path: Path | None, as_json: bool) -> None:
    """Show all that is known of the device NAME now, asked of the running service."""
    config, states = _asked(path)
    state = next((one for one in states if one["name"] == name), None)
    if state is None:
        known = ", ".join(str(one["name"]) for one in states) or "none"
        raise RequestRefused(f"{name}; there are: {known}", code="device.unknown")
    if as_json:
        click.echo(json.dumps({"schema": 1, "device": state}, ensure_ascii=False, indent=2))
        return
    for key, value in state.items():
        click.echo(f"{key:<15} {_words(value)}")
    click.echo(
        f"{'':<15} {messages.text(state['code'] or 'condition.' + state['condition'], config.language)}"
    )


def _asked(path: Path | None) -> tuple[Config, list[dict[str, Any]]]:
    config = load(path)
    return config, running.ask(running.address(config.http), "/v1/devices")["devices"]


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={item}" for key, item in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None or value == "" else str(value)
