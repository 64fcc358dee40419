"""The check of a Prefect server that answers, and of one that does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tasks.monitoring import machine


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, *parts: Any) -> None:
        del parts


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_prefect_server_that_answers_is_ok(server: str) -> None:
    assert machine.server_check(f"{server}/api").found == f"the server at {server}/api answers"
    assert machine.server_check(f"{server}/api/").state == "ok"
    assert machine.server_check(f"{server}/other").found.endswith("answers (status 404)")


def test_a_prefect_server_that_does_not_answer_is_a_problem() -> None:
    with HTTPServer(("127.0.0.1", 0), Answering) as closed:
        port = closed.server_port
    check = machine.server_check(f"http://user:secret@127.0.0.1:{port}/api")
    assert check.state == "problem"
    assert "does not answer" in check.found
    assert "secret" not in check.found
    assert "unset PREFECT_API_URL" in check.advice
    assert machine.server_check("ftp://x/api").state == "problem"
