"""The command `evaluate`: every split of the logs, and published protocols on files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner
from worlds.night_world import ALS, SECOND, Night, shop, write_logs

from flows.command_line import app

REFERENCES = ["random", "popularity", "recent_popularity", "item_knn"]


def evaluate(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("evaluated")
    return shop(folder, write_logs(folder / "logs"), models=ALS)


def test_the_named_model_and_the_references_are_measured_on_the_last_events(night: Night) -> None:
    arguments = ["--config", str(night.config), "--as-of", str(SECOND), "--model", "popularity", "--k", "4"]
    evaluated = evaluate(*arguments, "--against", "random", "--segments", "country", "--json")
    document = json.loads(evaluated.stdout)
    assert sorted(document["models"]) == sorted(REFERENCES)
    assert {(row["split"], row["k"]) for row in document["metrics"]} == {("temporal", 4)}
    (counts,) = document["counts"]
    assert counts["warm_users"] > 0
    assert counts["cold_users"] > 0
    (record,) = night.records()
    measured = {
        (row["model"], row["metric"]): (row["value"], row["ci_low"], row["ci_high"])
        for station in record.stations
        if station.kind == "measure"
        for row in station.facts["metrics"]
    }
    shown = {(row["model"], row["metric"]): row for row in document["metrics"]}
    for (model, metric), (value, _, _) in measured.items():
        assert shown[model, metric]["value"] == pytest.approx(value, abs=1e-12), (model, metric)
    compared = {row["model"]: row for row in document["comparisons"] if row["metric"] == "ndcg"}
    assert sorted(compared) == sorted(set(REFERENCES) - {"random"})
    for name, row in compared.items():
        difference = shown[name, "ndcg"]["value"] - shown["random", "ndcg"]["value"]
        assert row["difference"] == pytest.approx(difference)
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    by_country = [row for row in document["segments"] if (row["model"], row["metric"]) == ("random", "ndcg")]
    assert sum(row["users"] for row in by_country) == counts["warm_users"]
    assert not list((night.store.root / "releases").glob("*"))


def test_other_splits_are_printed_with_what_was_left_out(night: Night) -> None:
    arguments = ["--config", str(night.config), "--as-of", str(SECOND), "--model", "als"]
    shown = evaluate(
        *arguments, "--split", "random", "--set", "als.factors=2", "--segments", "activity"
    ).stdout
    assert "cold users" in shown
    for name in ("als", *REFERENCES):
        assert name in shown
    assert "By activity, at 5" in shown
    assert (
        "a random split lets models learn from the future" in evaluate(*arguments, "--split", "random").stderr
    )
    rolling = json.loads(evaluate(*arguments, "--split", "rolling", "--windows", "2", "--json").stdout)
    parts = [counts["part"] for counts in rolling["counts"]]
    assert len(parts) == 2
    assert parts == sorted(parts)
    assert {row["part"] for row in rolling["metrics"]} == {*parts, "mean"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "factors=3"], "expected model.key=value, such as als.factors=192, got 'factors'"),
        (["--set", "models.als=3"], "expected model.key=value, such as als.factors=192, got 'models.als'"),
        (["--set", "mult_vae.hidden=3"], "expected one of the models als, popularity"),
        (["--set", "als.factor=3"], "unknown key 'factor' in models.als"),
        (["--set", "models.als.factor=3"], "unknown key 'factor' in models.als"),
        (["--set", "als.factors.x=3"], "expected a table at factors, got 8"),
        (["--set", "evaluation.k=3"], "unknown key 'k' in [evaluation] (did you mean 'ks'?)"),
        (["--model", "asl"], "unknown model 'asl'"),
    ],
)
def test_mistakes_are_reported_before_anything_is_ingested(
    night: Night, tmp_path: Path, arguments: list[str], message: str
) -> None:
    options = ["--config", str(night.config), "--store", str(tmp_path / "new"), *arguments]
    assert message in evaluate(*options, code=1).stderr
    assert not (tmp_path / "new").exists()


def test_set_changes_settings_of_models_and_keys_of_the_configuration(night: Night, tmp_path: Path) -> None:
    arguments = ["--config", str(night.config), "--as-of", str(SECOND), "--store", str(tmp_path)]
    arguments += ["--model", "als", "--split", "leave-last-out", "--json"]

    def metrics(*lines: str) -> Any:
        changes = [word for line in lines for word in ("--set", line)]
        return json.loads(evaluate(*arguments, *changes).stdout)["metrics"]

    changed = metrics("als.factors=2", "evaluation.ks=[3]")
    assert {row["k"] for row in changed} == {3}
    assert metrics("models.als.factors=2", "evaluation.ks=[3]") == changed
    assert metrics("evaluation.ks=[3]") != changed


def ratings(folder: Path) -> Path:
    """Write ratings of two groups of users with different tastes; each first rating is low."""
    rows = ["user_id,item_id,rating,timestamp"]
    for user in range(60):
        for step in range(8):
            item = (user % 2) * 20 + (user * 7 + step * 3) % 20
            rows.append(f"{user},{item},{4 if step else 2},{1000 + step * 60 + user}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ratings.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_protocols_run_on_files_over_seeds(tmp_path: Path) -> None:
    data = ["--data", str(ratings(tmp_path))]
    shown: dict[str, Any] = json.loads(
        evaluate(
            "--protocol", "vae", *data, "--seeds", "2", "--model", "als", "--set", "als.factors=4", "--json"
        ).stdout
    )
    assert shown["models"] == ["als", *REFERENCES]
    means = [row for row in shown["metrics"] if row["part"] == "mean" and row["model"] == "als"]
    assert {("ndcg", 100), ("recall_min", 20), ("recall_min", 50)} <= {
        (row["metric"], row["k"]) for row in means
    }
    assert all(row["spread"] is not None for row in means)
    whole = evaluate("--protocol", "vae", *data, "--set", "evaluation.max_users=9", code=1)
    assert "expected a model's setting with --protocol" in whole.stderr
    time = evaluate("--protocol", "time", *data, "--k", "5", "--against", "random").stdout
    assert "Metrics at 5" in time
    assert "minus random" in time


def rated(folder: Path) -> Path:
    """Write ratings of 40 users, 4 or 5 for items of their parity, else 1 or 2."""
    rows = ["user_id,item_id,rating,timestamp"]
    for user in range(40):
        for step in range(14):
            item = (user * 7 + step * 3) % 30
            rating = (4 if user % 2 == item % 2 else 1) + (user + step) % 2
            rows.append(f"{user},{item},{rating},{1000 + step * 60 + user}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ratings.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_ratings_are_predicted_in_five_folds_and_after_a_cut(tmp_path: Path) -> None:
    data = ["--data", str(rated(tmp_path)), "--model", "funk_svd", "--set", "funk_svd.factors=4"]
    shown = json.loads(
        evaluate("--protocol", "ratings", *data, "--against", "global_effects", "--json").stdout
    )
    assert shown["models"] == ["funk_svd", "global_effects"]
    folds = [f"fold {number}" for number in range(1, 6)]
    assert [counts["part"] for counts in shown["counts"]] == folds
    assert sum(counts["hidden_ratings"] for counts in shown["counts"]) == 40 * 10  # pairs
    figures = {(row["model"], row["metric"], row["part"]): row for row in shown["metrics"]}
    for metric in ("rmse", "mae"):
        values = [figures["funk_svd", metric, part]["value"] for part in folds]
        mean = figures["funk_svd", metric, "mean"]
        assert mean["value"] == pytest.approx(sum(values) / 5)
        assert mean["spread"] > 0
        assert mean["value"] < figures["global_effects", metric, "mean"]["value"]
    assert all(row["difference"] < 0 for row in shown["comparisons"] if row["metric"] == "mse")
    printed = evaluate("--protocol", "ratings-time", *data, "--against", "global_effects").stdout
    assert "Metrics of ratings" in printed
    assert printed.index("funk_svd") < printed.index("global_effects")  # the least error first
    assert "Of ratings, minus global_effects" in printed
    two = json.loads(
        evaluate("--protocol", "ratings", "--data", str(tmp_path), "--seeds", "2", "--json").stdout
    )
    assert [counts["part"] for counts in two["counts"]][4:6] == ["seed 1, fold 5", "seed 2, fold 1"]


@pytest.mark.parametrize("protocol", ["ratings", "ratings-time"])
def test_a_model_that_predicts_no_ratings_is_refused(tmp_path: Path, protocol: str) -> None:
    data = ["--data", str(rated(tmp_path)), "--model", "als"]
    refused = evaluate("--protocol", protocol, *data, code=1).stderr
    assert (
        "expected a model that predicts ratings, such as funk_svd, global_effects, svd_pp, got als" in refused
    )


def test_the_ncf_protocol_leaves_out_what_its_files_cannot_train(tmp_path: Path) -> None:
    (tmp_path / "x.train.rating").write_text("0\t0\t5\n0\t2\t3\n1\t1\t4\n1\t2\t4\n")
    (tmp_path / "x.test.rating").write_text("0\t1\t5\n1\t0\t4\n")
    (tmp_path / "x.test.negative").write_text("(0,1)\t3\t4\n(1,0)\t3\t5\n")
    evaluated = evaluate("--protocol", "ncf", "--data", str(tmp_path), "--k", "2")
    assert "recent_popularity was not measured: expected sequences with timestamps" in evaluated.stderr
    assert "popularity" in evaluated.stdout


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("ncf", "expected one file *.train.rating* in {folder}, got 0; ncf reads X.train.rating"),
        ("vae", "expected one of ratings.parquet, ratings.csv, ratings.dat in {folder}, got none"),
        ("time", "time reads user_id, item_id, rating and timestamp"),
    ],
)
def test_missing_files_are_named(tmp_path: Path, protocol: str, message: str) -> None:
    evaluated = evaluate("--protocol", protocol, "--data", str(tmp_path), code=1)
    assert message.format(folder=tmp_path) in evaluated.stderr
    missing = evaluate("--protocol", protocol, "--data", str(tmp_path / "none"), code=1)
    assert "no such folder" in missing.stderr


def test_a_protocol_and_its_data_belong_together() -> None:
    assert "belong together" in evaluate("--protocol", "ncf", code=2).stderr
