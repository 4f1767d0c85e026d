"""docs/commands.md, written from the commands' own help: `python -m tools.reference` rewrites both pages."""

from collections.abc import Iterator
from pathlib import Path

import click

from tools.drivers import devices_page
from tools.main import cli

DOCS = Path(__file__).resolve().parent.parent / "docs"
WIDTH = 100
HEAD = """# Commands

Written from the commands' own help by `python -m tools.reference`; a test fails when the two disagree.
"""


def commands_page() -> str:
    """Return docs/commands.md whole: the help of every command and sub-command, in the table's order."""
    parts = [HEAD]
    parts += [f"## {path}\n\n```text\n{text}\n```\n" for path, text in _helps(cli, "checkup-gateway", None)]
    return "\n".join(parts)


def _helps(command: click.Command, path: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command,
        info_name=path.rpartition(" ")[2],
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **command.context_settings,
    )
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _helps(inner, f"{path} {name}", context)


def main() -> None:
    """Rewrite docs/commands.md and docs/devices.md."""
    (DOCS / "commands.md").write_text(commands_page(), encoding="utf-8")
    (DOCS / "devices.md").write_text(devices_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
