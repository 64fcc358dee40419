"""What Prefect reads when it is imported: the proxies, and the folder for its files."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from flows.orchestration.settings import reach_this_machine_directly, require_home

SERVERS = ("http://127.0.0.1:4200/api", "http://localhost:4200/api", "http://[::1]:4200/api")
PROXY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("variables", "direct"),
    [
        ({"http_proxy": PROXY}, False),
        ({"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": "corp.example, other"}, False),
        ({"ALL_PROXY": "127.0.0.1:9", "NO_PROXY": "corp.example", "no_proxy": "other"}, False),
        ({"ALL_PROXY": "socks5://127.0.0.1:9", "http_proxy": "nonsense://127.0.0.1:9"}, True),
        ({"HTTP_PROXY": PROXY, "NO_PROXY": "*"}, True),
    ],
)
def test_no_proxy_stands_between_this_program_and_its_server(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], direct: bool
) -> None:
    monkeypatch.setattr(os, "environ", dict(variables))
    reach_this_machine_directly()
    reach_this_machine_directly()
    with httpx.Client() as client:
        transports = {
            url: client._transport_for_url(httpx.URL(url)) for url in (*SERVERS, "http://a.example")
        }
        assert {transports[url] for url in SERVERS} == {client._transport}
        assert (transports["http://a.example"] is client._transport) is direct
    for name in {"NO_PROXY", "no_proxy"} & {*variables}:
        hosts = {host.strip() for host in variables[name].split(",")}
        assert hosts <= {*os.environ[name].split(",")}  # those of the user stay


@pytest.mark.parametrize("name", ["HOME", "PREFECT_HOME"])
def test_prefect_moves_into_the_store_only_if_it_cannot_write_its_own_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": os.defpath, name: str(tmp_path / "home")})
    assert require_home(tmp_path / "store") is None
    (tmp_path / "file").write_text("")
    os.environ[name] = str(tmp_path / "file" / "home")
    said = require_home(tmp_path / "store")
    assert said is not None
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "store" / ".prefect")
    assert os.environ["PREFECT_HOME"] in said
    os.environ |= {name: str(tmp_path / "file" / "home"), "PREFECT_HOME": str(tmp_path / "file" / "home")}
    assert str(require_home(tmp_path / "file" / "store")).endswith(os.environ["PREFECT_HOME"])
    assert list(Path(os.environ["PREFECT_HOME"]).iterdir()) == []
    Path(os.environ["PREFECT_HOME"]).rmdir()
