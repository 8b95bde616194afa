"""Options as every command has them: each also from the environment as ``KEYSCOPE_<NAME>``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from keyscope.model.restriction.typed import duration_ms
from keyscope.model.run import is_instance_id
from keyscope.model.scope import Scope

F = TypeVar("F", bound=Callable[..., Any])


def option(name: str, *more: str, **settings: Any) -> Callable[[F], F]:
    """A click option with its environment variable."""
    variable = "KEYSCOPE_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, *more, envvar=variable, show_envvar=True, **settings)


as_json = option("--json", is_flag=True, help="Print JSON for programs.")


class Duration(click.ParamType[int]):
    """A length of time like ``8h``, ``90m`` or ``30d``, as milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return duration_ms(str(value))
        except ValueError as error:
            return self.fail(str(error), param, ctx)


class RunText(click.ParamType[str]):
    """``devbox=dbx_1``: what a key is bound to, as its id."""

    name = "devbox=id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word, _, identifier = str(value).partition("=")
        if word != "devbox" or not is_instance_id(identifier):
            self.fail(f"{value!r} is not a run: write devbox= and the id of one, like devbox=dbx_1", param, ctx)
        return identifier


class ScopeText(click.ParamType[Scope]):
    """A scope like ``devboxes:read``."""

    name = "type:level"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Scope:
        if isinstance(value, Scope):
            return value
        try:
            return Scope.parse(str(value))
        except ValueError as error:
            return self.fail(str(error), param, ctx)
