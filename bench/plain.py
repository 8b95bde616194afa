"""Proxies that ask nobody: each gate's ceiling, with connections kept on both sides and one thread."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from bench.processes import required

_HAPROXY = """
global
  nbthread 1
  maxconn 4096
  stats socket {place}/socket
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
listen proxy
  bind 127.0.0.1:{port}
  server upstream {address}
"""
_CADDY = """
{{
	admin off
}}
http://:{port} {{
	bind 127.0.0.1
	reverse_proxy http://{address}
}}
"""
_TRAEFIK = """
http:
  routers: {{api: {{entryPoints: [plain], rule: "PathPrefix(`/`)", service: api}}}}
  services: {{api: {{loadBalancer: {{servers: [{{url: "http://{address}"}}]}}}}}}
"""
_ENVOY = """
static_resources:
  listeners:
    - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": {types}.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: plain
                route_config:
                  virtual_hosts:
                    - {{name: api, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: api}}}}]}}
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {{"@type": {types}.http.router.v3.Router}}
  clusters:
    - name: api
      load_assignment:
        cluster_name: api
        endpoints:
          - lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: {to}}}}}}}}}]
"""
_ENVOY_TYPES = "type.googleapis.com/envoy.extensions.filters"
_FILES = {
    "haproxy": ("haproxy.cfg", _HAPROXY, ("-f", "haproxy.cfg", "-db")),
    "caddy": ("Caddyfile", _CADDY, ("run", "--config", "Caddyfile")),
    "traefik": (
        "plain.yaml",
        _TRAEFIK,
        (
            "--entryPoints.plain.address=127.0.0.1:{port}",
            "--providers.file.filename=plain.yaml",
            "--global.checkNewVersion=false",
        ),
    ),
    "envoy": (
        "envoy.yaml",
        _ENVOY,
        ("--config-path", "envoy.yaml", "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"),
    ),
}


def command(proxy: str, place: Path, port: int, upstream: str) -> list[str]:
    """Writes the proxy's configuration; how to start it there."""
    file, text, options = _FILES[proxy]
    to = urlsplit(upstream)
    values = {"place": place, "port": port, "address": to.netloc, "host": to.hostname, "to": to.port}
    values["types"] = _ENVOY_TYPES
    (place / file).write_text(text.format(**values))
    return [required(proxy), *(option.format(**values) for option in options)]
