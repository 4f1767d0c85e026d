"""What is written from the code: `python -m tools.wording` rewrites it, a test fails when it is out of date.

docs/errors.md, the table in docs/configuration.md, systemd/gateway.toml, and the catalogue of messages (a new
English text enters it untranslated, for a person to translate). Needs Babel, which the service does not.
"""

import re
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from gateway import messages
from tools import stanzas

ROOT = Path(__file__).resolve().parent.parent
PO = messages.LOCALE / messages.FOLDERS["zh-CN"] / "LC_MESSAGES" / "messages.po"
TABLE = re.compile(r"(?s)(?<=<!-- keys -->\n).*(?=<!-- end of keys -->)")
HEAD = """# What each code means

Written from `gateway/locale/` by `python -m tools.wording`; a test fails when the two disagree.
The page and the API show the text, the code stands beside it for the technician. Brackets with a field
appear only where the field is known.

| code | English | 中文 |
|---|---|---|
"""


def errors_page() -> str:
    """Return docs/errors.md whole: every code with both texts, in the order of the table."""
    chinese = catalogue()
    rows = [f"| `{code}` | {text} | {chinese[text].string} |" for code, text in messages.TEXTS.items()]
    return (
        HEAD
        + "\n".join([*rows, f"| any other | {messages.UNKNOWN} | {chinese[messages.UNKNOWN].string} |"])
        + "\n"
    )


def configuration_page(page: str) -> str:
    """Return docs/configuration.md with its table of keys written anew."""
    return TABLE.sub(lambda _: stanzas.key_table(), page)


def catalogue() -> Catalog:
    """Return the Chinese catalogue with exactly the texts of the table, translated as far as the file is."""
    with PO.open("rb") as file:
        known = read_po(file, locale="zh_CN")
    current = Catalog(
        locale="zh_CN",
        project="checkup-gateway",
        version="1",
        header_comment="# Chinese for gateway/locale/en.toml.",
        creation_date=known.creation_date,
        revision_date=known.creation_date,
        last_translator="checkup-gateway",
        language_team="zh_CN",
        msgid_bugs_address="checkup-gateway",
        fuzzy=False,
    )
    for code, text in (*messages.TEXTS.items(), ("any other code", messages.UNKNOWN)):
        there = known.get(text)
        current.add(text, there.string if there else "", auto_comments=[code])
    return current


def main() -> None:
    """Rewrite every file this module is about."""
    (ROOT / "docs/errors.md").write_text(errors_page(), encoding="utf-8")
    configuration = ROOT / "docs/configuration.md"
    configuration.write_text(configuration_page(configuration.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "systemd/gateway.toml").write_text(stanzas.example(()), encoding="utf-8")
    current = catalogue()
    with PO.open("wb") as po, PO.with_suffix(".mo").open("wb") as mo:
        write_po(po, current, width=0, omit_header=False)
        write_mo(mo, current)


if __name__ == "__main__":
    main()
