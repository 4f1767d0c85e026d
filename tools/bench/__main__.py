"""`python -m tools.bench`: print each comparison as it is measured; a missed target is said, not an error."""

import json
import os
import platform
import tempfile
from importlib import import_module
from pathlib import Path

import click

from store.version import sqlite
from tools.bench.figures import Line, Scale, head

PARTS = {
    "appends": "appends to the journal",
    "decoding": "bytes to frames to readings",
    "wire": "last byte on the wire to durable",
    "ports": "16 ports that never fall silent",
    "startup": "start, memory, idle",
    "pull": "pages of 1,000",
    "years": "a journal of five years",
    "drain": "deliveries to a FHIR server",
}
FOLDER = Path(".run")
QUICK = 0.15


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.option("--quick", is_flag=True, help="Measure less: noisier.")
@click.option("--scale", type=click.FloatRange(0, 10), default=1.0, help="Measure this much of everything.")
@click.option("--part", "wanted", type=click.Choice(list(PARTS)), multiple=True, help="Only this part.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    help="Where to write; the disk to be measured, not memory.",
)
def bench(as_json: bool, quick: bool, scale: float, wanted: tuple[str, ...], folder: Path) -> None:
    """Measure what the design promises, each beside a baseline of the same run."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = _machine(folder)
    if not as_json:
        click.echo("  ".join(f"{name}: {value}" for name, value in machine.items()))
        click.echo(head())
    measured = {
        part: _measured(part, Scale(scale * QUICK if quick else scale), folder, quiet=as_json)
        for part in wanted or PARTS
    }
    if as_json:
        lines = {part: [line.as_json() for line in lines] for part, lines in measured.items()}
        click.echo(json.dumps({"machine": machine, "parts": lines}, ensure_ascii=False, indent=1))


def _measured(part: str, scale: Scale, folder: Path, *, quiet: bool) -> list[Line]:
    if not quiet:
        click.echo(f"\n{PARTS[part]}")
    lines: list[Line] = []
    with tempfile.TemporaryDirectory(dir=folder, prefix=f"bench-{part}-") as own:
        folder = Path(own).resolve() / "box"  # what a box keeps beside its state folder goes with it
        folder.mkdir()
        for line in import_module(f"tools.bench.{part}").measure(scale, folder):
            lines.append(line)
            if not quiet:
                click.echo(line.row())
    return lines


def _machine(folder: Path) -> dict[str, str]:
    """Return what the figures depend on; no name of a machine, no path."""
    return {
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "sqlite": ".".join(map(str, sqlite())),
        "file system": file_system(folder),
    }


def file_system(folder: Path) -> str:
    """Return the type of the file system *folder* lies on, as the kernel mounts it."""
    device = folder.resolve().stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[2] == number:
            return fields[fields.index("-") + 1]
    return "unknown"


if __name__ == "__main__":
    bench()
