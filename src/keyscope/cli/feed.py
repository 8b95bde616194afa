"""``keyscope feed``: keep a HAProxy true that the team runs itself."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import click

from keyscope.cli.options import option
from keyscope.errors import ConfigurationError, Fault
from keyscope.gate.haproxy.configuration import DIRECTORY, SOCKET
from keyscope.gate.haproxy.feed import Feed
from keyscope.logs import say, start_logging
from keyscope.serving.behind import private_folder
from keyscope.serving.fed import fed
from keyscope.serving.recorded import recorded
from keyscope.serving.server import load_policy
from keyscope.settings import LOG_FORMATS, TEXT
from keyscope.store.outbox import open_outbox, outbox_beside
from keyscope.system import SystemClock


@click.command()
@option("--database", default="sqlite:///keyscope.db", show_default=True, help="The database of the authority.")
@option(
    "--replica",
    default="keyscope-replica.db",
    show_default=True,
    help="With PostgreSQL: that of the keyscope serve on this machine.",
)
@option("--policy", default="runloop", show_default=True, help="The policy: runloop, github-issues, or a file.")
@option("--directory", default=DIRECTORY, show_default=True, help="Where HAProxy's maps are written.")
@option("--socket", default=SOCKET, show_default=True, help="HAProxy's runtime socket.")
@option("--reload", "reload_command", default="", help="The command that has HAProxy read new maps.")
@option("--audit", type=click.Choice(["yes", "no"]), default="yes", show_default=True, help="Write the audit trail.")
@option("--log-format", type=click.Choice(LOG_FORMATS), default=TEXT, show_default=True, help="Of what it says.")
def feed(
    database: str,
    replica: str,
    policy: str,
    directory: str,
    socket: str,
    reload_command: str,
    audit: str,
    log_format: str,
) -> None:
    """Tell a HAProxy that you run yourself about every change of a key. `keyscope export haproxy` prints its
    configuration. Runs until it is stopped; HAProxy asks Keyscope about everything while it does not run."""
    start_logging("info", log_format)
    _check_directory(Path(directory))
    clock = SystemClock()
    with ExitStack() as stack:
        source = stack.enter_context(fed(database, Path(replica)))
        outbox = stack.enter_context(closing(open_outbox(outbox_beside(source.beside))))
        recording = stack.enter_context(recorded(source.beside, source.store, clock, is_wanted=audit == "yes"))
        folder = stack.enter_context(private_folder())
        feeding = Feed(
            source.store,
            source.keys,
            clock,
            load_policy(policy).table(),
            Path(directory),
            Path(socket),
            _reload_by(reload_command),
            recording,
            outbox.note_first_uses,
        )
        feeding.write()
        say(f"keyscope feeds HAProxy at {socket}; its maps are in {directory}")
        asyncio.run(_until_stopped(feeding.run(source.followed, folder / "follow.sock")))


def _reload_by(reload_command: str) -> Callable[[], Awaitable[None]]:
    async def reload() -> None:
        if not reload_command:
            return say("HAProxy asks about many keys; reload it, so that it reads its new maps (or set --reload).")
        process = await asyncio.create_subprocess_exec(*shlex.split(reload_command))
        if await process.wait():
            say(f"the reload command ended with code {process.returncode}: {reload_command}")
        return None

    return reload


async def _until_stopped(work: Coroutine[None, None, None]) -> None:
    running = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


def _check_directory(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / ".keyscope").touch()
        (directory / ".keyscope").unlink()
    except OSError as error:
        fault = Fault("--directory", f"{directory} cannot be written to ({error.strerror}); choose another")
        raise ConfigurationError("directory", [fault]) from None
