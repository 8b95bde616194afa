"""Drives the official Python client, whichever version PYTHONPATH gives, in a process of its own.

A job comes on stdin and the outcomes go to stdout, both JSON. The client is used as a customer uses it: its default
transport, its own retries. ``drive.mjs`` does the same for the TypeScript client.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from typing import Any

import runloop_api_client

SAMPLES: dict[str, Any] = {
    "allowed_tools": ["*"],
    "auth_mechanism": {"type": "bearer"},
    "content_type": "text",
    "file": ("a.txt", b"hello"),
    "input_context": {"problem_statement": "sum it up"},
    "origin": "USER_EVENT",
    "scoring_contract": {"scoring_function_parameters": []},
    "statements": [{"sql": "select 1"}],
    "statuses": ["completed"],
}
"""Arguments by name. Every other required one is a word."""


def arguments(function: Any, given: dict[str, Any]) -> dict[str, Any]:
    """What the call needs: the given arguments, and a sample for each other that has no default."""
    parameters = inspect.signature(function).parameters.values()
    needed = [p.name for p in parameters if p.default is inspect.Parameter.empty or p.name == "file"]
    return {**{name: SAMPLES.get(name, "sample-1") for name in needed}, **given}


def find(client: Any, method: str) -> Any:
    for part in method.split("."):
        client = getattr(client, part)
    return client


async def settle(value: Any) -> Any:
    """Wait for what must be waited for, and read a stream to its end."""
    if inspect.isawaitable(value):
        value = await value
    if isinstance(value, runloop_api_client.Stream):
        return [event.to_dict() for event in value]
    if isinstance(value, runloop_api_client.AsyncStream):
        return [event.to_dict() async for event in value]
    if hasattr(value, "aread"):
        return len(await value.aread())
    if hasattr(value, "read"):
        content = value.read()
        return len(await content if inspect.isawaitable(content) else content)
    return value


async def outcome(client: Any, call: dict[str, Any]) -> dict[str, Any]:
    """What one call did: ``error`` is the class that it raised, if any."""
    client.bearer_token = call["key"]
    function = find(client, call["method"])
    began = time.perf_counter()
    try:
        value = await settle(function(**arguments(function, call.get("arguments", {}))))
    except runloop_api_client.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "body": error.body, "text": str(error)}
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error)}
    finally:
        seconds = time.perf_counter() - began
    return {"error": None, "reply": value.to_dict() if hasattr(value, "to_dict") else None, "seconds": seconds}


async def drive(job: dict[str, Any]) -> list[dict[str, Any]]:
    kind = runloop_api_client.AsyncRunloop if job["asynchronous"] else runloop_api_client.Runloop
    client: Any = kind(bearer_token="unset", base_url=job["url"], _strict_response_validation=job["strict"])
    return [await outcome(client, call) for call in job["calls"]]


if __name__ == "__main__":
    outcomes = asyncio.run(drive(json.load(sys.stdin)))
    json.dump({"version": runloop_api_client.__version__, "outcomes": outcomes}, sys.stdout)
