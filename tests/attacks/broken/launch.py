"""``python launch.py BUILD serve …``: the keyscope command with one build's defence taken out."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from keyscope.cli.main import main
from tests.attacks.broken import (  # noqa: F401  (each registers its builds)
    api,
    door,
    held,
    judgement,
    restrictions,
    spending,
)
from tests.attacks.broken.build import BUILDS

BUILDS[sys.argv.pop(1)].patch()
main()
