"""`devices scan | identify | list | show`: which ports there are and what fits them; the devices now.

`scan` only reads the kernel's list and never opens a port: opening a line can wake or reset a machine.
"""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from drivers import catalogue
from drivers.catalogue import Driver, Hid, Serial
from gateway import messages
from gateway.config import Config, load
from gateway.links.ports import ROOT, PortInfo, bulks, hids, ports
from gateway.stanza import stanza_of, written
from protocol.errors import RequestRefused
from tools import running
from tools.holders import Held, held
from tools.identify import identify
from tools.learn import learn
from tools.parameters import CONFIG, JSON
from tools.passport import history_of, in_words, passport


@click.group()
def devices() -> None:
    """Scan for devices, identify, list and show them."""


for _command in (identify, learn, passport):
    devices.add_command(_command)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the kernel tells of a port beside its name: the adapter's driver, and who has the port open."""

    adapter: str = ""
    held: Held | None = None


@devices.command()
@click.option("--format", "form", type=click.Choice(["toml", "json"]), default="toml", help="What to print.")
def scan(form: str) -> None:
    """Print a stanza for every serial port and USB machine there is. Nothing is opened or sent.

    Beside it: the adapter, its USB ids, who holds the port, which driver fits and why.
    """
    drivers = list(catalogue.every().values())
    bare = [port for port in bulks() if fitting(port, drivers)]
    found = [(port, looked_at(port)) for port in (*ports(), *hids(), *bare)]
    if form == "json":
        listed = [as_json(port, fitting(port, drivers), seen) for port, seen in found]
        click.echo(json.dumps({"schema": 1, "ports": listed}, ensure_ascii=False, indent=2))
        return
    if not found:
        click.echo(
            "no serial port and no HID device is there: plug the machine in, or see `checkup-gateway doctor`",
            err=True,
        )
    stanzas_of = (as_stanza(number, port, drivers, seen) for number, (port, seen) in enumerate(found, 1))
    click.echo("\n".join(stanzas_of), nl=False)


def looked_at(port: PortInfo, root: Path = ROOT) -> Seen:
    """Return what the kernel tells of *port*; nothing is opened."""
    node = Path(port.device)
    sort = "hidraw" if port.hid else "tty"
    try:
        adapter = (root / "sys/class" / sort / node.name / "device/driver").readlink().name
    except OSError:
        adapter = ""
    return Seen(adapter, held(node, root) if node.exists() else None)


def fitting(port: PortInfo, drivers: Iterable[Driver]) -> list[Driver]:
    """Return the drivers whose machines carry the port's USB ids; a serial chip's ids fit none."""
    return [driver for driver in drivers if _speaks(driver, port) and (port.vid, port.pid) in driver.link.usb]


def _speaks(driver: Driver, port: PortInfo) -> bool:
    """Say whether *driver* may be proposed for this sort of port."""
    link = driver.link
    if isinstance(link, Serial):
        speaks = link.bulk if port.bulk else not link.bulk and (not port.hid or port.bridge)
    else:
        speaks = isinstance(link, Hid) and port.hid and not port.bridge
    return speaks and not driver.experimental


def lasting_name(port: PortInfo) -> str:
    """Return the name of *port* that survives unplugging, or the device path where it has none."""
    if port.by_id:
        return port.by_id
    if port.vid is not None and port.pid is not None and (port.serial or port.hid or port.bulk):
        return f"usb:{port.vid:04x}:{port.pid:04x}" + (f":{port.serial}" if port.serial else "")
    return port.device


def as_json(port: PortInfo, fits: Sequence[Driver], seen: Seen | None = None) -> dict[str, object]:
    """Return one port as `--format json` has it; `drivers` are those certain to fit, with the reason."""
    seen = seen or Seen()
    held_by = seen.held.by if seen.held else ()
    return {
        "device": port.device,
        "port": lasting_name(port),
        "hid": port.hid,
        "vid": port.vid and f"{port.vid:04x}",
        "pid": port.pid and f"{port.pid:04x}",
        "serial": port.serial,
        "location": port.location,
        "description": port.description,
        "adapter": seen.adapter,
        "held_by": [{"process": one.process, "program": one.program} for one in held_by],
        "all_processes_seen": bool(seen.held and seen.held.whole),
        "drivers": [{"name": one.name, "why": f"USB {_usb(port)} names this machine"} for one in fits],
    }


def as_stanza(number: int, port: PortInfo, drivers: Sequence[Driver], seen: Seen | None = None) -> str:
    """Return the stanza of *port*, ready where one driver is certain, else commented out with the choice."""
    fits = fitting(port, drivers)
    what = " ".join(part for part in (port.device, _usb(port), port.description) if part)
    state = _state(seen) if seen else ""
    if len(fits) == 1:
        [driver] = fits
        ready = stanza_of(driver, f"{driver.name}-{number}", lasting_name(port))
        return f"# {what}: these USB ids name {driver.title}.\n{state}{ready}"
    if port.hid and not fits and not port.bridge:
        return f"# {what}: no driver names these USB ids (a keyboard, a mouse, a card reader?).\n{state}"
    names = ", ".join(one.name for one in fits or [one for one in drivers if _speaks(one, port)])
    nothing = "nothing in it tells which machine is behind it"
    why = "several machines carry these USB ids" if fits else nothing
    choice = textwrap.fill(f"# Choose the driver: {names}.", 108, subsequent_indent="# ")
    lines = [
        f"# {what}: {why}.",
        f"{state}{choice}",
        f"# To find out, while the machine speaks: checkup-gateway devices identify {lasting_name(port)}",
        f"# To see its bytes: checkup-gateway listen {lasting_name(port)}",
        "#[[devices]]",
        f'#name = "device-{number}"',
        '#driver = ""',
        f"#port = {written(lasting_name(port))}",
    ]
    return "\n".join(lines) + "\n"


def _state(seen: Seen) -> str:
    told = [f"adapter {seen.adapter}"] if seen.adapter else []
    told += [str(seen.held)] if seen.held else []
    return f"# {'; '.join(told)}.\n" if told else ""


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
    """Show what is known of the device NAME: its state, and in words whether it gets slower or fails more."""
    config, states = _asked(path)
    state = next((one for one in states if one["name"] == name), None)
    if state is None:
        known = ", ".join(str(one["name"]) for one in states) or "none"
        raise RequestRefused(f"{name}; there are: {known}", code="device.unknown")
    history = history_of(running.address(config.http), name)
    if as_json:
        told = {"schema": 1, "device": state, "history": history}
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    for key, value in state.items():
        click.echo(f"{key:<15} {_words(value)}")
    click.echo(
        f"{'':<15} {messages.text(state['code'] or 'condition.' + state['condition'], config.language)}"
    )
    click.echo("\n".join(["", *in_words(history, config.language)]))


def _asked(path: Path | None) -> tuple[Config, list[dict[str, Any]]]:
    config = load(path)
    return config, running.ask(running.address(config.http), "/v1/devices")["devices"]


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={item}" for key, item in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None or value == "" else str(value)
