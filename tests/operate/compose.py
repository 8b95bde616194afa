"""The Compose files of ``deploy/compose``, as strict types: what matters here of the Compose Specification's schema.

(https://github.com/compose-spec/compose-spec/blob/main/spec.md)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from msgspec import Meta, Struct, convert

Duration = Annotated[str, Meta(pattern=r"^([0-9]+(h|m|s|ms))+$")]
Published = Annotated[str, Meta(pattern=r"^127\.0\.0\.1:[0-9]+:[0-9]+$")]
Volume = Annotated[str, Meta(pattern=r"^[a-z-]+:/[a-z/]+$")]


class Part(Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of a file."""


class Build(Part):
    context: str
    dockerfile: str


class Health(Part):
    test: list[str]
    interval: Duration
    timeout: Duration
    retries: int


class Dependency(Part):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"]


class Service(Part):
    image: Annotated[str, Meta(pattern=r"^[a-z0-9-]+(/[a-z0-9-]+)?(:[A-Za-z0-9._-]+)?$")]
    build: Build | None = None
    command: list[str] = []
    environment: dict[str, str] = {}
    secrets: list[str] = []
    ports: list[Published] = []
    volumes: list[Volume] = []
    tmpfs: list[str] = []
    read_only: bool = False
    cap_drop: list[Literal["ALL"]] = []
    security_opt: list[str] = []
    stop_grace_period: Duration = "10s"
    restart: Literal["no", "always", "on-failure", "unless-stopped"] = "no"
    depends_on: dict[str, Dependency] = {}
    healthcheck: Health | None = None


class Secret(Part):
    file: str


class Compose(Part):
    name: str
    services: dict[str, Service]
    volumes: dict[str, dict[str, str]] = {}
    secrets: dict[str, Secret] = {}


def read(file: Path) -> Compose:
    """Raises ValidationError for what Compose would refuse, with the path in it. What begins with x- is for anchors."""
    members = yaml.safe_load(file.read_text())
    return convert({name: value for name, value in members.items() if not name.startswith("x-")}, Compose)
