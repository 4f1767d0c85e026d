"""What runs here and how it is configured."""

import stat
import sys
from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from drivers import catalogue
from gateway.config import Config
from protocol.errors import DeliveryError
from store import version
from tools import running
from tools.checks.report import Box, Check, Result

UNCHANGED_NAME = "gateway-1"
TALKATIVE = {"wire", "debug"}


def versions() -> Check:
    """Python and SQLite are of versions this release was tried with."""
    python, library = ".".join(map(str, sys.version_info[:3])), ".".join(map(str, version.sqlite()))
    found = f"Python {python}, SQLite {library}"
    facts = {"python": python, "sqlite": library}
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        do = "Use Python 3.11, 3.12 or 3.13."
        return Check("versions", "warn", found, "Untried with this Python.", do, facts=facts)
    if version.two_writers_are_safe():
        return Check("versions", "ok", found, facts=facts)
    means = "This SQLite can damage a file that two programs write. The gateway alone writes, so it is fine."
    do = "Never open the journal with another program for writing."
    return Check("versions", "ok", found, means, do, facts=facts)


def configuration(box: Box) -> Check:
    """The file was read, nobody but its owner may change it, and it says nothing that is likely a mistake."""
    found = f"{box.loaded.path}, {len(box.config.devices)} device(s)"
    facts = {"devices": len(box.config.devices)}
    if not box.config.devices:
        do = "Paste the stanzas of your machines into the file."
        run = "checkup-gateway devices scan"
        return Check("configuration", "warn", found, "No machine will be read.", do, run, facts)
    doubt = next(iter([*_by_others(box), *_doubts(box.config)]), None)
    if doubt is None:
        return Check("configuration", "ok", found, facts=facts)
    what, means, do, run = doubt
    result: Result = "fail" if what == "changed_by_others" else "warn"
    return Check("configuration", result, found, means, do, run, {**facts, "doubt": what})


def _by_others(box: Box) -> Iterator[tuple[str, str, str, str]]:
    path = box.loaded.path
    if path.is_file() and path.stat().st_mode & stat.S_IWOTH:
        means = "Every user of this box can change where measurements go."
        yield "changed_by_others", means, "Take that right away.", f"chmod o-w {path}"


def _doubts(config: Config) -> Iterator[tuple[str, str, str, str]]:
    """Yield what is allowed and still worth a question: a word for it, its meaning, what to do, a command."""
    if config.log_level in TALKATIVE:
        means = f"At log_level {config.log_level!r} the log may hold persons' values."
        yield "talkative_log", means, "Set log_level back to info when the search is over.", ""
    if config.fhir and config.gateway == UNCHANGED_NAME:
        means = f"Two boxes called {UNCHANGED_NAME} give different measurements the same id at the centre."
        yield "gateway_name", means, "Give this box its own name in the key gateway.", ""
    for origin, why in catalogue.left_out().items():
        means = f"The driver {origin} could not be loaded ({why}); all others work."
        yield "driver_left_out", means, "Update or uninstall it.", "checkup-gateway drivers"
    for device in config.devices:
        if catalogue.every()[device.driver].experimental:
            means = f"{device.name}: one source only speaks of this protocol, so its values may be wrong."
            do = "Compare every value with the machine's display until the driver is confirmed."
            yield "experimental_driver", means, do, "checkup-gateway drivers"
    if not _at_home(config.http.host):
        means = f"The page is served to the network at {config.http.host}: names can be seen there."
        do = "Let only the clinic's own addresses in (IPAddressAllow=), or set http.host to 127.0.0.1."
        yield "page_on_network", means, do, "systemctl edit checkup-gateway"


def _at_home(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def service(box: Box) -> Check:
    """The service answers and can take readings."""
    base = running.address(box.config.http)
    run = "systemctl status checkup-gateway"
    try:
        answer: Mapping[str, object] = running.ask(base, "/readyz")
    except DeliveryError:
        do = "Start it if it should run."
        means = "It does not run, is starting, or cannot take readings."
        found = f"{base}/readyz does not say that it is ready"
        return Check("service", "warn", found, means, do, run, {"ready": False})
    found = f"{base} is ready" if answer.get("ready") else f"{base} answers"
    return Check("service", "ok", found, facts={"ready": bool(answer.get("ready"))})
