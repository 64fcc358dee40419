"""Two hundred hostile names as paths and ids: none escapes the store or names another file."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from worlds.dataset_world import AS_OF, Shop
from worlds.hostile_names import toml

from tasks.configuration.configuration import Configuration, load
from tasks.configuration.file import store_path
from tasks.runtime.errors import EXPECTED_ERRORS, StoreError
from tasks.sources.discovery import discover
from tasks.sources.source_files import fetch
from tasks.store.layout import Store
from tasks.store.names import checked_name, is_release_id
from tasks.store.run_folder import RunFolder

SOURCE = '[source]\npath = "logs"\n[source.columns]\nuser = "u"\nitem = "i"\ntimestamp = "t"\n'


def tree(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_no_name_is_an_id_that_escapes_the_store(names: list[str], tmp_path: Path) -> None:
    store = Store(tmp_path / "store").create()
    before = tree(tmp_path)
    accepted = set()
    for name in names:
        for path in (
            lambda name: RunFolder(store, "2026-03-10", name).root,
            lambda name: RunFolder(store, name, "r1").root,
            lambda name: RunFolder(store, "2026-03-10", "r1").model(name),
            store.tuning,
            store.ingest,
            store.release,
            lambda name: store.release(f"2026-03-10-{name}"),
            lambda name: store.report(f"2026-03-10-{name}"),
        ):
            with suppress(StoreError):
                made = path(name)
                accepted.add(name)
                assert made.resolve().is_relative_to(store.root.resolve())
                assert all(part.isascii() and not {*part} & {*" '\"%;\\"} for part in made.parts[-1:])
        assert not is_release_id(name)
    assert all(checked_name("name", name) for name in accepted)
    assert tree(tmp_path) == before


def test_a_store_of_any_path_stays_where_it_is(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[store] path is its author's choice: it is created or rejected, and nothing else."""
    config, made = tmp_path / "a" / "b" / "nightshelf.toml", 0
    config.parent.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in names:
        text = f"[store]\npath = {toml(name)}\n{SOURCE}"
        config.write_text(text, encoding="utf-8")
        try:
            root = store_path(config)
            assert load(config).store.path == root
            with suppress(PermissionError):  # /proc/1/root
                real = os.path.realpath(root)
            if not real.startswith(str(tmp_path)) or name.startswith(".."):
                continue  # devices, and folders outside this test
            Store(root).create()
        except EXPECTED_ERRORS:
            continue
        made += 1
        assert (Path(real) / "releases").is_dir(), name
    assert made > 100


@pytest.mark.parametrize("section", ["source", "items", "users"])
def test_a_path_of_logs_or_of_a_catalogue_is_read_as_files_or_rejected(
    section: str, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.sources.discovery import Search, files_under

    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    for name in names:
        if name.startswith(("http://", "s3://")) or is_foreign_folder(name, tmp_path):
            continue  # the network and the machine, which a configuration may name
        path = tmp_path / "nightshelf.toml"
        text = SOURCE.replace('"logs"', toml(name)) if section == "source" else SOURCE
        path.write_text(text, encoding="utf-8")
        with suppress(*EXPECTED_ERRORS):
            if section == "source":
                for file in discover(load(path).sources[0], date(2026, 3, 10)).files:
                    assert Path(file.address).is_file(), name
            else:
                files_under(name, Search(section, "auto"))


def is_foreign_folder(name: str, folder: Path) -> bool:
    """Return whether a path, relative to `folder`, is a folder outside it, or a pattern there."""
    name = os.path.expanduser(name)  # noqa: PTH111
    path = os.path.normpath(os.path.join(folder, name.split("*")[0]))  # noqa: PTH118 - as text
    return "\0" not in name and not path.startswith(f"{folder}/") and os.path.isdir(path)  # noqa: PTH112


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "gone", "loop"])
def test_a_log_that_is_not_a_regular_file_is_rejected(kind: str, tmp_path: Path) -> None:
    import socket

    from tasks.runtime.errors import InputError

    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.csv").write_text("u,i,t\n")
    entry, opened = logs / "b.csv", None
    if kind == "pipe":
        os.mkfifo(entry)
    elif kind == "socket":
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(str(entry))
    else:
        targets = {"device": "/dev/zero", "gone": "nowhere", "loop": "b.csv"}
        entry.symlink_to(targets[kind])
    source = {"columns": {"user": "u", "item": "i", "timestamp": "t"}}
    listed = [] if kind == "gone" else [str(logs), str(logs / "*.csv")]  # there, it is left out and reported
    for path in (*listed, str(entry)):
        configuration = Configuration.model_validate({"source": {**source, "path": path}})
        with pytest.raises(InputError, match=r"b\.csv"):
            discover(configuration.sources[0], AS_OF)
    if opened is not None:
        opened.close()


def test_no_name_of_a_log_names_another_file(tmp_path: Path) -> None:
    """To fsspec, `x::/path` is the file at /path, so a folder's name could name any file."""
    shop = Shop(tmp_path / "shop", None)
    (tmp_path / "elsewhere.csv").write_text("user,item,time\nsecret,i,2026-03-10 12:00:00\n")
    below = shop.folder / "logs" / "x::" / str(tmp_path).strip("/")
    below.mkdir(parents=True)
    (below / "elsewhere.csv").write_text("user,item,time\nown,i,2026-03-10 12:00:00\n")
    (shop.folder / "logs" / "simplecache::b.csv").write_text("user,item,time\nown,j,2026-03-10 12:00:00\n")
    files = discover(shop.configuration().sources[0], AS_OF).files
    texts = [fetch(file, tmp_path / "fetched").read_text() for file in files]
    assert len(texts) == 2
    assert all("own" in text and "secret" not in text for text in texts)
