"""The command `tune`: it searches a store's logs without the holdout, and resumes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner
from worlds.night_world import SECOND, Night, shop, write_logs

from flows.command_line import app
from tasks.configuration.configuration import load
from tasks.store.files import read_json


def tuned(night: Night, *arguments: str) -> dict[str, Any]:
    options = [
        "tune",
        "item_knn",
        "--config",
        str(night.config),
        "--as-of",
        str(SECOND),
        "--windows",
        "2",
        "--json",
    ]
    result = CliRunner().invoke(app, [*options, *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("tuned")
    return shop(folder, write_logs(folder / "logs", days=2))


@pytest.fixture(scope="module")
def searched(night: Night) -> dict[str, Any]:
    return tuned(night, "--trials", "4")


def test_the_search_resumes_without_another_ingest(night: Night, searched: dict[str, Any]) -> None:
    runs = len(night.records())
    snippet = night.folder / "tuned.toml"
    more = tuned(night, "--trials", "6", "--write", str(snippet))
    assert sum(more["trials"].values()) == 6
    assert more["study"] == searched["study"]
    assert more["configured_score"] == searched["configured_score"]
    assert len(night.records()) == runs
    (night.folder / "with.toml").write_text(night.config.read_text() + snippet.read_text())
    assert load(night.folder / "with.toml").models["item_knn"] == more["best"]


def test_the_content_of_the_holdout_changes_nothing(
    night: Night, searched: dict[str, Any], tmp_path: Path
) -> None:
    facts = read_json(Path(searched["study"]) / "windows.json")
    assert facts["cuts"] == sorted(facts["cuts"])
    assert facts["cuts"][-1] < facts["until"]
    changed_shop = shop(tmp_path, reversed_after(night.logs, tmp_path / "logs", facts["until"]))
    repeated = tuned(changed_shop, "--trials", "4")
    assert read_json(Path(repeated["study"]) / "windows.json") == facts
    for key in ("best", "best_score", "configured_score", "difference", "users", "trials"):
        assert repeated[key] == searched[key], key


def reversed_after(logs: Path, folder: Path, until: int) -> Path:
    """Copy logs with the items of events from `until` on reversed: other pairs, same timestamps."""
    from datetime import UTC, datetime

    folder.mkdir(parents=True)
    changed = 0
    for path in sorted(logs.iterdir()):
        if not path.name.startswith("events-"):
            (folder / path.name).write_bytes(path.read_bytes())
            continue
        with path.open(newline="") as file:
            header, *rows = list(csv.reader(file))
        columns = {name: number for number, name in enumerate(header)}

        def late(row: list[str], at: int = columns["event_time"], whole: int = len(header)) -> bool:
            if len(row) != whole:
                return False
            try:
                timestamp = datetime.fromisoformat(row[at])
            except ValueError:
                return False
            timestamp = timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
            return timestamp.timestamp() * 1e6 >= until

        chosen = [row for row in rows if late(row)]
        items = [row[columns["item_id"]] for row in chosen][::-1]
        for row, item in zip(chosen, items, strict=True):
            changed += row[columns["item_id"]] != item
            row[columns["item_id"]] = item
        with (folder / path.name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
    assert changed > 10
    return folder


@pytest.mark.parametrize("protocol", ["ncf", "vae", "time"])
def test_a_protocol_is_tuned_on_its_validation_alone(tmp_path: Path, protocol: str) -> None:
    def tune_protocol(folder: Path) -> dict[str, Any]:
        arguments = ["--protocol", protocol, "--data", str(folder), "--study", str(folder), "--k", "3"]
        result = CliRunner().invoke(app, ["tune", "item_knn", *arguments, "--trials", "3", "--json"])
        assert result.exit_code == 0, (result.output, result.exception)
        return {key: value for key, value in json.loads(result.stdout).items() if key != "study"}

    five, six = tmp_path / "five", tmp_path / "six"
    write_files(five, last=5)
    write_files(six, last=6)
    first, second = tune_protocol(five), tune_protocol(six)
    assert first["users"] > 0
    if protocol == "vae":  # it tests on other users, who occur throughout the file
        assert first["trials"] == second["trials"]
    else:
        assert first == second


@pytest.mark.parametrize("protocol", ["ratings", "ratings-time"])
def test_ratings_are_tuned_on_their_validation_alone(tmp_path: Path, protocol: str) -> None:
    """Test ratings of another value change nothing; the error is negated, as less is better."""

    def tune_protocol(folder: Path, metric: str) -> dict[str, Any]:
        arguments = [
            "--protocol",
            protocol,
            "--data",
            str(folder),
            "--study",
            str(folder),
            "--metric",
            metric,
        ]
        result = CliRunner().invoke(app, ["tune", "funk_svd", *arguments, "--trials", "3", "--json"])
        assert result.exit_code == 0, (result.output, result.exception)
        return {key: value for key, value in json.loads(result.stdout).items() if key != "study"}

    first, second = tmp_path / "first", tmp_path / "second"
    write_ratings(first, protocol, hidden=1)
    write_ratings(second, protocol, hidden=5)
    tuned = tune_protocol(first, "rmse")
    assert tuned == {**tune_protocol(second, "rmse"), "snippet": tuned["snippet"]}
    assert tuned["metric"] == "-mse"
    assert max(tuned["configured_score"], tuned["best_score"]) < 0
    assert tune_protocol(first, "mae")["metric"] == "-mae"


def write_ratings(folder: Path, protocol: str, hidden: int) -> None:
    """Write ratings of 30 users; the test ratings are all `hidden`."""
    folder.mkdir()
    pairs = [(user, (user * 3 + step * 7) % 40) for user in range(30) for step in range(12)]
    values = np.array([(1, 4)[(user + item) % 2] + item % 2 for user, item in pairs])
    if protocol == "ratings":
        fold_of = np.empty(len(pairs), dtype=np.int64)
        order = np.lexsort(np.array(pairs).T[::-1])  # ratings are dealt in order of users and items
        fold_of[order[np.random.default_rng(1).permutation(len(pairs))]] = np.arange(len(pairs)) % 5
        values[fold_of == 0] = hidden
    else:
        values[int(0.8 * len(pairs)) :] = hidden
    rows = [
        f"{user},{item},{value},{n}"
        for n, ((user, item), value) in enumerate(zip(pairs, values, strict=True))
    ]
    (folder / "ratings.csv").write_text("\n".join(["user_id,item_id,rating,timestamp", *rows]) + "\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["als", "--protocol", "ratings"], "expected a model that predicts ratings, such as funk_svd"),
        (["global_effects", "--protocol", "ratings"], "global_effects has nothing to tune"),
        (["funk_svd", "--protocol", "ratings", "--metric", "ndcg"], "errors are for ratings"),
        (["als", "--protocol", "time", "--metric", "rmse"], "errors are for ratings"),
    ],
)
def test_errors_and_ratings_belong_together(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_ratings(tmp_path / "data", "ratings", hidden=1)
    result = CliRunner().invoke(app, ["tune", *arguments, "--data", str(tmp_path / "data")])
    assert result.exit_code in {1, 2}
    assert message in " ".join(result.stderr.replace("│", " ").split())


def write_files(folder: Path, last: int) -> None:
    """Write files of all protocols; `last` decides every user's last event, the test event."""
    folder.mkdir()
    rows, train, test, negative = [], [], [], []
    for user in range(40):
        items = [(user % 2) * 3 + (user + step) % 9 for step in range(8)]
        for step, item in enumerate(items):
            rows.append(f"{user},{item},4,{1000 + step * 60 + user}")
            train.append(f"{user}\t{item}\t4")
        rows.append(f"{user},{(user + last) % 12},4,{9000 + user}")
        item_id = 12 + (user + last) % 3
        test.append(f"{user}\t{item_id}\t4")
        negative.append(f"({user},{item_id})\t" + "\t".join(str(15 + number) for number in range(4)))
    (folder / "ratings.csv").write_text("user_id,item_id,rating,timestamp\n" + "\n".join(rows) + "\n")
    (folder / "x.train.rating").write_text("\n".join(train) + "\n")
    (folder / "x.test.rating").write_text("\n".join(test) + "\n")
    (folder / "x.test.negative").write_text("\n".join(negative) + "\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["popularity"], "popularity has nothing to tune; expected one of als"),
        (["asl"], "unknown model 'asl'"),
    ],
)
def test_a_model_that_cannot_be_tuned_is_reported_before_any_ingest(
    night: Night, tmp_path: Path, arguments: list[str], message: str
) -> None:
    options = ["tune", *arguments, "--config", str(night.config), "--store", str(tmp_path / "new")]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "new").exists()
