"""Attacks on `query`: whatever goes beyond a release's tables is rejected without effect."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from worlds.release_world import World

from tasks.release.query import query
from tasks.runtime.errors import UserError
from tasks.runtime.resources import Resources
from tasks.store.files import sha256_of

KEPT = "what another file holds"
READS = (
    "SELECT * FROM read_csv('{secret}.csv')", "FROM read_csv_auto('{secret}.csv')",
    "FROM '{secret}.csv'", "SELECT * FROM read_text('{secret}.csv')", "FROM read_blob('{secret}.csv')",
    "FROM glob('{folder}/*')", "FROM read_json('{secret}.csv')",
    "FROM read_json_objects('{secret}.csv')", "FROM read_ndjson('{secret}.csv')",
    "FROM read_parquet('{secret}.parquet')", "FROM parquet_scan('{secret}.parquet')",
    "FROM '{secret}.parquet'", "FROM parquet_metadata('{secret}.parquet')",
    "FROM parquet_schema('{secret}.parquet')", "FROM parquet_file_metadata('{secret}.parquet')",
    "FROM parquet_kv_metadata('{secret}.parquet')",
    "FROM parquet_bloom_probe('{secret}.parquet', 'x', 1)", "FROM sniff_csv('{secret}.csv')",
    "FROM read_single_csv_file('{secret}.csv')",
    "FROM read_duckdb('{secret}.duckdb', table_name := 'x')",
    "FROM query('SELECT * FROM read_text(''{secret}.csv'')')", "FROM query_table('{secret}.parquet')",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{secret}.csv'')'))",
    "SELECT (SELECT content FROM read_text('{secret}.csv'))",
    "FROM items WHERE title IN (FROM '{secret}.csv')",
    "WITH x AS MATERIALIZED (FROM read_text('{secret}.csv')) FROM x",
    "EXPLAIN ANALYZE FROM '{secret}.csv'", "DESCRIBE '{secret}.parquet'", "SUMMARIZE '{secret}.parquet'",
    "FROM items, LATERAL (FROM '{secret}.csv')", "SELECT * FROM read_text('/proc/self/environ')",
    "FROM read_text('/dev/stdin')", "FROM read_text('/etc/passwd')",
    "FROM '../../../../../../../../etc/passwd'", "FROM 'file://{secret}.csv'",
    "FROM read_text(['{secret}.csv'])", "SELECT getenv('HOME')", "FROM duckdb_secrets()",
    "FROM which_secret('s3://x', 's3')",
)  # fmt: skip
WRITES = (
    "COPY items TO '{canary}'", "COPY (SELECT 1) TO '{canary}' (FORMAT parquet)",
    "EXPORT DATABASE '{canary}'", "EXPLAIN ANALYZE COPY items TO '{canary}'", "ATTACH '{canary}'",
    "ATTACH '{secret}.duckdb' AS x", "COPY FROM DATABASE nightshelf TO memory",
    "IMPORT DATABASE '{folder}'", "CREATE TABLE x AS SELECT 1",
    "CREATE OR REPLACE VIEW items AS SELECT 1", "CREATE MACRO x() AS 1", "CREATE SECRET x (TYPE s3)",
    "CREATE PERSISTENT SECRET x (TYPE s3)", "CREATE SCHEMA x", "CREATE TYPE x AS INTEGER",
    "CREATE SEQUENCE x", "INSERT INTO items VALUES (1, 'x')", "UPDATE items SET title = 'x'",
    "DELETE FROM items", "DROP TABLE items", "TRUNCATE items", "ALTER TABLE items ADD COLUMN x INTEGER",
    "COMMENT ON TABLE items IS 'x'", "VACUUM", "ANALYZE",
    "MERGE INTO items USING items AS x ON (items.item_id = x.item_id) WHEN MATCHED THEN DELETE",
    "SELECT 1; COPY items TO '{canary}'", "BEGIN; DELETE FROM items; COMMIT", "CHECKPOINT",
    "FORCE CHECKPOINT", "FROM force_checkpoint()", "WITH x AS (DELETE FROM items RETURNING *) FROM x",
    "COPY items FROM '{secret}.csv'",
    "FROM enable_logging(storage := 'file', storage_path := '{canary}')", "PREPARE x AS SELECT 1",
    "EXECUTE x", "FROM enable_profiling(save_location := '{canary}')", "PRAGMA enable_profiling",
    "USE memory", "DETACH nightshelf",
)  # fmt: skip
SETTINGS = (
    "SET enable_external_access = true", "SET GLOBAL enable_external_access = true",
    "RESET enable_external_access", "SET lock_configuration = false", "RESET lock_configuration",
    "SET allowed_directories = ['/']", "SET allowed_paths = ['{secret}.csv']",
    "SET temp_directory = '{canary}'", "SET memory_limit = '100GB'",
    "SET extension_directory = '{canary}'", "SET allow_unsigned_extensions = true",
    "SET log_query_path = '{canary}'", "SET home_directory = '{folder}'",
    "SET secret_directory = '{canary}'", "PRAGMA memory_limit = '100GB'",
    "SET autoinstall_known_extensions = true", "SET python_enable_replacements = true",
    "SET VARIABLE x = 1",
)  # fmt: skip
NETWORK = (
    "INSTALL httpfs", "FORCE INSTALL httpfs FROM '{url}'", "LOAD httpfs", "INSTALL '{canary}'",
    "LOAD '{canary}'", "INSTALL x FROM community", "FROM '{url}/x.csv'", "FROM '{url}/x.parquet'",
    "FROM read_csv('{url}/x.csv')", "FROM read_text('{url}/x')", "FROM 's3://bucket/x.parquet'",
    "FROM 'hf://datasets/x/y.csv'", "ATTACH '{url}/x.duckdb'", "COPY items TO '{url}/x.csv'",
    "FROM postgres_scan('host=127.0.0.1', 'a', 'b')", "FROM sqlite_scan('{secret}', 'x')",
    "FROM delta_scan('{url}/x')", "FROM iceberg_scan('{url}/x')", "ATTACH 'ducklake:{canary}' AS x",
    "UPDATE EXTENSIONS", "CALL pragma_version()", "SELECT http_get('{url}')",
)  # fmt: skip


class Server(http.server.ThreadingHTTPServer):
    """Counts its requests."""

    requests = 0


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests += 1  # type: ignore[attr-defined]
        self.send_response(404)
        self.end_headers()

    do_HEAD = do_PUT = do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("release"))
    world.publish("2026-01-02")
    return world


def test_whatever_goes_beyond_the_release_is_rejected(world: World, server: Server, tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    secret, canary = tmp_path / "beside" / "secret", tmp_path / "canary"
    Path(f"{secret}.csv").write_text(f"x\n{KEPT}\n")
    pq.write_table(duckdb.sql(f"SELECT '{KEPT}' AS x").to_arrow_table(), f"{secret}.parquet")
    with duckdb.connect(f"{secret}.duckdb") as con:
        con.execute(f"CREATE TABLE x AS SELECT '{KEPT}' AS x")
    release = world.store.release("2026-01-02-r1")
    before = {path.name: sha256_of(path) for path in release.iterdir()}
    beside = sorted(tmp_path.rglob("*"))
    url = f"http://127.0.0.1:{server.server_address[1]}"
    attacks = [*READS, *WRITES, *SETTINGS, *NETWORK]
    assert len(attacks) >= 100
    for attack in attacks:
        sql = attack.format(secret=secret, canary=canary, folder=secret.parent, url=url)
        with pytest.raises(UserError) as refusal:  # on failure, `sql` shows which
            query(world.store, sql, resources=Resources.of(320 * 2**20, 2))
        assert "\n" not in str(refusal.value)
        assert 10 < len(str(refusal.value)) < 2000
        assert KEPT not in str(refusal.value)
    assert server.requests == 0
    assert sorted(tmp_path.rglob("*")) == beside
    assert {path.name: sha256_of(path) for path in release.iterdir()} == before


@pytest.mark.parametrize(
    "sql",
    [
        "FROM checkpoint()", "FROM truncate_duckdb_logs()", "SELECT write_log('x')", "FROM duckdb_settings()",
        "FROM duckdb_databases()", "SELECT current_setting('temp_directory')", "EXPLAIN ANALYZE FROM items",
        "FROM duckdb_external_resources()", "FROM duckdb_temporary_files()", "FROM pragma_database_size()",
    ],
)  # fmt: skip
def test_allowed_statements_that_look_alarming_change_no_file(world: World, sql: str) -> None:
    release = world.store.release("2026-01-02-r1")
    before = {path.name: sha256_of(path) for path in release.iterdir()}
    query(world.store, sql)
    assert {path.name: sha256_of(path) for path in release.iterdir()} == before


def test_settings_stay_locked_after_a_rejected_statement(world: World) -> None:
    """Each query has a new connection and inherits no settings from another."""
    for sql in ("SET enable_external_access = true", "SELECT 1; SET lock_configuration = false"):
        with pytest.raises(UserError):
            query(world.store, sql)
        with pytest.raises(UserError, match="Permission Error"):
            query(world.store, "FROM read_text('/etc/passwd')")
