"""Write the tables of the docs from the code. ``python -m scripts.docs``; a test asks whether they are up to date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
from bench.worldwide.tables import tables

from keyscope.cli.main import root
from keyscope.settings import SETTINGS
from keyscope.wire.problem import STATUSES
from scripts.api import reference

DOCS = Path(__file__).parents[1] / "docs"


def errors() -> Iterator[str]:
    """One row per error code."""
    yield "| code | status | message |"
    yield "|---|---|---|"
    for error, status in sorted(STATUSES.items(), key=lambda row: (row[1], row[0].code)):
        yield f"| `{error.code}` | {int(status)} | {error.message} |"


def settings() -> Iterator[str]:
    """One row per setting."""
    yield "| option | variable | default | what it sets |"
    yield "|---|---|---|---|"
    for setting in SETTINGS:
        option = "" if setting.secret else f"`{setting.option}`"
        default = f"`{setting.default}`" if setting.default else "none"
        yield f"| {option} | `{setting.variable}` | {default} | {setting.about} |"


def commands() -> Iterator[str]:
    """One section per command, with its options."""
    yield from _command(root, "keyscope")


def _command(command: click.Command, path: str) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from _command(command.commands[name], f"{path} {name}")
        return
    arguments = [parameter.make_metavar(click.Context(command)) for parameter in _arguments(command)]
    yield f"### `{' '.join([path, *arguments])}`"
    yield ""
    yield (command.help or "").split("\n\n")[0].replace("\n", " ").strip()
    yield ""
    if path.endswith(" serve"):
        yield "Its options are the settings: see [settings.md](settings.md)."
        yield ""
        return
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    yield from (f"- `{option.opts[0]}`: {option.help}" for option in options)
    if options:
        yield ""


def _arguments(command: click.Command) -> list[click.Argument]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Argument)]


TABLES = {"errors": errors, "settings": settings, "commands": commands, "api": reference, "scale": tables}


def written(name: str) -> str:
    """The page with its table as it should be."""
    page = (DOCS / f"{name}.md").read_text()
    marks = re.compile(rf"(<!-- {name}: written by make docs -->\n).*(<!-- end -->)", re.DOTALL)
    table = "\n".join(TABLES[name]()).rstrip()
    return marks.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def main() -> None:
    for name in TABLES:
        (DOCS / f"{name}.md").write_text(written(name))


if __name__ == "__main__":
    main()
