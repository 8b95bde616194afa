"""An account as one looks in life: teams, agents, a pipeline; some keys suspended, revoked, about to end, refused."""

from __future__ import annotations

import time

from tests.live import Live

HOUR_MS = 3_600_000
READ_ALL = [
    f"{kind}:read"
    for kind in (
        "devboxes",
        "blueprints",
        "snapshots",
        "objects",
        "benchmarks",
        "scenarios",
        "repo_connections",
        "agents",
        "account",
    )
]


class Forest:
    """Grows it on a server."""

    def __init__(self, live: Live) -> None:
        self._live = live
        now_ms = int(time.time() * 1000)
        wide = ("devboxes:write", "objects:write", "blueprints:read", "snapshots:read", "account:write")
        self.team = live.mint(*wide, name="team-atlas")
        self.agents = [
            live.mint(
                "devboxes:write",
                "objects:read",
                name=f"agent-{number}",
                by=self.team["key_secret"],
                expires_at_ms=now_ms + number * 5 * HOUR_MS,
            )
            for number in (1, 2, 3)
        ]
        self.lead = live.mint("devboxes:write", "account:write", name="lead-agent", by=self.team["key_secret"])
        self.helper = live.mint("devboxes:read", name="helper", by=self.lead["key_secret"])
        self.reader = live.mint(*READ_ALL, name="dashboard")
        self.bare = live.mint("devboxes:read", name="bare")
        self.ci = live.mint(
            "devboxes:write",
            "blueprints:write",
            "objects:write",
            name="ci-nightly",
            expires_at_ms=now_ms + 60 * HOUR_MS,
        )
        self.old = live.mint("objects:read", name="export-2026-10")
        live.revoke(self.old["id"])
        live.call("POST", f"/v1/restricted_keys/{self.agents[2]['id']}/suspend", json={})
        self.standard = live.mint_standard(name="platform-team")
        self._use()

    def _use(self) -> None:
        agent = self.agents[0]["key_secret"]
        for _ in range(12):
            self._live.call("GET", "/v1/devboxes", agent)
        self._live.call("GET", "/v1/objects", agent)
        self._live.call("POST", "/v1/blueprints", agent, json={})
        self._live.call("POST", "/v1/devboxes", self.helper["key_secret"], json={})
        self._live.call("GET", "/v1/objects", self.old["key_secret"])
        self._live.call("GET", "/v1/devboxes", self.reader["key_secret"])

    def fresh(self) -> str:
        """The id of a new key."""
        made: str = self._live.mint("devboxes:read", name="fresh")["id"]
        return made

    def pages(self) -> list[str]:
        """Every page of the console, below it."""
        team, old, paused = self.team["id"], self.old["id"], self.agents[2]["id"]
        actions = ("change", "narrow", "observe", "rotate", "suspend", "revoke")
        return [
            "",
            "/keys",
            "/keys?kind=ak",
            "/keys?status=revoked&resource=objects",
            "/keys?q=nothing-is-called-this",
            "/keys/new",
            "/keys/new/standard",
            f"/keys/{team}",
            f"/keys/{self.helper['id']}",
            f"/keys/{old}",
            f"/keys/{old}/undelete",
            f"/keys/{paused}",
            f"/keys/{paused}/resume",
            f"/keys/{self.standard['id']}",
            f"/keys/{self.standard['id']}/change",
            *(f"/keys/{team}/{action}" for action in actions),
            "/can",
            f"/can?key={team}&method=GET&path=/v1/devboxes",
            f"/can?key={self.agents[0]['id']}&method=POST&path=/v1/blueprints",
            f"/can?key={old}&method=GET&path=/nowhere",
            "/audit",
            f"/audit?key={team}&verdict=denied&operation=createBlueprint",
            f"/keys/{team}/narrow?do=suggest",
            "/me",
            "/me/revoke",
        ]
