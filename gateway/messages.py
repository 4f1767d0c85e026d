"""The text a person reads for every code: what happened, whether the data are safe, what to do now.

The English is in `locale/en.toml`, the Chinese in `locale/zh_CN/LC_MESSAGES/messages.po`. A test collects
every code in the source and fails for one without both texts.
"""

import gettext
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

LOCALE = Path(__file__).parent / "locale"
FOLDERS = {"zh-CN": "zh_CN"}
"""Language to its catalogue; English needs none."""
UNKNOWN = (
    "Something went wrong. What was measured is stored. "
    "Go on; if it comes back, give the technician this code."
)

TEXTS: Mapping[str, str] = tomllib.loads((LOCALE / "en.toml").read_text(encoding="utf-8"))
"""Code to English text, in the order of the file."""

_FIELD = re.compile(r"(\s?[(（])\{(\w+)\}([)）])")


def text(code: str, language: str, **fields: object) -> str:
    """Return what to show for *code* in *language* (`zh-CN` or `en`), with *fields* filled in.

    Never raises: an unknown code gets a text that is true of any, an unknown language English.
    """

    def filled(field: re.Match[str]) -> str:
        opening, name, closing = field.groups()
        value = str(fields.get(name, ""))
        return f"{opening}{value}{closing}" if value else ""

    return _FIELD.sub(filled, _catalogue(FOLDERS.get(language)).gettext(TEXTS.get(code, UNKNOWN)))


def known_codes() -> frozenset[str]:
    """Return every code that has a text of its own."""
    return frozenset(TEXTS)


@cache
def _catalogue(folder: str | None) -> gettext.NullTranslations:
    languages = [folder] if folder else []
    return gettext.translation("messages", LOCALE, languages, fallback=True)
