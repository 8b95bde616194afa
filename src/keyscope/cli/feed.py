"""``keyscope feed``: keep a HAProxy true that the team runs itself."""

from __future__ import annotations

import asyncio
import shlex
import signal
from contextlib import suppress
from pathlib import Path

import click

from keyscope.behind import private_folder
from keyscope.cli.options import option
from keyscope.errors import ConfigurationError, Fault
from keyscope.gate.followers import folder_beside
from keyscope.gate.haproxy.configuration import DIRECTORY, SOCKET
from keyscope.gate.haproxy.feed import Feed
from keyscope.policy.document import Policy
from keyscope.server import load_policy, start_logging
from keyscope.store.open import open_store, sqlite_path
from keyscope.system import SystemClock


@click.command()
@option("--database", default="sqlite:///keyscope.db", show_default=True, help="The database of the authority.")
@option("--policy", default="runloop", show_default=True, help="The policy: runloop, github-issues, or a file.")
@option("--directory", default=DIRECTORY, show_default=True, help="Where HAProxy's maps are written.")
@option("--socket", default=SOCKET, show_default=True, help="HAProxy's runtime socket.")
@option("--reload", "reload_command", default="", help="The command that has HAProxy read new maps.")
def feed(database: str, policy: str, directory: str, socket: str, reload_command: str) -> None:
    """Tell a HAProxy that you run yourself about every change of a key. `keyscope export haproxy` prints its
    configuration. Runs until it is stopped; HAProxy asks Keyscope about everything while it does not run."""
    start_logging("info")
    with private_folder() as folder:
        asyncio.run(_feed(database, load_policy(policy), Path(directory), Path(socket), reload_command, folder))


async def _feed(
    database: str, policy: Policy, directory: Path, socket: Path, reload_command: str, folder: Path
) -> None:
    async def reload() -> None:
        if not reload_command:
            click.echo(
                "HAProxy asks about many keys; reload it, so that it reads its new maps (or set --reload).", err=True
            )
            return
        process = await asyncio.create_subprocess_exec(*shlex.split(reload_command))
        if await process.wait():
            click.echo(f"the reload command ended with code {process.returncode}: {reload_command}", err=True)

    _check_directory(directory)
    store = open_store(database)
    feeding = Feed(store, SystemClock(), policy.table(), directory, socket, reload)
    await asyncio.to_thread(feeding.write)
    click.echo(f"keyscope feeds HAProxy at {socket}; its maps are in {directory}", err=True)
    running = asyncio.ensure_future(feeding.run(folder_beside(sqlite_path(database).resolve()), folder / "follow.sock"))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
    store.close()


def _check_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / ".keyscope").touch()
        (directory / ".keyscope").unlink()
    except OSError as error:
        fault = Fault("--directory", f"{directory} cannot be written to ({error.strerror}); choose another")
        raise ConfigurationError("directory", [fault]) from None
