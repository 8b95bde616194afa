"""The command's root. Errors of ours become sentences; a traceback never reaches a user."""

from __future__ import annotations

import sys

import click

from keyscope import __version__
from keyscope.cli.ask import can, me
from keyscope.cli.attenuate import attenuate
from keyscope.cli.audit import audit, usage
from keyscope.cli.backup import backup, reapply, restore
from keyscope.cli.blast import blast
from keyscope.cli.changes import changes
from keyscope.cli.completion import completion
from keyscope.cli.database import db
from keyscope.cli.doctor import doctor
from keyscope.cli.draft import draft_mcp
from keyscope.cli.export import export
from keyscope.cli.feed import feed
from keyscope.cli.gate import gate
from keyscope.cli.held import end_held
from keyscope.cli.holds import holds
from keyscope.cli.keys import keys
from keyscope.cli.life import panic
from keyscope.cli.mcp import mcp
from keyscope.cli.output import print_error
from keyscope.cli.plan import plan
from keyscope.cli.policy import policy
from keyscope.cli.record import check, copy, upgrade
from keyscope.cli.rules import presets, rules
from keyscope.cli.scan import scan
from keyscope.cli.serve import serve
from keyscope.cli.things import adopt
from keyscope.cli.tightening import narrow, observe, revert, suggest
from keyscope.cli.trail import checkpoint, export_trail, verify
from keyscope.cli.webhooks import webhooks
from keyscope.errors import KeyscopeError
from keyscope.logs import is_json, say_error

USAGE = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="keyscope")
def root() -> None:
    """Issue API keys that can do less, enforce them, and prove it.

    Start with `keyscope serve`. The other commands talk to KEYSCOPE_URL (default http://127.0.0.1:8700) with the key
    in KEYSCOPE_API_KEY.
    """


_COMMANDS = (
    *(serve, gate, feed, mcp),
    *(keys, holds, plan, rules, presets, attenuate, panic, scan),
    *(me, can, changes, audit, webhooks, policy, export, db, doctor, completion),
)
for command in _COMMANDS:
    root.add_command(command)


policy.add_command(draft_mcp)
keys.add_command(usage)
for command in (verify, checkpoint, export_trail):
    audit.add_command(command)
for command in (backup, restore, reapply, upgrade, check, copy, adopt, end_held):
    db.add_command(command)
for command in (blast, observe, suggest, narrow, revert):
    keys.add_command(command)


def main() -> None:
    """Run the command line."""
    try:
        root(prog_name="keyscope", auto_envvar_prefix=None)
    except KeyscopeError as error:
        (say_error if is_json() else print_error)(error)
        sys.exit(USAGE)
