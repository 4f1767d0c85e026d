"""Residents' identifiers: what is checked, and what is deliberately not.

A Chinese identity number (GB 11643-1999) is checked by length, characters, date and the ISO 7064 MOD 11-2
check character only, never by place: published place tables refuse most people born before the cards
existed (LIBRARIES F1). Other identifiers are taken as they are.
"""

import re
import unicodedata
from collections.abc import Sequence
from datetime import date

from stdnum.cn import ric
from stdnum.exceptions import ValidationError

from protocol.errors import RequestRefused
from store.residents import Identifier

CN_ID = "cn-id"
_SYSTEM = re.compile(r"[a-z][a-z0-9-]{0,31}")
_CN_18 = re.compile(r"[0-9]{17}[0-9X]")
_CN_15 = re.compile(r"[0-9]{15}")


def checked(identifiers: Sequence[Identifier]) -> list[Identifier]:
    """Return *identifiers* in their normal form. Raises RequestRefused with an `id.*` code."""
    return [_checked(identifier) for identifier in identifiers]


def _checked(identifier: Identifier) -> Identifier:
    if not _SYSTEM.fullmatch(identifier.system):
        raise RequestRefused("an identifier system is a short word such as cn-id", code="id.system")
    value = unicodedata.normalize("NFKC", identifier.value).strip()
    if not value or len(value) > 64 or not value.isprintable():
        raise RequestRefused("an identifier needs 1 to 64 printable characters", code="id.missing")
    if identifier.system == CN_ID:
        value = value.replace(" ", "").upper()
        _check_cn(value)
    return Identifier(identifier.system, value)


def _check_cn(number: str) -> None:
    if len(number) not in {15, 18}:
        raise RequestRefused("an identity number has 18 characters (15 on old cards)", code="id.length")
    if not (_CN_18.fullmatch(number) or _CN_15.fullmatch(number)):
        raise RequestRefused("digits only; the last of 18 may be X", code="id.characters")
    if birth_date(number) is None:
        raise RequestRefused("its birth date is no date", code="id.date")
    if len(number) == 18 and ric.calc_check_digit(number) != number[-1]:
        raise RequestRefused("its check character does not match", code="id.check_digit")


def birth_date(number: str) -> date | None:
    """Return the birth date inside an 18- or 15-character identity number (15: born 19yy), or None."""
    try:
        if len(number) == 18:
            return ric.get_birth_date(number)
        return date(1900 + int(number[6:8]), int(number[8:10]), int(number[10:12]))
    except (ValidationError, ValueError):
        return None


def is_male(number: str) -> bool:
    """Return the sex inside an identity number: an odd order number is male."""
    return int(number[16] if len(number) == 18 else number[14]) % 2 == 1
