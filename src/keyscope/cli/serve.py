"""``keyscope serve``: check everything, make the first key, serve."""

from __future__ import annotations

import os

import click

from keyscope.authority.bootstrap import FirstKey, bootstrap
from keyscope.server import check_port, load_policy, run, start_logging
from keyscope.settings import SETTINGS, Settings, parse_settings
from keyscope.store.open import open_store
from keyscope.system import SystemClock, SystemEntropy


def _serve(**options: str | None) -> None:
    """Serve the authority and the gate.

    On an empty database it makes the account and its first standard key, and prints the key once on stdout. Two
    settings are secrets and come from the environment only: KEYSCOPE_UPSTREAM_KEY, and KEYSCOPE_BOOTSTRAP_KEY, which
    becomes the first key of an empty database.
    """
    settings = parse_settings(options, os.environ)
    start_logging(settings.log_level)
    policy = load_policy(settings.policy)
    check_port(settings)
    first = _first_key(settings)
    if first is not None:
        _show_first_key(first, settings)
    raise SystemExit(run(settings, policy, options))


def _first_key(settings: Settings) -> FirstKey | None:
    store = open_store(settings.database)
    try:
        return bootstrap(store, SystemClock(), SystemEntropy(), settings.bootstrap_key)
    finally:
        store.close()


def _show_first_key(first: FirstKey, settings: Settings) -> None:
    if settings.bootstrap_key is not None:
        click.echo(f"The first key of {settings.database} is the one from KEYSCOPE_BOOTSTRAP_KEY.", err=True)
        return
    click.echo(first.secret.reveal())
    click.echo(
        "This is the first key of the account, a standard one: it may do everything, and it is shown only now.\n"
        f"Try, in another shell:\n\n"
        f"  export KEYSCOPE_URL={settings.url} KEYSCOPE_API_KEY={'{the key above}'}\n"
        "  keyscope me\n"
        "  keyscope keys create --name agent-1 --scope devboxes:read --expires-in 8h\n",
        err=True,
    )


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
