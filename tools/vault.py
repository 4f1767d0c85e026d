"""`journal rotate-key | new-key | erase`: the key to residents' names, and making one of them unknown.

All three ask the running service over its socket, which lets in its own user and root. The key file is
written here: where systemd hands the key over as a credential, only root may change the file behind it.
"""

import getpass
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from gateway import control, keys
from gateway.config import Config, load
from gateway.control import Answer, Asked, Erase, Ping, Renew
from protocol.errors import DeliveryError, RequestRefused, StoreError
from store import keyring
from store.keyring import Key
from tools.parameters import CONFIG, JSON

LOST = "the key before was lost"
KEY_FILE = click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file behind the credential, where systemd hands the key over; else the service's own.",
)
OPERATOR = click.option("--operator", default=getpass.getuser, help="Who does it; default the user's name.")


@click.command("rotate-key")
@KEY_FILE
@OPERATOR
@CONFIG
@JSON
def rotate_key(key_file: Path | None, operator: str, path: Path | None, as_json: bool) -> None:
    """Make a new key and seal all names with it; the old key is kept until that is done.

    The service goes on meanwhile. Cut off, run it again: it goes on where it was. A backup made before opens
    with the old key only: make a new one afterwards. Where the key file was lost while the service runs, this
    saves all names.
    """
    config = load(path)
    service = _ask(config, Ping())
    if service.fault is not None:
        raise RequestRefused(service.detail, code=service.fault)
    file = _file(config, service, key_file)
    like = None if service.credential else config.state
    held = _held(file, like)
    if len(held) == 1:
        held = [keyring.new(), *held]
        keyring.replace(file, held)
    wanted = Key.of(held[0]).id
    answer = _ask(config, Renew(wanted=wanted, operator=operator, reason="rotated"))
    if answer.left:
        raise StoreError(
            f"{answer.left} cannot be opened; the old key stays in {file}", code="vault.not_renewed"
        )
    keyring.replace(file, held[:1])
    _tell(as_json, f"names lie under key {answer.key} in {file}", {"key": answer.key, "key_file": str(file)})


@click.command("new-key")
@KEY_FILE
@OPERATOR
@click.option("--reason", default=LOST, show_default=True, help="Why.")
@CONFIG
@JSON
def new_key(key_file: Path | None, operator: str, reason: str, path: Path | None, as_json: bool) -> None:
    """Go on with a new key because the old one is lost; names that it sealed stay hidden.

    Found again, the old key is added to the key file as its last line: then the service shows them once more
    after a restart.
    """
    config = load(path)
    service = _ask(config, Ping())
    if service.fault is None:
        raise RequestRefused("`journal rotate-key` changes it", code="vault.key_at_hand")
    file = _file(config, service, key_file)
    wanted = Key.of(_held(file, None if service.credential else config.state)[0]).id
    answer = _ask(config, Renew(wanted=wanted, operator=operator, reason=reason, over_lost=True))
    told = {"key": answer.key, "key_file": str(file)}
    _tell(as_json, f"new names lie under key {answer.key} in {file}", told)


@click.command()
@click.argument("resident")
@click.option("--operator", required=True, help="Who does it.")
@click.option("--reason", required=True, help="Why; it is kept for ever, so it must not name the person.")
@CONFIG
@JSON
def erase(resident: str, operator: str, reason: str, path: Path | None, as_json: bool) -> None:
    """Make RESIDENT (r-…, or - to be asked for a number) unknown for ever; what was measured stays.

    Backups made before still name them: `journal rotate-key`, and destroying the old key, closes those too.
    """
    who = click.prompt("number", hide_input=True) if resident == "-" else resident
    answer = _ask(load(path), Erase(resident=who, operator=operator, reason=reason))
    _tell(
        as_json, f"{answer.resident} is nobody any more (fact {answer.fact})",
        {"resident": answer.resident, "fact": answer.fact},
    )  # fmt: skip


def _file(config: Config, service: Answer, named: Path | None) -> Path:
    """Return the key file to write. Raises RequestRefused `vault.key_not_seen` where it is another's."""
    if service.credential and named is None:
        raise RequestRefused("name the file behind the credential: --key-file", code="vault.key_not_seen")
    file = named or keys.key_file(config)
    if not service.credential and file.resolve() != Path(service.key_file).resolve():
        raise RequestRefused(f"the service reads {service.key_file}", code="vault.key_not_seen")
    return file


def _held(file: Path, like: Path | None) -> list[bytes]:
    """Return the keys in the file, which is made where there is none."""
    try:
        return keyring.read(file)
    except StoreError as missing:
        if missing.code != "vault.key_missing":
            raise
        return [keyring.make(file, like)]


def _ask(config: Config, asked: Asked) -> Answer:
    try:
        return control.ask(config.state, asked)
    except OSError as error:
        where = config.state / control.NAME
        raise DeliveryError(f"{where}: {error.strerror}", code="service.unreachable") from None


def _tell(as_json: bool, words: str, document: Mapping[str, str | int]) -> None:
    written = msgspec.json.format(msgspec.json.encode({"schema": 1, **document})).decode()
    click.echo(written if as_json else words)
