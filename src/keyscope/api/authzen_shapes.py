"""AuthZEN's requests and replies, for the OpenAPI document. Requests are read by api/evaluation.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_EVALUATIONS = 1000


class Subject(BaseModel):
    """``{type: "key", id: <key id>}``."""

    type: str
    id: str
    properties: dict[str, Any] = {}


class Action(BaseModel):
    """An HTTP method, or the id of an operation."""

    name: str
    properties: dict[str, Any] = {}


class ResourceType(BaseModel):
    """``route`` or ``operation``."""

    type: str
    properties: dict[str, Any] = {}


class Resource(ResourceType):
    """``{type: "route", id: <path or template>}``; ``properties.body`` is the JSON body of the call."""

    id: str


class EvaluationRequest(BaseModel):
    subject: Subject
    action: Action
    resource: Resource
    context: dict[str, Any] = {}


class EvaluationDefaults(BaseModel):
    """One evaluation; what is absent here is taken from the request around it."""

    subject: Subject = Field(default=None)  # type: ignore[assignment]  # absent, never null
    action: Action = Field(default=None)  # type: ignore[assignment]
    resource: Resource = Field(default=None)  # type: ignore[assignment]
    context: dict[str, Any] = {}


class EvaluationOptions(BaseModel):
    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = "execute_all"


class EvaluationsRequest(EvaluationDefaults):
    """Without ``evaluations`` it is a single evaluation."""

    evaluations: Annotated[list[EvaluationDefaults], Field(max_length=MOST_EVALUATIONS)] = []
    options: EvaluationOptions = EvaluationOptions()


class Page(BaseModel):
    token: str = ""
    limit: Annotated[int, Field(ge=1)] = 1000


class ActionSearchRequest(BaseModel):
    subject: Subject
    resource: Resource
    context: dict[str, Any] = {}
    page: Page = Page()


class ResourceSearchRequest(BaseModel):
    subject: Subject
    action: Action
    resource: ResourceType
    context: dict[str, Any] = {}
    page: Page = Page()


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DecisionReply(_Reply):
    """A denial has a context: ``reason`` in words, ``reasons`` as codes, what is missing, and how to get it."""

    decision: bool
    context: dict[str, Any] | None = None


class DecisionsReply(_Reply):
    evaluations: list[DecisionReply]


class NextPage(_Reply):
    """``next_token`` is empty on the last page."""

    next_token: str


class FoundAction(_Reply):
    name: str


class FoundResource(_Reply):
    type: str
    id: str


class FoundActions(_Reply):
    results: list[FoundAction]
    page: NextPage


class FoundResources(_Reply):
    results: list[FoundResource]
    page: NextPage


class Configuration(_Reply):
    """AuthZEN PDP metadata."""

    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str
    search_action_endpoint: str
    search_resource_endpoint: str
