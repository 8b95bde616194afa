"""``keyscope export``: a configuration for a proxy that the team runs already."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource
from msgspec.structs import replace

from keyscope.cli.client import DEFAULT_URL
from keyscope.cli.options import option
from keyscope.gate.export import TEMPLATES, Origin
from keyscope.gate.export import export as configuration
from keyscope.model.operation import Operation
from keyscope.policy.document import load


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


URL = OriginText("http[s]://HOST[:PORT]", ("http", "https"))
KEYSCOPE = OriginText("http://HOST[:PORT]", ("http",))
LISTEN = Listen()

ENVOY_GRPC = "envoy-grpc"
GRPC_PORT = 8701
_URL_HELP = (
    f"Where the proxy reaches Keyscope; for {ENVOY_GRPC}, port {GRPC_PORT} of that host unless the option says more."
)


@click.command()
@click.argument("proxy", type=click.Choice(sorted(TEMPLATES)))
@option("--upstream", type=URL, required=True, help="The API behind the proxy.")
@option("--listen", type=LISTEN, default="127.0.0.1:8080", show_default=True, help="Where the proxy listens.")
@option("--url", type=KEYSCOPE, default=DEFAULT_URL, show_default=True, help=_URL_HELP)
@option("--policy", default="runloop", show_default=True, help="Keyscope's policy, for envoy-grpc: see docs/gates.")
@click.pass_context
def export(context: click.Context, proxy: str, upstream: Origin, listen: Origin, url: Origin, policy: str) -> None:
    """Print a configuration with which PROXY asks Keyscope about each request, and sends on what it allows."""
    operations: tuple[Operation, ...] = ()
    if proxy == ENVOY_GRPC:
        operations = load(policy).operations
        if context.get_parameter_source("url") is not ParameterSource.COMMANDLINE:
            url = replace(url, port=GRPC_PORT)  # KEYSCOPE_URL names the port of HTTP
    click.echo(configuration(proxy, upstream=upstream, keyscope=url, listen=listen, operations=operations), nl=False)
