"""A night leaves no secrets of the environment, of URLs or of the configuration anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from worlds.command_calls import MAIN
from worlds.erasure_world import unpacked
from worlds.night_world import FIRST, TEXT, Night, shop, write_logs
from worlds.paths import IMPORTABLE, WORLDS

from tasks.runtime import redaction
from tasks.runtime.errors import UserError
from tasks.runtime.redaction import clean, note_secrets, redacted

CANARY = "cnry"  # part of every planted secret, and of nothing else
ENVIRONMENT = {
    "PREFECT_API_KEY": "cnry-key-01",
    "PREFECT_SERVER_API_AUTH_STRING": "admin:cnry-auth-02",
    "PREFECT_SERVER_DATABASE_PASSWORD": "cnry-database-03",
    "NIGHTSHELF_WEBHOOK_URL": "https://hooks.example.org/services/T000/cnryhook04",
    "HTTPS_PROXY": "http://proxyuser:cnry%2Fproxy-05@127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
    "AWS_SECRET_ACCESS_KEY": "cnry/aws+06",
    "PGPASSWORD": "cnry-pg-07",
    "POSTGRES_DSN": "postgresql://prefect:cnry-dsn-08@127.0.0.1:9/prefect",
    "STORAGE_SECRET": "cnry-storage-09",
    "CATALOGUE_LOGIN": "shop:cnry-login-10",
}
SPARK = """
[engine.spark_settings]
"spark.hadoop.fs.s3a.secret.key" = "${STORAGE_SECRET}"
"spark.hadoop.fs.azure.account.key.shop.example" = "cnry-azure-11"
"spark.ssl.keyPassword" = "cnry-ssl-12"
"""


def configured(folder: Path, logs: Path, host: str) -> Night:
    """Write a configuration with secrets in settings and in the URL of a catalogue."""
    address = f"shop://${{{{CATALOGUE_LOGIN}}}}@{host}{logs}/items.csv?token=cnry-token-13&page=1"
    text = TEXT.replace("{logs}/items.csv", address)
    text = text.replace("[source]", SPARK.replace("{", "{{").replace("}", "}}") + "[source]", 1)
    text = text.replace('models = ["als", "popularity"]', 'models = ["popularity"]\nserve = "popularity"')
    return shop(folder, logs, text.replace("[report]\nenabled = false", "[report]\nenabled = true"))


def leaks(root: Path) -> list[str]:
    """Return the files under a folder that hold a planted secret."""
    leaked = []
    for path in [path for path in sorted(root.rglob("*")) if path.is_file()]:
        texts = [("bytes", path.read_bytes().decode("latin-1")), *unpacked(path)]
        leaked += [f"{path}: {where}: {_around(text)}" for where, text in texts if CANARY in text.lower()]
    return leaked


def _around(text: str) -> str:
    at = text.lower().find(CANARY)
    return repr(text[max(0, at - 100) : at + 60])


def command(*arguments: str, code: int = 0) -> str:
    """Run a command with the secrets in its environment; return everything it printed."""
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": IMPORTABLE}
    finished = subprocess.run(
        [*MAIN, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == code, finished.stderr
    return finished.stdout + finished.stderr


@pytest.mark.prefect
@pytest.mark.parametrize("form", ["text", pytest.param("json", marks=pytest.mark.torture)])
def test_published_refused_and_broken_nights_leave_no_secret(
    form: str, prefect_server: str, tmp_path: Path
) -> None:
    from prefect.settings import get_current_settings

    logs = write_logs(tmp_path / "logs", days=1)
    night, unreachable = (configured(tmp_path / host, logs, host) for host in ("open", "closed"))
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": IMPORTABLE, "PREFECT_API_URL": prefect_server}
    arguments = [WORLDS / "leaky_nights.py", night.config, unreachable.config, FIRST, *ENVIRONMENT]
    finished = subprocess.run(
        [sys.executable, "-P", *map(str, arguments)],
        env=environment | {"NIGHTSHELF_LOG": form}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "cannot go on with" in finished.stdout
    assert "items.csv" in finished.stdout
    assert "refused" in finished.stdout
    assert [record.state for record in night.records()] == ["published", "failed"]
    printed = finished.stdout + finished.stderr
    for query in (["status"], ["releases"], ["query", "FROM release_info"]):
        printed += command(*query, "--store", str(night.store.root))
    printed += command("query", "SELECT getenv('PGPASSWORD')", "--store", str(night.store.root), code=1)
    malformed = (
        night.config.read_text().replace('"cnry-ssl-12"', '["cnry-ssl-12"]').replace("[gate]", "[gat]")
    )
    (tmp_path / "broken.toml").write_text(malformed)
    printed += command("run", "--no-prefect", "--config", str(tmp_path / "broken.toml"), code=1)
    assert CANARY not in printed.lower(), _around(printed)
    assert leaks(night.store.root) == []
    assert leaks(unreachable.store.root) == []
    database = get_current_settings().server.database.connection_url.get_secret_value().partition("///")[2]
    stored = [path for path in Path(database).parent.glob(f"{Path(database).name}*") if path.is_file()]
    kept = b"".join(path.read_bytes() for path in stored)
    assert b"cannot go on with" in kept
    assert CANARY.encode() not in kept.lower(), _around(kept.decode("latin-1"))


def test_a_secret_is_recognised_by_position_and_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(redaction, "_CONFIGURED", set())
    note_secrets({"engine": {"spark_settings": {"a.account.key.shop": "cnry-azure-11", "n": "cnry-plain"}}})
    shown = redacted(
        {
            "by place": ["http://u:cnry-a@host/x?sig=cnry-b", {"spark.ssl.keyPassword": "cnry-c"}],
            "by itself": [
                "a cnry-azure-11b",
                "cnry-auth-02",
                "cnry/proxy-05",
                "T000/cnryhook04",
                "cnry/aws+06",
            ],
            "token": {"of": "a structure"},
        }
    )
    assert CANARY not in str(shown)
    assert shown["token"] == {"of": "a structure"}
    assert redacted("cnry-plain and admin") == "cnry-plain and admin"
    assert str(UserError("no cnry-pg-07")) == "no ***"


def test_an_exception_keeps_its_type_and_loses_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "cnry-pg-07")

    def fail() -> None:
        try:
            raise OSError(5, "broken by cnry-pg-07", "/logs")
        except OSError as cause:
            raise KeyError("cnry-pg-07", 7) from cause

    with pytest.raises(KeyError) as caught:
        fail()
    error = caught.value
    clean(error)
    assert error.args == ("***", 7)
    assert isinstance(error.__cause__, OSError)
    assert error.__cause__.errno == 5
    assert CANARY not in str(error.__cause__.args)
