"""Real proxies with the configurations that ``keyscope export`` prints."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from scripts.proxies import ENVOY_GRPC, UPSTREAM_KEY, configuration, install, program_of

from tests.live import free_port

__all__ = ["ENVOY_GRPC", "UPSTREAM_KEY", "configuration", "install", "program_of", "running"]

_START_S = 20.0


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
