"""The files in ``deploy`` say what there is, fit together and the drain, and what they start does start."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
import msgspec
import pytest
import yaml
from scripts.programs import program

from tests.live import Live
from tests.operate import compose, kubernetes
from tests.operate.deployed import DEPLOY, ROOT, UPSTREAM, Start, image_environment, instructions, starts, unit
from tests.postgres import Databases
from tests.programs import requires_program
from tests.recorder import Recorder
from tests.valkey import KEEPS, Valkey

UNIT = DEPLOY / "systemd" / "keyscope.service"
NODE = DEPLOY / "systemd" / "node.conf"
"""What makes the unit that of a node."""
CONTAINERFILE = DEPLOY / "container" / "Containerfile"
COMPOSE = sorted((DEPLOY / "compose").glob("*.yaml"))
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
HIGHEST_EXPOSURE = 20
"""Of systemd's own scale of 0 to 100, where a unit without any hardening has 96."""
VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""Of Kubernetes, the oldest and the newest whose published schemas the manifests are held against."""
COMPOSE_SCHEMA = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
"""The Compose Specification's own."""
POD = "keyscope-0"
"""What a pod is called."""
AFTERWARDS_S = 2
"""What a process may need after its last answer."""


def unit_start(*more: Path) -> Start:
    """What the unit starts, with these files beside it."""
    found = [unit(file) for file in (UNIT, *more)]
    _, *words = shlex.split(found[-1]["ExecStart"][-1])
    variables = [part for settings in found for line in settings["Environment"] for part in shlex.split(line)]
    variables += (DEPLOY / "systemd" / "keyscope.env").read_text().splitlines()
    pairs = (line.partition("=") for line in variables if not line.startswith("#"))
    return Start(tuple(words), {name: value for name, _, value in pairs})


def image_start() -> Start:
    return Start(tuple(json.loads(dict(instructions(CONTAINERFILE))["CMD"])), image_environment())


def compose_start(file: Path) -> Start:
    service = compose.read(file).services["keyscope"]
    return Start(tuple(service.command), {**image_environment(), **service.environment})


def workload(file: Path) -> kubernetes.StatefulSet:
    found: kubernetes.StatefulSet = kubernetes.of_kind(kubernetes.read(file), kubernetes.StatefulSet)
    return found


def container(file: Path) -> kubernetes.Container:
    [one] = workload(file).spec.template.spec.containers
    return one


def pod_start(file: Path) -> Start:
    one = container(file)
    return Start(tuple(one.args), {**image_environment(), **{entry.name: entry.value or POD for entry in one.env}})


def all_starts() -> Iterator[tuple[str, Start]]:
    yield "systemd", unit_start()
    yield "systemd/node.conf", unit_start(NODE)
    yield "image", image_start()
    yield from ((f"compose/{file.name}", compose_start(file)) for file in COMPOSE)
    yield from ((f"kubernetes/{file.name}", pod_start(file)) for file in MANIFESTS)


STARTS = [pytest.param(start, id=name) for name, start in all_starts()]
ALONE = [pytest.param(start, id=name) for name, start in all_starts() if not start.is_of_nodes]
NODES = [pytest.param(start, id=name) for name, start in all_starts() if start.is_of_nodes]


@pytest.mark.parametrize("start", STARTS)
def test_every_option_and_variable_is_a_setting_with_a_value_that_it_takes(start: Start) -> None:
    assert start.settings().drain_s > 0
    assert start.settings().log_format == "json"


@pytest.mark.parametrize("start", ALONE)
def test_what_a_file_starts_does_start(start: Start, tmp_path: Path, upstream: Recorder) -> None:
    starts(start, tmp_path, upstream.url)


@pytest.mark.parametrize("start", NODES)
def test_what_a_file_of_nodes_starts_does_start(
    start: Start, tmp_path: Path, upstream: Recorder, databases: Databases
) -> None:
    (tmp_path / "valkey").mkdir()
    with Valkey(tmp_path / "valkey") as valkey:
        starts(start, tmp_path, upstream.url, databases.empty(), valkey.url)


def test_the_counters_of_a_compose_file_forget_nothing() -> None:
    command = compose.read(DEPLOY / "compose" / "nodes.yaml").services["valkey"].command
    given = dict(zip(command[1::2], command[2::2], strict=True))
    assert given == {f"--{name}": KEEPS[name] for name in ("appendonly", "maxmemory-policy")}


def test_one_node_at_a_time_is_taken_away() -> None:
    found = kubernetes.read(DEPLOY / "kubernetes" / "nodes.yaml")
    budget, nodes = (
        kubernetes.of_kind(found, kind).spec for kind in (kubernetes.PodDisruptionBudget, kubernetes.StatefulSet)
    )
    assert budget.selector.match_labels == nodes.selector.match_labels
    assert budget.max_unavailable < nodes.replicas


def ending_s(start: Start) -> float:
    """How long an end may take by the settings."""
    settings = start.settings()
    return settings.drain_s + settings.stop_s + AFTERWARDS_S


def test_whoever_ends_it_waits_for_the_drain_and_for_the_requests_after_it() -> None:
    found = unit(UNIT)
    assert found["KillMode"] == ["mixed"], "HAProxy must not be told by anybody but us"
    assert float(found["TimeoutStopSec"][0]) >= max(ending_s(unit_start()), ending_s(unit_start(NODE)))
    for file in COMPOSE:
        grace = compose.read(file).services["keyscope"].stop_grace_period
        assert float(grace.removesuffix("s")) >= ending_s(compose_start(file))
    for file in MANIFESTS:
        assert workload(file).spec.template.spec.termination_grace_period_seconds >= ending_s(pod_start(file))


@pytest.mark.parametrize("more", [(), (NODE,)], ids=["alone", "node"])
@requires_program("systemd-analyze")
def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path, more: tuple[Path, ...]) -> None:
    program_here = Path(sys.executable).with_name("keyscope")
    beside = tmp_path / f"{UNIT.name}.d"
    beside.mkdir()
    for file, place in ((UNIT, tmp_path), *((file, beside) for file in more)):
        text = file.read_text().replace("/opt/keyscope/.venv/bin/keyscope", str(program_here))
        (place / file.name).write_text(text.replace("file:///opt/keyscope/docs/operations.md", "man:keyscope(1)"))
    analyze = program("systemd-analyze")
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(tmp_path / UNIT.name)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    limit = f"--threshold={HIGHEST_EXPOSURE}"
    security = [analyze, "security", "--offline=yes", limit, "--no-pager", str(tmp_path / UNIT.name)]
    done = subprocess.run(security, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_image_is_made_of_files_that_are_here_and_of_no_registrys_own(tmp_path: Path) -> None:
    found = instructions(CONTAINERFILE)
    bases = [rest.split()[0] for name, rest in found if name == "FROM"]
    assert bases
    assert all(re.fullmatch(r"[a-z]+:[a-z0-9.-]+", base) for base in bases)
    users = [rest for name, rest in found if name == "USER"]
    assert [re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) is not None for user in users] == [True]
    for sources in (rest.split()[:-1] for name, rest in found if name == "COPY" and not rest.startswith("--from")):
        for source in sources:
            here = ROOT / source
            copied = tmp_path / source
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(here, copied) if here.is_dir() else shutil.copy(here, copied)
    # What the image installs is built of these files alone.
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "."]
    done = subprocess.run([*wheel, "-w", "out"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len([*(tmp_path / "out").glob("keyscope-*.whl")]) == 1


def test_the_images_health_check_says_what_readiness_says(new_directory: Callable[[], Path]) -> None:
    _, check = re.split(r" CMD ", dict(instructions(CONTAINERFILE))["HEALTHCHECK"])
    _, *words = json.loads(check)
    with Live(new_directory()) as live:
        words = [word.replace("8700", str(live.port)) for word in words]
        assert subprocess.run([sys.executable, *words], timeout=60, capture_output=True).returncode == 0
    assert subprocess.run([sys.executable, *words], timeout=60, capture_output=True).returncode != 0


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_a_compose_file_fits_together(file: Path) -> None:
    whole = compose.read(file)
    used = [secret for service in whole.services.values() for secret in service.secrets]
    assert set(used) == set(whole.secrets)
    mounted = [volume.split(":")[0] for service in whole.services.values() for volume in service.volumes]
    assert set(mounted) == set(whole.volumes)
    for service in whole.services.values():
        assert set(service.depends_on) <= set(whole.services)
        assert (service.read_only, service.cap_drop) == (True, ["ALL"]) or service.build is None
        if service.build is not None:
            assert (file.parent / service.build.context / service.build.dockerfile).resolve() == CONTAINERFILE


def check_published(manifests: str, version: str) -> None:
    """Hold all objects against the schemas of this version of Kubernetes: no unknown field, none of another type."""
    for document in yaml.safe_load_all(manifests):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_manifests_are_what_the_published_schemas_of_kubernetes_ask_for(file: Path, version: str) -> None:
    check_published(file.read_text(), version)


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_compose_files_are_what_the_published_schema_asks_for(file: Path) -> None:
    jsonschema.validate(yaml.safe_load(file.read_text()), COMPOSE_SCHEMA)


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_manifests_fit_together(file: Path) -> None:
    found, pods = kubernetes.read(file), workload(file).spec
    labels = pods.template.metadata["labels"]
    service = kubernetes.of_kind(found, kubernetes.Service).spec
    policy = kubernetes.of_kind(found, kubernetes.NetworkPolicy).spec
    assert labels == pods.selector.match_labels == service.selector == policy.pod_selector.match_labels
    one, pod = container(file), pods.template.spec
    assert pod.service_account_name == kubernetes.of_kind(found, kubernetes.ServiceAccount).metadata.name
    named = {port.name: port.container_port for port in one.ports}
    assert {port.target_port for port in service.ports} <= set(named)
    assert [port.port for rule in policy.ingress for port in rule.ports] == [named["http"]]
    volumes = {volume.name for volume in pod.volumes}
    claimed = {claim.metadata.name for claim in pods.volume_claim_templates}
    assert {mount.name for mount in one.volume_mounts} == volumes | claimed
    paths = [entry.value or "" for entry in one.env if entry.name.endswith("_FILE")]
    mounts = [mount.mount_path for mount in one.volume_mounts]
    assert all(any(path.startswith(mount + "/") for mount in mounts) for path in paths)


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_pods_have_no_powers(file: Path) -> None:
    pod, one = workload(file).spec.template.spec, container(file)
    user = dict(instructions(CONTAINERFILE))["USER"]
    assert f"{pod.security_context.run_as_user}:{pod.security_context.run_as_group}" == user
    assert pod.security_context.run_as_non_root
    assert not pod.automount_service_account_token
    assert not one.security_context.allow_privilege_escalation
    assert one.security_context.read_only_root_filesystem
    assert one.security_context.capabilities.drop == ["ALL"]


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_probes_ask_what_is_answered_and_the_drain_outlasts_them(file: Path, live: Live) -> None:
    one = container(file)
    for probe in (one.startup_probe, one.readiness_probe, one.liveness_probe):
        assert probe.http_get.port in [port.name for port in one.ports]
        with urllib.request.urlopen(live.url + probe.http_get.path, timeout=10) as answer:
            assert answer.status == 200
    ready, alive = one.readiness_probe, one.liveness_probe
    assert ready.http_get.path != alive.http_get.path, "a database that is away must not have the pod killed"
    assert pod_start(file).settings().drain_s > ready.period_seconds * ready.failure_threshold + ready.timeout_seconds


def test_a_field_that_kubernetes_or_compose_does_not_know_is_found(tmp_path: Path) -> None:
    text = (DEPLOY / "kubernetes" / "one-node.yaml").read_text()
    for wrong in ("replicas: many", "replica: 1", "replicas: 0"):
        with pytest.raises(msgspec.ValidationError):
            kubernetes.things(text.replace("replicas: 1", wrong, 1))
    (tmp_path / "wrong.yaml").write_text(
        (DEPLOY / "compose" / "one-node.yaml").read_text().replace("read_only: true", "readonly: true")
    )
    with pytest.raises(msgspec.ValidationError):
        compose.read(tmp_path / "wrong.yaml")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load((tmp_path / "wrong.yaml").read_text()), COMPOSE_SCHEMA)
    for version in VERSIONS:
        for wrong in ("replicas: many", "replica: 1"):
            with pytest.raises(kubernetes_validate.ValidationError):
                check_published(text.replace("replicas: 1", wrong, 1), version)


def test_the_files_name_the_upstream_that_the_tests_replace() -> None:
    assert all(UPSTREAM in f"{start.words} {start.environment}" for name, start in all_starts() if name != "image")
