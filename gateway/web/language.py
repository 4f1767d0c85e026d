"""The languages of the page: compiled gettext catalogues, read with the standard library."""

import gettext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

LOCALE = Path(__file__).parent / "locale"
CATALOGUES = {"zh-CN": "zh_CN"}
"""Language to its folder; English needs none, the messages in code and templates are English."""
NAMES = {"zh-CN": "中文", "en": "English"}


def mark(message: str) -> str:
    """Return *message* as it is; the extraction knows this name, so a table's words reach the catalogue."""
    return message


@dataclass(frozen=True)
class Language:
    """One language: its tag, its catalogue, and the templates speaking it."""

    tag: str
    words: gettext.NullTranslations
    templates: Environment

    def say(self, message: str, **fields: str) -> str:
        """Return the translation of *message* with its `{fields}` filled in."""
        return self.words.gettext(message).format(**fields)

    def count(self, one: str, many: str, n: int) -> str:
        """Return the translation for *n* things, with `{n}` filled in."""
        return self.words.ngettext(one, many, n).format(n=n)

    def render(self, template: str, **fields: object) -> str:
        """Return the template as text."""
        return self.templates.get_template(template).render(language=self, **fields)


@cache
def language(tag: str) -> Language:
    """Return one of the page's languages. Raises KeyError for another."""
    folder = CATALOGUES.get(tag)
    words = gettext.translation("page", LOCALE, [folder]) if folder else gettext.NullTranslations()
    templates = Environment(
        loader=PackageLoader("gateway.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    templates.globals["names"] = NAMES
    templates.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]
    return Language(tag, words, templates)
