"""docs/least-privilege.md says what is so: its commands run, in order, against a server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.live import Live

PAGE = (Path(__file__).parents[2] / "docs" / "least-privilege.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_pages_commands_run(live: Live, tmp_path: Path) -> None:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "KEYSCOPE_URL": live.url,
        "KEYSCOPE_API_KEY": live.first,
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "".join(BLOCKS)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert BLOCKS
