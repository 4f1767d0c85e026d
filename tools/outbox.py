"""`outbox list | retry`: what waits for the central record, what it refused, and sending that again.

Both ask the running service, which alone writes its journal.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import httpx2

from gateway.config import load
from protocol.errors import DeliveryError, RequestRefused
from tools import running
from tools.parameters import CONFIG, JSON

MOST = 1000


@click.group()
def outbox() -> None:
    """List deliveries and send parked ones again."""


@outbox.command("list")
@click.option("--state", type=click.Choice(["parked", "waiting"]), default="parked", help="Which deliveries.")
@click.option("--limit", type=click.IntRange(1, MOST), default=100, help="How many at most.")
@CONFIG
@JSON
def list_(state: str, limit: int, path: Path | None, as_json: bool) -> None:
    """List every forwarder's numbers and the deliveries in one state."""
    found = _listed(_service(path), state, limit)
    if as_json:
        click.echo(json.dumps({"schema": 1, **found}, ensure_ascii=False, indent=2))
        return
    for name, counts in found["forwarders"].items():
        numbers = "  ".join(f"{word} {counts[word]}" for word in ("waiting", "parked", "delivered"))
        click.echo(f"{name:<12} {numbers}")
    for one in found["deliveries"]:
        click.echo(f"{one['measurement']}  version {one['version']}  {one['reason'] or '-'}")


@outbox.command()
@click.argument("measurements", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every parked delivery.")
@click.option("--operator", required=True, help="Who asks for it.")
@click.option("--forwarder", default="fhir", show_default=True, help="Which other side refused it.")
@CONFIG
@JSON
def retry(
    *,
    measurements: tuple[str, ...],
    everything: bool,
    operator: str,
    forwarder: str,
    path: Path | None,
    as_json: bool,
) -> None:
    """Send the parked MEASUREMENTS again."""
    if bool(measurements) == everything:
        raise click.UsageError("name measurements, or give --all")
    base = _service(path)
    chosen = measurements or _parked(base, forwarder)
    for measurement in chosen:
        asked = {"forwarder": forwarder, "measurement": measurement, "operator": operator}
        _tell(base, "/v1/outbox/resend", asked)
        if not as_json:
            click.echo(f"{measurement} waits again")
    if as_json:
        click.echo(json.dumps({"schema": 1, "forwarder": forwarder, "waiting": list(chosen)}, indent=2))


def _service(path: Path | None) -> str:
    return running.address(load(path).http)


def _listed(base: str, state: str, limit: int) -> dict[str, Any]:
    found: dict[str, Any] = running.ask(base, f"/v1/outbox?state={state}&limit={limit}")
    return found


def _parked(base: str, forwarder: str) -> list[str]:
    found = _listed(base, "parked", MOST)["deliveries"]
    return [one["measurement"] for one in found if one["forwarder"] == forwarder]


def _tell(base: str, path: str, body: Mapping[str, str]) -> None:
    """Post *body*. Raises RequestRefused with the service's own code, DeliveryError `service.unreachable`."""
    try:
        answer = httpx2.post(f"{base}{path}", json=body, timeout=running.TIMEOUT_S, trust_env=False)
        if answer.is_client_error:
            refused = answer.json()
            raise RequestRefused(refused.get("detail") or body["measurement"], code=refused["code"])
        answer.raise_for_status()
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        raise DeliveryError(f"{base}{path}: {error}", code="service.unreachable") from None
