"""The HTTP side of a FHIR server: searches and transactions, one request at a time."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx2

from gateway.fhir import bundle
from gateway.fhir.bundle import BadAnswer, Held, Written
from gateway.fhir.elements import OURS
from gateway.fhir.verdict import judge, unreachable
from protocol.errors import Refused, Unreachable

FHIR_JSON = "application/fhir+json"
ASKED_AT_ONCE = 40
"""Identifiers in one search: its address stays short enough for every server."""


class Central:
    """One FHIR server. Raises Unreachable for no usable answer, Refused for a no."""

    def __init__(self, url: str, *, timeout_s: float, token_file: Path | None) -> None:
        self.base = url.rstrip("/")
        self._token_file = token_file
        self._client = httpx2.AsyncClient(
            timeout=timeout_s,
            headers={"Accept": FHIR_JSON},
            limits=httpx2.Limits(max_connections=1, keepalive_expiry=2.0),
            verify=self.base.startswith("https:"),  # loading certificates is slow and plain HTTP has none
        )

    async def find(self, resource_type: str, system: str, values: Iterable[str]) -> dict[str, Held]:
        """Return what the server holds under these identifiers, by value; answers are checked, not trusted.

        Raises Unreachable (`delivery.unsafe_server`) where it answers with what was not asked for: such
        a server ignores the identifier, and a conditional create there would be a lottery.
        """
        wanted = list(dict.fromkeys(values))
        found: dict[str, Held] = {}
        for start in range(0, len(wanted), ASKED_AT_ONCE):
            some = wanted[start : start + ASKED_AT_ONCE]
            query = bundle.search("identifier", (bundle.token(system, value) for value in some))
            for held in await self.search(resource_type, f"{query}&_count={5 * ASKED_AT_ONCE}"):
                ours = set(bundle.identifier_values(held.resource, system)) & set(some)
                if not ours:
                    raise unreachable("delivery.unsafe_server", "the search by identifier gives strangers")
                found |= {value: held for value in ours if value not in found}
        return found

    async def search(self, resource_type: str, query: str) -> list[Held]:
        """Return the first page of what a search finds; *query* is encoded already."""
        body = await self._answer("GET", f"{self.base}/{resource_type}?{query}")
        try:
            return bundle.matches(body, resource_type)
        except BadAnswer as error:
            raise unreachable("delivery.not_fhir", str(error)) from error

    async def honours_tags(self) -> bool | None:
        """Return whether a search by `_tag` is obeyed; None where no Provenance is there to tell by.

        A server that ignores the parameter answers a tag nobody ever used with what it has.
        """
        never = bundle.search("_tag", [bundle.token(f"{OURS}never", "used")])
        try:
            if not await self.search("Provenance", "_count=1"):
                return None
            return not await self.search("Provenance", f"{never}&_count=1")
        except Refused:
            return False
        except Unreachable as error:
            if error.code == "delivery.unauthorised":
                return False
            raise

    async def transact(self, transaction: bytes, entries: int) -> list[Written]:
        """Write all *entries* of the bundle or none and return where each one is now."""
        body = await self._answer("POST", self.base, transaction)
        try:
            return bundle.answers(body, entries)
        except BadAnswer as error:
            raise unreachable("delivery.not_fhir", str(error)) from error

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def _answer(self, method: str, url: str, content: bytes | None = None) -> bytes:
        try:
            headers = self._headers(content is not None)
            response = await self._client.request(method, url, content=content, headers=headers)
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise unreachable("delivery.unreachable", f"{type(error).__name__}: {error}") from error
        judge(response.status_code, response.headers, response.content)
        return response.content

    def _headers(self, writing: bool) -> Mapping[str, str]:
        """Read the token anew each time: whoever renews it only replaces the file."""
        headers = {"Content-Type": FHIR_JSON, "Prefer": "return=minimal"} if writing else {}
        if self._token_file:
            try:
                headers["Authorization"] = f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"
            except OSError as error:
                raise unreachable("delivery.unauthorised", f"{self._token_file}: {error.strerror}") from error
        return headers
