"""The objects of ``deploy/kubernetes`` as strict types: an unknown field, or one of another type, is refused.

Only what these files use is here, with the names and types of the API reference (https://kubernetes.io/docs/reference/);
``test_deploy`` also holds them against the whole schemas that Kubernetes publishes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from msgspec import Meta, Struct, convert

Name = Annotated[str, Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Quantity = Annotated[str, Meta(pattern=r"^[0-9]+(m|Ki|Mi|Gi)?$")]
Port = Annotated[int, Meta(ge=1, le=65535)]
Labels = dict[str, Annotated[str, Meta(max_length=63)]]
Seconds = Annotated[int, Meta(ge=1)]


class Part(Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """A part of an object."""


class Metadata(Part):
    name: Name
    labels: Labels = {}


class Selector(Part):
    match_labels: Labels


class FieldRef(Part):
    field_path: Literal["metadata.name"]


class ValueFrom(Part):
    field_ref: FieldRef


class EnvVar(Part):
    name: str
    value: str | None = None
    value_from: ValueFrom | None = None


class ContainerPort(Part):
    name: Name
    container_port: Port


class HttpGet(Part):
    path: str
    port: Port | Name


class Probe(Part):
    http_get: HttpGet
    period_seconds: Seconds = 10
    timeout_seconds: Seconds = 1
    failure_threshold: Seconds = 3


class Resources(Part):
    requests: dict[Literal["cpu", "memory", "storage"], Quantity] = {}
    limits: dict[Literal["cpu", "memory"], Quantity] = {}


class Capabilities(Part):
    drop: list[str]


class ContainerSecurity(Part):
    allow_privilege_escalation: bool
    read_only_root_filesystem: bool
    capabilities: Capabilities


class Mount(Part):
    name: Name
    mount_path: str
    read_only: bool = False


class Container(Part):
    name: Name
    image: str
    args: list[str]
    env: list[EnvVar]
    ports: list[ContainerPort]
    startup_probe: Probe
    readiness_probe: Probe
    liveness_probe: Probe
    resources: Resources
    security_context: ContainerSecurity
    volume_mounts: list[Mount]


class SecretVolume(Part):
    secret_name: Name
    default_mode: Annotated[int, Meta(ge=0, le=0o777)]


class EmptyDir(Part):
    medium: Literal["", "Memory"] = ""


class Volume(Part):
    name: Name
    secret: SecretVolume | None = None
    empty_dir: EmptyDir | None = None


class Seccomp(Part):
    type: Literal["RuntimeDefault"]


class PodSecurity(Part):
    run_as_non_root: bool
    run_as_user: Annotated[int, Meta(ge=1)]
    run_as_group: Annotated[int, Meta(ge=1)]
    fs_group: Annotated[int, Meta(ge=1)]
    seccomp_profile: Seccomp


class Spread(Part):
    max_skew: Annotated[int, Meta(ge=1)]
    topology_key: str
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    label_selector: Selector


class PodSpec(Part):
    service_account_name: Name
    automount_service_account_token: bool
    termination_grace_period_seconds: Seconds
    security_context: PodSecurity
    containers: list[Container]
    volumes: list[Volume]
    topology_spread_constraints: list[Spread] = []


class PodTemplate(Part):
    metadata: Annotated[dict[Literal["labels"], Labels], Meta(min_length=1)]
    spec: PodSpec


class ClaimSpec(Part):
    access_modes: list[Literal["ReadWriteOnce", "ReadWriteOncePod"]]
    resources: Resources


class Claim(Part):
    metadata: Metadata
    spec: ClaimSpec


class StatefulSpec(Part):
    replicas: Annotated[int, Meta(ge=1)]
    selector: Selector
    template: PodTemplate
    service_name: Name
    volume_claim_templates: list[Claim]
    pod_management_policy: Literal["OrderedReady", "Parallel"] = "OrderedReady"


class ServicePort(Part):
    name: Name
    port: Port
    target_port: Port | Name


class ServiceSpec(Part):
    selector: Labels
    ports: list[ServicePort]


class PolicyPort(Part):
    protocol: Literal["TCP", "UDP"]
    port: Port


class Rule(Part):
    ports: list[PolicyPort]


class NetworkPolicySpec(Part):
    pod_selector: Selector
    policy_types: list[Literal["Ingress", "Egress"]]
    ingress: list[Rule]
    egress: list[Rule]


class BudgetSpec(Part):
    max_unavailable: Annotated[int, Meta(ge=1)]
    selector: Selector


class ServiceAccount(Part, tag_field="kind", tag="ServiceAccount"):
    api_version: Literal["v1"]
    metadata: Metadata
    automount_service_account_token: bool


class Service(Part, tag_field="kind", tag="Service"):
    api_version: Literal["v1"]
    metadata: Metadata
    spec: ServiceSpec


class StatefulSet(Part, tag_field="kind", tag="StatefulSet"):
    api_version: Literal["apps/v1"]
    metadata: Metadata
    spec: StatefulSpec


class NetworkPolicy(Part, tag_field="kind", tag="NetworkPolicy"):
    api_version: Literal["networking.k8s.io/v1"]
    metadata: Metadata
    spec: NetworkPolicySpec


class PodDisruptionBudget(Part, tag_field="kind", tag="PodDisruptionBudget"):
    api_version: Literal["policy/v1"]
    metadata: Metadata
    spec: BudgetSpec


Thing = ServiceAccount | Service | StatefulSet | NetworkPolicy | PodDisruptionBudget


def things(text: str) -> list[Thing]:
    """All objects of a file. Raises ValidationError for what Kubernetes would refuse, with the path in it."""
    return [as_thing(document) for document in yaml.safe_load_all(text)]


def as_thing(document: Any) -> Thing:
    found: Thing = convert(document, Thing)
    return found


def of_kind(found: list[Thing], kind: type[Any]) -> Any:
    """The one object of a kind."""
    [one] = [thing for thing in found if isinstance(thing, kind)]
    return one


def read(file: Path) -> list[Thing]:
    return things(file.read_text())
