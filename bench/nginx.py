"""nginx, as the fast upstream that answers 1 KiB of JSON, and as the plain proxy to compare the gate with."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path

from bench.processes import LOAD_CORE, SERVER_CORE, Running, free_port, required, running

_BODY = json.dumps({"id": "dbx_30xQ2cP9bYyh1", "status": "running", "filler": "x" * 960})
_ANSWERS = "default_type application/json; return 200 '{body}';"
_PROXIES = """proxy_pass http://upstream; proxy_http_version 1.1; proxy_set_header Connection "";"""
_CONFIGURATION = """
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
  {upstream}
  server {{ listen 127.0.0.1:{port} backlog=2048; location / {{ {location} }} }}
}}
"""


def answering(directory: Path) -> AbstractContextManager[Running]:
    """The upstream, on the core of the load."""
    return _nginx(directory / "upstream", LOAD_CORE, "", _ANSWERS.format(body=_BODY))


def serving(directory: Path, folder: Path) -> AbstractContextManager[Running]:
    """An upstream that answers with the files of a folder."""
    return _nginx(directory / "files-upstream", LOAD_CORE, "", f"default_type application/json; root {folder};")


def proxying(directory: Path, to: str) -> AbstractContextManager[Running]:
    """A plain proxy, with connections that are kept, on the core of the servers."""
    kept = "keepalive 64; keepalive_requests 100000000;"
    upstream = f"upstream upstream {{ server {to.removeprefix('http://')}; {kept} }}"
    return _nginx(directory / "proxy", SERVER_CORE, upstream, _PROXIES)


def _nginx(place: Path, core: int, upstream: str, location: str) -> AbstractContextManager[Running]:
    place.mkdir()
    port = free_port()
    text = _CONFIGURATION.format(place=place, port=port, upstream=upstream, location=location)
    (place / "nginx.conf").write_text(text)
    command = [required("nginx"), "-c", str(place / "nginx.conf"), "-e", str(place / "error.log")]
    return running(command, port, place / "log", core=core)
