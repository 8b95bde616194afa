"""djangorestframework-api-key: its permission class over Django's ORM, 100,000 keys in a SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import django
from django.conf import settings

from bench.peers import COUNT, Peer

_PROVES = "the key is stored, not revoked, not expired; nothing about the call"
_OTHERS = 100_000


def peers(directory: Path) -> Iterator[Peer]:
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": directory / "drf.db"}},
        INSTALLED_APPS=["rest_framework_api_key"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()
    from django.core.management import call_command
    from rest_framework_api_key.models import APIKey
    from rest_framework_api_key.permissions import HasAPIKey

    call_command("migrate", verbosity=0)
    secrets = [APIKey.objects.create_key(name=f"agent-{number}")[1] for number in range(COUNT)]
    others = (APIKey(id=f"{n:08d}.", prefix=f"{n:08d}", hashed_key=f"sha512$${n:0128d}", name="o") for n in _numbers())
    APIKey.objects.bulk_create(others, batch_size=500)
    permission = HasAPIKey()

    def allows(secret: str) -> bool:
        request = SimpleNamespace(META={"HTTP_AUTHORIZATION": f"Api-Key {secret}"})
        return bool(permission.has_permission(request, None))

    name = f"djangorestframework-api-key {version('djangorestframework-api-key')}, 100,000 keys in SQLite"
    yield Peer(name, _PROVES, secrets, allows, secrets[0][:-1] + "-")


def _numbers() -> range:
    return range(_OTHERS)
