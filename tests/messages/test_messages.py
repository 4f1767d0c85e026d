"""Every code has a text in both languages, in the form people need; docs/errors.md is the table."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import messages
from gateway.verification import RULES
from protocol import errors
from tools import wording

ROOT = Path(__file__).parents[2]
WORDS = {code.partition(".")[0] for code in messages.known_codes()} - {"failed", "finding", "condition"}
SHAPE = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")
MODULES = {
    "audit.pending",
    "backup.db",
    "gateway.app",
    "gateway.config",
    "config.json",
    "gateway.access",
    "gateway.log",
    "gateway.outside",
    "gateway.rules",
    "gateway.toml",
    "gateway.web",
}
"""Loggers, modules and files, whose names have the same shape."""
SAFE_EN = re.compile(r"\b(stored|kept|untouched|safe|Nothing was changed|Nothing was sent)\b")
SAFE_ZH = re.compile("已存好|数据都在|没有改动|没有向机器发送|原样保留")
FRIGHTENING = re.compile(
    r"^(gateway|config|link|device|store|delivery|tray|finding|http|request|omron_hbp|demo)\."
)
CALM = {"link.opened", "device.identified", "device.passport"}
"""Good news; so are notices of a driver, and every text that speaks of no trouble."""


def constants() -> Iterator[tuple[str, str]]:
    """Yield place and text of every constant in the source that could be a code."""
    for package in ("protocol", "drivers", "store", "gateway", "tools"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            place = path.relative_to(ROOT)
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{place}:{node.lineno}", node.value


def stated() -> Iterator[tuple[str, str]]:
    """Yield place and code wherever the source says `code="…"`, `code = "…"`, or Notice("…")."""
    for package in ("protocol", "drivers", "store", "gateway", "tools"):
        for path in sorted((ROOT / package).rglob("*.py")):
            place = path.relative_to(ROOT)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                values: list[ast.expr] = []
                named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code"
                if named or (isinstance(node, ast.keyword) and node.arg == "code"):
                    values = [node.value]
                elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Notice", "problem")):
                    values = node.args
                for value in values:
                    if (
                        isinstance(value, ast.Constant)
                        and isinstance(value.value, str)
                        and "." in value.value
                    ):
                        yield f"{place}:{value.lineno}", value.value


def failures() -> set[str]:
    """Return the names of every failure a transcript shows a machine to report."""
    found: set[str] = set()
    for path in (ROOT / "tests/transcripts").glob("*.txt"):
        found |= set(re.findall(r"(?m)^= .*\bfailed ([a-z_]+)", path.read_text(encoding="utf-8")))
    return found


def chinese(code: str) -> str:
    return messages.text(code, "zh-CN")


def test_every_code_stated_in_the_source_has_a_text():
    codes = list(stated())
    assert len(codes) > 20
    assert [(place, code) for place, code in codes if code not in messages.known_codes()] == []


def test_every_constant_that_looks_like_a_code_has_a_text():
    shaped = [(place, text) for place, text in constants() if SHAPE.fullmatch(text)]
    missing = [(place, text) for place, text in shaped if text.partition(".")[0] in WORDS]
    assert [one for one in missing if one[1] not in messages.known_codes() | MODULES] == []


def test_every_error_class_rule_condition_and_failure_has_a_text():
    classes = [
        one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.GatewayError)
    ]
    wanted = {one.code for one in classes}
    wanted |= {f"finding.{rule.name}" for rule in RULES}
    wanted |= {f"failed.{name}" for name in failures()}
    assert wanted - messages.known_codes() == set()


@pytest.mark.parametrize("code", sorted(messages.known_codes()))
def test_a_text_is_short_translated_and_says_that_the_data_are_safe(code):
    english, translated = messages.text(code, "en"), chinese(code)
    assert english != translated
    assert 1 <= len(re.findall(r"[.!?](?=\s|$)", english)) <= 3, english
    assert 1 <= len(re.findall("[。！？]", translated)) <= 3, translated
    assert len(english) <= 220
    assert re.search(r"[\u4e00-\u9fff]", translated)
    assert not re.search("[,;?!]", translated), "Chinese text has Chinese marks"
    assert not re.search(r"失败[。，]", translated)
    if FRIGHTENING.match(code) and code not in CALM:
        assert SAFE_EN.search(english), english
        assert SAFE_ZH.search(translated), translated


def test_the_chinese_of_the_page_is_free_of_english_words():
    for code in messages.known_codes():
        plain = re.sub(r"`[^`]*`", "", chinese(code))
        words = set(re.findall("[A-Za-z]{2,}", plain)) - {
            "BMI",
            "dialout",
            "udev",
            "cn",
            "id",
            "openapi",
            "json",
        }
        assert not words, (code, words)


@given(
    st.text(),
    st.text(),
    st.dictionaries(st.text().filter(lambda k: k not in {"code", "language"}), st.text()),
)
def test_any_code_language_and_field_gives_a_text(code, language, fields):
    assert messages.text(code, language, **fields)


@given(st.text(max_size=30))
def test_a_field_is_shown_as_it_is(reason):
    for language in ("en", "zh-CN"):
        assert reason in messages.text("delivery.refused", language, reason=reason)


def test_a_field_that_is_not_given_leaves_no_trace():
    for code in messages.known_codes():
        for language in ("en", "zh-CN"):
            assert not re.search(r"[{}]|\(\)|（）|\s[.。]", messages.text(code, language))


def test_an_unknown_code_gets_a_sound_text_in_both_languages():
    assert "stored" in messages.text("no.such_code", "en")
    assert "已测数据都在" in messages.text("no.such_code", "zh-CN")


def test_the_compiled_catalogue_is_the_written_one():
    with wording.PO.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    written = {message.id: message.string for message in wording.catalogue() if message.id}
    assert {text: compiled.gettext(text) for text in written} == written
    assert set(written) == {*messages.TEXTS.values(), messages.UNKNOWN}


def test_the_page_of_codes_is_the_table():
    assert (ROOT / "docs/errors.md").read_text(encoding="utf-8") == wording.errors_page(), (
        "python -m tools.wording"
    )
