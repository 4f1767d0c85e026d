"""The catalogue is whole: every message of code and templates is translated, checked and compiled."""

import io
import re
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from gateway.web.language import CATALOGUES, LOCALE, NAMES

ROOT = Path(__file__).parents[2]
KEYWORDS = {**DEFAULT_KEYWORDS, "mark": None, "say": None, "count": (1, 2), "many": (1, 2)}
Id = str | tuple[str, ...]


def used() -> set[Id]:
    """Return every message that code and templates speak."""
    with (ROOT / "babel.cfg").open(encoding="utf-8") as config:
        methods, options = parse_mapping_cfg(config)
    found = extract_from_dir(str(ROOT), methods, options, keywords=KEYWORDS)
    return {tuple(one[2]) if isinstance(one[2], (tuple, list)) else one[2] for one in found}


def catalogue(folder: str) -> Catalog:
    with (LOCALE / folder / "LC_MESSAGES" / "page.po").open("rb") as file:
        return read_po(file, locale=folder)


def fields(text: str) -> set[str]:
    """Return the names a message fills in, in either style."""
    return {name for _, name, _, _ in Formatter().parse(text) if name} | set(re.findall(r"%\((\w+)\)s", text))


@pytest.fixture(params=CATALOGUES.values())
def folder(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_message_is_there_and_none_too_many(folder: str):
    assert {one.id for one in catalogue(folder) if one.id} == used()
    assert not catalogue(folder).obsolete


def test_every_message_is_translated_and_checked(folder: str):
    for one in catalogue(folder):
        if one.id:
            strings = one.string if isinstance(one.string, tuple) else (one.string,)
            assert all(strings), one.id
            assert not one.fuzzy, one.id


def test_no_field_is_lost(folder: str):
    for one in catalogue(folder):
        if one.id:
            wanted = fields(one.id[-1] if isinstance(one.id, tuple) else one.id)
            for string in one.string if isinstance(one.string, tuple) else (one.string,):
                assert fields(string) == wanted, one.id


def test_the_compiled_file_is_of_this_catalogue(folder: str):
    compiled = io.BytesIO()
    write_mo(compiled, catalogue(folder))
    assert (LOCALE / folder / "LC_MESSAGES" / "page.mo").read_bytes() == compiled.getvalue()


def test_every_language_has_a_name():
    assert set(NAMES) == {*CATALOGUES, "en"}
