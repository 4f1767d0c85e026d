"""The central record: does it answer, are its certificate and its clock good, is our way to it open."""

import os
import socket
import ssl
import stat
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from gateway import messages
from tools.checks.report import Box, Check, Fact

TIMEOUT_S = 5.0
ONLY_ITSELF = {"127.0.0.0/8", "::1/128"}
HERE = {"localhost", "127.0.0.1", "::1"}
CLOCKS_APART_S = 60
"""Ours: from there on the two clocks are called apart."""
SOON_DAYS = 21
"""Ours: a certificate that ends sooner is worth a warning."""


def centre(box: Box) -> Check:
    """The central record answers as a FHIR server. Being offline is a state, a wrong answer a mistake."""
    fhir = box.config.fhir
    if fhir is None:
        means = "Measurements stay on this box; other systems may fetch them by the pull API."
        return Check("centre", "ok", "none configured", means, facts={"configured": False})
    url = f"{fhir.url}/metadata"
    run = f"curl -i {url}"
    headers = {"Accept": "application/fhir+json"}
    verify = box.trust() if url.startswith("https:") else False
    try:
        answer = httpx2.get(url, timeout=TIMEOUT_S, headers=headers, verify=verify)
        kind = answer.json().get("resourceType") if answer.is_success else None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        found = f"{fhir.url} does not answer ({type(error).__name__})"
        means, do = messages.text("delivery.unreachable", "en"), "Check the network."
        return Check(
            "centre", "warn", found, means, do, run, {"answers": False, "fault": type(error).__name__}
        )
    except (ValueError, AttributeError):
        kind = None
    facts: dict[str, Fact] = {"answers": True, "status": answer.status_code}
    if kind != "CapabilityStatement":
        found = f"{url} answers {answer.status_code}, not with a FHIR CapabilityStatement"
        means = "This is not the base address of a FHIR server, or something stands in between."
        return Check("centre", "fail", found, means, "Correct fhir.url.", run, {**facts, "fhir": False})
    return _clocks(box, f"{fhir.url} answers as a FHIR server", answer, run, facts)


def _clocks(box: Box, found: str, answer: httpx2.Response, run: str, facts: dict[str, Fact]) -> Check:
    """Compare the clocks by the answer's Date header (to a second; the way took a part of one)."""
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", "")).astimezone(UTC)
    except (ValueError, TypeError):
        return Check("centre", "ok", found, facts={**facts, "fhir": True})
    apart = round((theirs - box.now()).total_seconds())
    facts = {**facts, "fhir": True, "clock_apart_s": apart}
    if abs(apart) <= CLOCKS_APART_S:
        return Check("centre", "ok", f"{found}, its clock {apart:+d} s from ours", facts=facts)
    means = "One of the two clocks is wrong; measurements carry the time of this box."
    do = "See the clock's line above; if this box is right, tell the centre."
    return Check(
        "centre", "warn", f"{found}, its clock {apart:+d} s from ours", means, do, "timedatectl", facts
    )


def certificate(box: Box) -> Check | None:
    """The centre's certificate is accepted and will be for some weeks; None where no certificate is used."""
    name, fhir = "certificate", box.config.fhir
    if fhir is None or not fhir.url.startswith("https:"):
        return None
    url = httpx2.URL(fhir.url)
    host, port = url.host, url.port or 443
    run = f"openssl s_client -connect {host}:{port} -servername {host}"
    try:
        ends = _ends(host, port, box.trust())
    except ssl.SSLCertVerificationError as error:
        means = "Nothing is sent to a server that cannot prove who it is. What was measured is stored."
        do = "Check this box's clock first; then ask the centre, or install its authority's certificate."
        facts: dict[str, Fact] = {"accepted": False, "reason": error.verify_code}
        return Check(name, "fail", f"{host}: {error.verify_message}", means, do, run, facts)
    except OSError as error:
        found = f"{host}:{port} was not reached ({type(error).__name__})"
        means, do = messages.text("delivery.unreachable", "en"), "Check the network."
        return Check(name, "warn", found, means, do, run, {"fault": type(error).__name__})
    days = (ends - box.now()).days
    found = f"accepted, ends {ends:%Y-%m-%d}, in {days} day(s)"
    facts = {"accepted": True, "days": days}
    if days > SOON_DAYS:
        return Check(name, "ok", found, facts=facts)
    means = "After that day nothing can be sent; what is measured stays stored."
    return Check(name, "warn", found, means, "Tell the centre.", run, facts)


def _ends(host: str, port: int, trust: ssl.SSLContext) -> datetime:
    """Return when the certificate shown at host and port ends. Raises OSError; SSLError is one."""
    with (
        socket.create_connection((host, port), timeout=TIMEOUT_S) as plain,
        trust.wrap_socket(plain, server_hostname=host) as secure,
    ):
        shown = secure.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def token(box: Box) -> Check | None:
    """The file with the centre's token is there, for few eyes only; None where none is configured."""
    name = "token"
    path = box.config.fhir and box.config.fhir.token_file
    if not path:
        return None
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        means = "The centre will refuse what is sent without it."
        return Check(
            name, "fail", f"{path} is not there", means, "Put the token there.", "", {"there": False}
        )
    except OSError as error:
        do = "Ask as root."
        found = f"{path}: {error.strerror}"
        return Check(
            name, "warn", found, "It cannot be seen by this user.", do, "sudo checkup-gateway doctor"
        )
    facts: dict[str, Fact] = {"there": True, "mode": f"{mode:03o}"}
    if mode & 0o007:
        means = "Every user of this box can send to the centre in its name."
        found = f"{path}, mode {mode:03o}"
        return Check(name, "fail", found, means, "Take that right away.", f"chmod o-rwx {path}", facts)
    empty = os.access(path, os.R_OK) and not path.read_bytes().strip()
    if empty:
        means = "The centre will refuse what is sent without a token."
        return Check(
            name, "fail", f"{path} is empty", means, "Put the token there.", "", {**facts, "empty": True}
        )
    return Check(name, "ok", f"{path}, mode {mode:03o}", facts=facts)


def way_out(box: Box) -> Check:
    """The unit's address filter lets the service reach the centre."""
    name = "address filter"
    allowed = box.unit("IPAddressAllow").split()
    fhir = box.config.fhir
    host = httpx2.URL(fhir.url).host if fhir else "localhost"
    if not allowed or set(allowed) - ONLY_ITSELF or host in HERE:
        found = " ".join(allowed) or "systemd filters no address of the service"
        return Check(name, "ok", found, facts={"filtered": bool(allowed)})
    means = f"systemd lets the service reach this box only, so never {host}."
    do = f"Add IPAddressAllow= with the address of {host} and of the name server, in [Service]."
    facts = {"filtered": True, "shut_out": True}
    return Check(name, "fail", " ".join(allowed), means, do, "systemctl edit checkup-gateway", facts)
