"""A setting whose variable names a file: as service managers and container platforms hand over secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keyscope.errors import ConfigurationError
from keyscope.settings import parse_settings
from tests.engines import ENGINES
from tests.haproxy.inside import Inside, until
from tests.live import Live
from tests.recorder import Recorder


@pytest.mark.parametrize("engine", ENGINES)
def test_the_upstreams_key_may_come_from_a_file(
    upstream: Recorder, new_directory: Callable[[], Path], tmp_path: Path, engine: str
) -> None:
    (tmp_path / "key").write_text("upstream-secret\n")
    environment = {"KEYSCOPE_UPSTREAM_KEY_FILE": str(tmp_path / "key")}
    with Live(new_directory(), upstream=upstream.url, options=["--engine", engine], environment=environment) as live:
        if engine == "haproxy":
            until(Inside(live).is_judging)
        key = live.mint("devboxes:read")["key_secret"]
        upstream.take()
        assert live.call("GET", "/v1/devboxes", key).status_code == 200
        assert [seen.header("authorization") for seen in upstream.take()] == ["Bearer upstream-secret"]


def faults(**variables: str) -> str:
    with pytest.raises(ConfigurationError) as wrong:
        parse_settings({}, variables)
    return "\n".join(f"{fault.path}: {fault.message}" for fault in wrong.value.faults)


def test_what_is_wrong_with_such_a_file_is_said_and_its_content_is_not(tmp_path: Path) -> None:
    good, none, large, bad = (tmp_path / name for name in ("good", "none", "large", "bad"))
    good.write_text("8700")
    large.write_text("x" * 10_000)
    bad.write_text("sk_secret with spaces")
    assert "cannot be read: No such file" in faults(KEYSCOPE_PORT_FILE=str(none))
    assert "keep one of the two" in faults(KEYSCOPE_PORT_FILE=str(good), KEYSCOPE_PORT="8700")
    assert "larger than any setting" in faults(KEYSCOPE_PORT_FILE=str(large))
    assert "did you mean KEYSCOPE_PORT_FILE?" in faults(KEYSCOPE_PROT_FILE=str(good))
    said = faults(KEYSCOPE_UPSTREAM_KEY_FILE=str(bad), KEYSCOPE_PORT_FILE=str(bad))
    assert "KEYSCOPE_UPSTREAM_KEY_FILE: it has a space" in said
    assert "sk_secret" not in said


def test_an_option_wins_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("8701\n")
    environment = {"KEYSCOPE_PORT_FILE": str(tmp_path / "port")}
    assert parse_settings({}, environment).port == 8701
    assert parse_settings({"port": "8702"}, environment).port == 8702
