"""`devices pair ADDRESS`: make a bond with a Bluetooth machine and see that it speaks; no reading is kept.

What is done is in `gateway/pairing.py`; the page does the same while the service runs.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

import click

from drivers.catalogue import Driver
from gateway import messages
from gateway.links.ble_radio import Radio
from gateway.pairing import Step, Told, Wish, paired
from gateway.stanza import stanza_with
from protocol.readings import Reading
from protocol.transcript import reading_line
from tools.forms import in_words
from tools.parameters import SET, DriverName, settings_of

ADDRESS = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


@click.command()
@click.argument("address")
@click.option("--driver", type=DriverName(), help="Who understands the machine; else the only one that fits.")
@SET
@click.option(
    "--passkey", metavar="DIGITS", help="The six digits on its label; asked for where they are needed."
)
@click.option("--adapter", help="The adapter, where there are several: hci0 or its address.")
@click.option("--seconds", type=click.FloatRange(min=1), default=180.0, show_default=True, help="So long.")
@click.option("--test/--no-test", default=True, help="Let it tell a result, shown here and kept nowhere.")
def pair(
    address: str,
    *,
    driver: Driver | None,
    stated: tuple[str, ...],
    passkey: str | None,
    adapter: str | None,
    seconds: float,
    test: bool,
) -> None:
    """Pair with the Bluetooth machine ADDRESS and let it tell something, which is shown and kept nowhere.

    Stop the service first (systemctl stop checkup-gateway), or use its page Machines: two programs on one
    adapter disturb each other. A machine belongs to one box: take it out of the phone it was used with.
    """
    from gateway.links.ble import system_radio  # costs memory, and D-Bus

    if not ADDRESS.fullmatch(address):
        raise click.BadParameter("not AA:BB:CC:DD:EE:FF", param_hint="ADDRESS")
    if passkey is not None and not re.fullmatch(r"\d{6}", passkey):
        raise click.BadParameter("not six digits", param_hint="--passkey")
    if stated and driver is None:
        raise click.UsageError("--set needs --driver")
    settings = settings_of(driver, stated) if driver else {}
    wish = Wish(address.upper(), driver, settings, passkey is not None, test, seconds)

    async def run() -> None:
        radio = system_radio(adapter, {}, lambda _address: typed(passkey))
        await told(wish, radio, click.echo)

    asyncio.run(run())


def typed(passkey: str | None) -> Callable[[str], Awaitable[int | None]]:
    """Return what tells a machine's passkey: the stated one, else a person at the keyboard."""

    async def tell(address: str) -> int | None:
        if passkey is not None:
            return int(passkey)
        question = f"The six digits that {address} shows or has on its label"
        return int(await asyncio.to_thread(click.prompt, question, type=click.IntRange(0, 999999)))

    return tell


async def told(wish: Wish, radio: Radio, say: Callable[[str], None]) -> None:
    """Run the radio, pair, say each step and the stanza last. Raises LinkError or RequestRefused."""
    running = asyncio.ensure_future(radio.run())
    try:
        driver, settings = await paired(wish, radio, lambda piece: say(line(piece)))
    finally:
        running.cancel()
        await asyncio.wait({running})
    say(line(Step("pair.done")))
    say("\n" + stanza_with(driver, settings, f"ble:{wish.address}"))


def line(piece: Told) -> str:
    """Return a step, or what the machine told, as a line for a person."""
    if isinstance(piece, Step):
        return messages.text(piece.code, "en", **piece.fields)
    if isinstance(piece, Reading):
        return f"  test, not stored: {reading_line(piece)}"
    return f"  {in_words(piece)}"
