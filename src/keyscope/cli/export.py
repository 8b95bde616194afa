"""``keyscope export``: a configuration for a proxy that the team runs already."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from msgspec.structs import replace

from keyscope.cli.client import DEFAULT_URL
from keyscope.cli.options import option
from keyscope.gate.export import TEMPLATES, Origin
from keyscope.gate.export import export as configuration
from keyscope.gate.haproxy.configuration import DIRECTORY, SOCKET, Bounds, Place
from keyscope.gate.haproxy.configuration import configuration as haproxy_configuration
from keyscope.model.operation import Operation
from keyscope.policy.document import load
from keyscope.serving.server import load_policy


class OriginText(click.ParamType[Origin]):
    """Where a server is: ``http://host[:port]``."""

    def __init__(self, name: str, schemes: tuple[str, ...]) -> None:
        self.name = name
        self._schemes = schemes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Origin:
        try:
            origin = Origin.parse(str(value))
        except ValueError:
            return self.fail(f"{value!r} is not {self.name.lower()}, with nothing after it", param, ctx)
        if origin.scheme not in self._schemes:
            self.fail(f"{value!r}: proxies ask Keyscope over plain http, on the same machine or network", param, ctx)
        return origin


class Listen(click.ParamType[Origin]):
    """``host:port``."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Origin:
        text = str(value)
        try:
            if not text.partition(":")[1] or not text.rpartition(":")[2].isdigit():
                raise ValueError("no port")
            return Origin.parse(f"http://{text}")
        except ValueError:
            return self.fail(f"{text!r} is not host:port, like 127.0.0.1:8080", param, ctx)


_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)+")
"""Of characters that cannot end a word of a configuration."""

URL = OriginText("http[s]://HOST[:PORT]", ("http", "https"))
KEYSCOPE = OriginText("http://HOST[:PORT]", ("http",))
LISTEN = Listen()

ENVOY_GRPC, HAPROXY = "envoy-grpc", "haproxy"
GRPC_PORT = 8701
_URL_HELP = (
    f"Where the proxy reaches Keyscope; for {ENVOY_GRPC}, port {GRPC_PORT} of that host unless the option says more."
)
_POLICY_HELP = f"Keyscope's policy, for {ENVOY_GRPC} and {HAPROXY}."


@click.command()
@click.argument("proxy", type=click.Choice(sorted([*TEMPLATES, HAPROXY])))
@option("--upstream", type=URL, required=True, help="The API behind the proxy.")
@option("--listen", type=LISTEN, default="127.0.0.1:8080", show_default=True, help="Where the proxy listens.")
@option("--url", type=KEYSCOPE, default=DEFAULT_URL, show_default=True, help=_URL_HELP)
@option("--policy", default="runloop", show_default=True, help=_POLICY_HELP)
@option("--directory", default=DIRECTORY, show_default=True, help="Where keyscope feed writes HAProxy's maps.")
@option("--socket", default=SOCKET, show_default=True, help="HAProxy's runtime socket.")
@click.pass_context
def export(
    context: click.Context,
    proxy: str,
    upstream: Origin,
    listen: Origin,
    url: Origin,
    policy: str,
    directory: str,
    socket: str,
) -> None:
    """Print a configuration with which PROXY asks Keyscope about each request, and sends on what it allows.

    HAProxy judges by itself, by maps that `keyscope feed` keeps true.
    """
    if proxy == HAPROXY:
        place = _place(listen, upstream, url, directory, socket)
        table = load_policy(policy).table()
        text = haproxy_configuration(place, Bounds(), table, is_engine=False, has_key=True)
        return click.echo(text, nl=False)
    operations: tuple[Operation, ...] = ()
    if proxy == ENVOY_GRPC:
        operations = load(policy).operations
        if context.get_parameter_source("url") is not ParameterSource.COMMANDLINE:
            url = replace(url, port=GRPC_PORT)  # KEYSCOPE_URL names the port of HTTP
    click.echo(configuration(proxy, upstream=upstream, keyscope=url, listen=listen, operations=operations), nl=False)
    return None


def _place(listen: Origin, upstream: Origin, url: Origin, directory: str, socket: str) -> Place:
    for option_name, path in (("--directory", directory), ("--socket", socket)):
        if not _PLAIN_PATH.fullmatch(path):
            raise click.BadParameter(f"{path!r} is not an absolute path of plain characters", param_hint=option_name)
    return Place(
        listen=listen.address,
        upstream=upstream,
        directory=Path(directory),
        socket=Path(socket),
        servers=[url.address],
    )
