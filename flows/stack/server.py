"""Questions to a Prefect server, without Prefect, which takes a second to import."""

from __future__ import annotations

import flows.orchestration.settings  # noqa: F401 - no proxy between this program and its server

# isort: split
import base64
import json
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 10.0  # seconds to wait for an answer


@dataclass
class Server:
    """The API of a Prefect server: `auth` is its `user:password`, if it wants one."""

    api: str
    auth: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.headers["Content-Type"] = "application/json"
        if self.auth:
            self.headers["Authorization"] = f"Basic {base64.b64encode(self.auth.encode()).decode()}"

    def get(self, path: str) -> Any:
        """Return the answer; OSError or ValueError if there is none."""
        return self._answer(urllib.request.Request(f"{self.api}/{path}", headers=self.headers))  # noqa: S310

    def post(self, path: str, body: Any) -> Any:
        """Return the answer to a document, sent with the token that a server may want with it."""
        client = str(uuid.uuid4())
        headers = {"Prefect-Csrf-Client": client}
        try:
            headers["Prefect-Csrf-Token"] = self.get(f"csrf-token?client={client}")["token"]
        except urllib.error.HTTPError:  # the server does not want one
            headers = {}
        data = json.dumps(body).encode()
        return self._answer(urllib.request.Request(f"{self.api}/{path}", data, self.headers | headers))  # noqa: S310

    def is_healthy(self) -> bool:
        """Return whether the server reports to be healthy, given the password."""
        try:
            return bool(self.get("health"))
        except (OSError, ValueError):
            return False

    @staticmethod
    def _answer(request: urllib.request.Request) -> Any:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return json.loads(answer.read())
