"""docs/configuration.md and the shipped gateway.toml are what the models say."""

from pathlib import Path

from gateway.config import Config, load
from tools import stanzas, wording

ROOT = Path(__file__).parents[2]


def test_the_table_of_keys_is_the_models():
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert stanzas.key_table() in page
    assert wording.configuration_page(page) == page


def test_the_shipped_file_is_the_example_and_loads_as_the_defaults():
    shipped = ROOT / "systemd/gateway.toml"
    assert shipped.read_text(encoding="utf-8") == stanzas.example(())
    assert load(shipped, {}) == Config()
