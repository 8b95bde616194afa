"""``keyscope serve``: check everything, make the first key, serve."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import closing

import click

from keyscope.authority.bootstrap import FirstKey, bootstrap
from keyscope.gate.haproxy.engine import find_haproxy
from keyscope.logs import say, start_early, start_logging
from keyscope.serving.server import load_policy
from keyscope.serving.startable import check_addresses, check_extras, check_files, check_held
from keyscope.serving.supervise import run
from keyscope.settings import HAPROXY, SETTINGS, Settings, parse_settings
from keyscope.store.open import open_store, without_password
from keyscope.system import SystemClock, SystemEntropy

_WELCOME = """\
The first key of this account, a standard one: it may do everything, and it is shown only now.

  export KEYSCOPE_URL={url} KEYSCOPE_API_KEY={key}

Try, in another shell, after that line:

  {keyscope} me
  {keyscope} keys create --name agent-1 --scope devboxes:read --expires-in 8h
  {keyscope} can - POST /v1/devboxes        # paste the new secret: it may not, and this says why
  curl -s $KEYSCOPE_URL/keyscope/me -H "Authorization: Bearer $KEYSCOPE_API_KEY"

{console}To put the gate in front of an API: --upstream https://api.example.com, and its key in KEYSCOPE_UPSTREAM_KEY.
"""


_CONSOLE = "In a browser, signed in with this key: {url}/keyscope/console\n\n"


def _serve(**options: str | None) -> None:
    """Serve the authority and the gate.

    On an empty database it makes the account and its first standard key, and prints the key once on stdout. Two
    settings are secrets and come from the environment only: KEYSCOPE_UPSTREAM_KEY, and KEYSCOPE_BOOTSTRAP_KEY, which
    becomes the first key of an empty database.
    """
    start_early(options, os.environ)
    settings = parse_settings(options, os.environ)
    start_logging(settings.log_level, settings.log_format)
    policy = load_policy(settings.policy)
    check_extras(settings)
    check_files(settings)
    check_addresses(settings)
    if settings.engine == HAPROXY:
        find_haproxy()
    _show_first_key(_prepared(settings), settings)
    raise SystemExit(run(settings, policy, options))


def _prepared(settings: Settings) -> FirstKey | None:
    with closing(open_store(settings.database, settings.beside)) as store:
        check_held(settings, store, SystemEntropy())
        return bootstrap(store, SystemClock(), SystemEntropy(), settings.bootstrap_key)


def _show_first_key(first: FirstKey | None, settings: Settings) -> None:
    """The first key, once, with lines to try that work as they stand."""
    if first is None:
        say(f"{without_password(settings.database)} has an account; its first key was shown when it was made.")
    elif settings.bootstrap_key is not None:
        say(f"The first key of {without_password(settings.database)} is the one from KEYSCOPE_BOOTSTRAP_KEY.")
    else:
        console = _CONSOLE.format(url=settings.url) if settings.console else ""
        shown = _WELCOME.format(url=settings.url, key=first.secret.reveal(), keyscope=_program(), console=console)
        click.echo(shown, nl=False)


def _program() -> str:
    """How to call this command from where the user is."""
    return "keyscope" if shutil.which("keyscope") else os.path.relpath(sys.argv[0])


def _options() -> list[click.Parameter]:
    return [
        click.Option(
            [setting.option],
            metavar="TEXT",
            help=f"{setting.about}  [env: {setting.variable}; default: {setting.default or 'none'}]",
        )
        for setting in SETTINGS
        if not setting.secret
    ]


serve = click.Command("serve", params=_options(), callback=_serve, help=_serve.__doc__)
