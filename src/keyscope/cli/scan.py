"""``keyscope scan``: keys in files and in git, which of them are live, and their end."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from keyscope.cli.client import connect
from keyscope.cli.leaked import Judged, State, end, judged
from keyscope.cli.options import as_json, option
from keyscope.cli.output import note, print_json
from keyscope.scan.files import scan_path, scan_source
from keyscope.scan.findings import Findings, printable
from keyscope.scan.history import scan_history, scan_staged

FOUND, TROUBLE = 1, 2
_STDIN = "-"
_SHOWN = 10
"""Places of one key that are printed for people; JSON has all."""


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@option("--staged", is_flag=True, help="Look through what the next git commit would bring in, as a pre-commit hook.")
@option("--no-history", is_flag=True, help="Leave out what git keeps.")
@option("--offline", is_flag=True, help="Ask no server: every key that is found counts as live.")
@option("--revoke", is_flag=True, help="End the live ones, after asking.")
@option("--yes", is_flag=True, help="Do not ask.")
@as_json
def scan(
    paths: tuple[str, ...], staged: bool, no_history: bool, offline: bool, revoke: bool, yes: bool, json: bool
) -> None:
    """Find keys in files, directories with their git history, or stdin (-), and say which are live.

    Exit code 1 if there is a live one, 2 if something could not be looked into. Whole keys are never printed.
    """
    _check(paths, staged, offline, revoke, yes)
    findings = Findings()
    _search(paths, staged, not no_history, findings)
    found = _judged(findings, offline)
    _print(found, findings, json)
    live = [one for one in found if one.state is State.LIVE or (offline and one.state is State.UNKNOWN)]
    if revoke and live:
        _revoke(live, yes)
    if live or findings.troubles:
        raise SystemExit(FOUND if live else TROUBLE)


def _check(paths: tuple[str, ...], staged: bool, offline: bool, revoke: bool, yes: bool) -> None:
    if not paths and not staged:
        raise click.UsageError("Say where to look: a file or directory, - for stdin, or --staged.")
    if offline and revoke:
        raise click.UsageError("--revoke needs a server, so it goes without --offline.")
    if revoke and not yes and _STDIN in paths:
        raise click.UsageError("With - the question whether to revoke cannot be answered: add --yes.")


def _search(paths: tuple[str, ...], staged: bool, history: bool, findings: Findings) -> None:
    if staged:
        scan_staged(findings)
    repositories: dict[Path, None] = {}
    for path in paths:
        if path == _STDIN:
            scan_source(sys.stdin.buffer, "stdin", findings)
        else:
            repositories |= dict.fromkeys(found.resolve() for found in scan_path(Path(path), findings))
    for repository in repositories if history else ():
        scan_history(repository, findings)


def _judged(findings: Findings, offline: bool) -> list[Judged]:
    """The server is asked only if there is something to ask. What it does not say is trouble, and stays unknown."""
    if findings.leaks and not offline:
        try:
            with connect() as client:
                return judged(client, findings.leaks)
        except click.ClickException as error:
            findings.trouble("the server", error.format_message())
    return [Judged(leak) for leak in findings.leaks]


def _revoke(live: list[Judged], yes: bool) -> None:
    chosen = [one for one in live if not one.is_own]
    if len(chosen) < len(live):
        note("Your own key (KEYSCOPE_API_KEY) is among them and is left: rotate it with keyscope keys rotate.")
    if chosen and (yes or click.confirm(f"Revoke {len(chosen)} live keys?", err=True)):
        with connect() as client:
            note(f"{end(client, chosen)} of {len(chosen)} are ended.")


def _print(found: list[Judged], findings: Findings, json: bool) -> None:
    for trouble in findings.troubles:
        note(f"trouble: {trouble}")
    if json:
        counts = {"files": findings.files, "objects": findings.objects}
        troubles = [{"path": printable(trouble.path), "why": trouble.why} for trouble in findings.troubles]
        print_json({"keys": [one.view for one in found], **counts, "troubles": troubles})
        return
    for one in found:
        click.echo(_line(one))
        for place in one.leak.places[:_SHOWN]:
            click.echo(f"  {place}")
        if len(one.leak.places) > _SHOWN:
            click.echo(f"  and {len(one.leak.places) - _SHOWN} places more")
    live = sum(one.state is State.LIVE for one in found)
    asked = f"{live} of them live" if State.UNKNOWN not in {one.state for one in found} else "no server was asked"
    looked = f"looked through {findings.files} files and {findings.objects} git objects."
    note(f"{len(found)} keys found, {asked}; {looked}" if found else f"No keys found; {looked}")


def _line(one: Judged) -> str:
    words = [one.leak.shown, one.state.value, one.derived_id or one.id or ""]
    return "  ".join([*words, one.key["name"] if one.key is not None else ""]).rstrip()
