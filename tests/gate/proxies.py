"""Real proxies with the configurations that ``keyscope export`` prints."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from keyscope.gate.export import Origin, export
from keyscope.policy.document import load
from tests.live import free_port
from tests.programs import program

ENVOY_GRPC = "envoy-grpc"
UPSTREAM_KEY = "ak_of_the_upstream"
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_START_S = 20.0


def configuration(proxy: str, upstream: str, keyscope_port: int, port: int) -> str:
    """What the command prints."""
    return export(
        proxy,
        upstream=Origin.parse(upstream),
        keyscope=Origin("http", "127.0.0.1", keyscope_port),
        listen=Origin("http", "127.0.0.1", port),
        operations=load("runloop").operations,
    )


def program_of(proxy: str) -> str:
    """The program behind a name of ``keyscope export``."""
    return "envoy" if proxy == ENVOY_GRPC else proxy


def install(proxy: str, text: str, folder: Path) -> list[str]:
    """Write the configuration into the folder; the command that starts the proxy there."""
    if proxy == "nginx":
        (folder / "keyscope-upstream-key.conf").write_text(f'proxy_set_header Authorization "Bearer {UPSTREAM_KEY}";\n')
        own = "".join(f"  {name}_temp_path {name};\n" for name in _TEMPORARY)
        text = text.replace("http {\n", f"http {{\n  access_log off;\n{own}", 1)
        (folder / "nginx.conf").write_text(f"daemon off;\npid nginx.pid;\nerror_log error.log;\n{text}")
        return [program("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    if proxy == "caddy":
        (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
        return [program("caddy"), "run", "--config", "Caddyfile"]
    if proxy == "traefik":
        (folder / "keyscope.yaml").write_text(text)
        _, said = text.split("#   traefik ", 1)
        options = said.split("\n# with", 1)[0].replace("\\\n#", "").split()
        return [program("traefik"), *options, "--global.checkNewVersion=false"]
    (folder / "envoy.yaml").write_text(text)
    words = ["--config-path", "envoy.yaml", "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
    return [program("envoy"), *words]


@contextmanager
def running(
    proxy: str, upstream: str, keyscope_port: int, folder: Path, edit: Callable[[str], str] = lambda text: text
) -> Iterator[str]:
    """The URL of this proxy in front of an upstream, its configuration edited first. It is ended at the end.

    ``keyscope_port`` is where Keyscope answers it: over gRPC for ``envoy-grpc``, over HTTP for the others.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = install(proxy, edit(configuration(proxy, upstream, keyscope_port, port)), folder)
    environment = {**os.environ, "KEYSCOPE_UPSTREAM_KEY": UPSTREAM_KEY, "HOME": str(folder)}
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        _until_it_asks(url, process, folder)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _until_it_asks(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Traefik listens before it has read its routes, so a refusal of Keyscope's is waited for."""
    end = time.monotonic() + _START_S
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/v1/devboxes", trust_env=False).status_code == 401:
                return
        is_well = process.poll() is None and time.monotonic() < end
        assert is_well, (folder / "output.log").read_text()[-2000:]
        time.sleep(0.02)
