"""Proxies that ask Keyscope, for tests and bench: they run with the configurations that ``keyscope export`` prints."""

from __future__ import annotations

from pathlib import Path

from keyscope.gate.export import Origin, export
from keyscope.policy.document import load
from scripts.programs import program

ENVOY_GRPC = "envoy-grpc"
UPSTREAM_KEY = "ak_of_the_upstream"
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


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
