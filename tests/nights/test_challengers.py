"""A night that tries challengers beside what served, on what the release before had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worlds.night_world import FIRST, SECOND, Night, failing_at

from flows.night.run import run_night
from tasks.incumbents.document import Challenger, Incumbent, Incumbents, Trial
from tasks.release.releases import current
from tasks.store.files import read_json, write_json_atomically

MODEL = "recent_popularity"
LEARNED = {"half_life_days": 2.0}
TRIED: dict[str, Any] = {
    "train__serve": MODEL,
    "train__models": [MODEL, "popularity"],
    "train__challengers": 2,
    "quality__min_users": 2,
}


def hand_on(night: Night) -> None:
    """Write into the first release that a learned half-life of the model served, with one on trial."""
    path = current(night.store).folder / "manifest.json"
    before = Trial(as_of=FIRST, users=10, incumbent=0.1, gain=0.01, error=0.05)
    waiting = Challenger(number=3, role="longer", settings={"half_life_days": 5.0}, trials=(before,))
    state = Incumbents(
        metric="ndcg@6", models={MODEL: Incumbent(settings=LEARNED, tried=3, challengers=(waiting,))}
    )
    served = {"default": MODEL, "by": "activity", "models": {}}
    path.chmod(0o644)
    facts = {"served": served, "incumbents": state.model_dump(mode="json")}
    write_json_atomically(path, {**read_json(path), **facts})


def test_a_night_judges_challengers_and_trains_with_what_was_learned(young: Night) -> None:
    hand_on(young)
    configuration = young.configured(**TRIED)
    try:
        run_night(configuration, SECOND, step=failing_at("incumbents", RuntimeError("the power failed")))
    except RuntimeError:
        first = states(young.records()[-1].folder(young.store).root)
    record = run_night(configuration, SECOND, resume="yes")
    assert [station.kind for station in record.stations][5:8] == ["holdout", "eve", "incumbents"]

    eve = record.station("eve").facts["contest"]
    assert (eve["model"], eve["judged"]) == (MODEL, str(FIRST))
    facts = record.station("incumbents").facts
    numbers = [row["challenger"] for row in facts["judged"]]
    assert numbers == [3, 4]
    assert facts["judged"][0]["nights"] == 2
    state = Incumbents.model_validate(facts["state"])
    assert (state.models[MODEL].settings, state.models[MODEL].tried) == (LEARNED, 4)

    run = record.folder(young.store).root
    assert states(run) == first, "a resumed night draws and trains the same"
    for folder in ("past-models", "models"):
        assert read_json(run / folder / f"{MODEL}.request.json")["settings"] == LEARNED
    manifest = current(young.store).manifest()
    assert manifest["incumbents"] == facts["state"]
    assert "half_life_days" not in str(manifest["configuration"]["models"])
    assert facts["judged"][0]["settings"] == "half_life_days 2.0 to 5.0"


def states(run: Path) -> list[dict[str, Any]]:
    """Return the settings of all contenders of a run, and what their lists were judged with."""
    return [read_json(path) for path in sorted((run / "eve-models").glob("*.request.json"))]
