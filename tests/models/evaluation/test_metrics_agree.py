"""The metrics agree with ranx (Bassani 2022), an independent implementation, user by user.

ranx runs in its own process without its compiler, which would take most of a minute for these few
lists.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from models.evaluation.metrics import match_lists

KS = (1, 5, 10, 50)
SAME = ("ndcg", "recall", "precision", "hit_rate", "mrr", "map")
RANX = """
import sys
import numpy as np
from ranx import Qrels, Run, evaluate
data = np.load(sys.argv[1])
qrels, run = {}, {}
for user, listed in enumerate(data["lists"]):
    qrels[f"u{user:03}"] = {f"i{item}": 1 for item in np.flatnonzero(data["relevant"][user])}
    run[f"u{user:03}"] = {f"i{item}": 1.0 - rank / 100 for rank, item in enumerate(listed) if item >= 0}
names = sys.argv[3:]
values = evaluate(Qrels(qrels), Run(run), names, return_mean=False)
np.savez(sys.argv[2], **values)
"""


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Return lists of 50 out of 200 items, some short, and 1 to 80 relevant items per user."""
    rng = np.random.default_rng(3)
    lists = np.argsort(rng.random((150, 200)), axis=1)[:, :50].astype(np.int32)
    for user, length in enumerate(rng.integers(1, 51, 150)):
        if user % 3 == 0:
            lists[user, length:] = -1
    relevant = rng.random((150, 200)) < rng.uniform(0, 0.4, 150)[:, None]
    relevant[np.arange(150), rng.integers(0, 200, 150)] = True
    return lists, relevant


def test_every_ranking_metric_agrees_with_ranx(tmp_path: Path) -> None:
    lists, relevant = drawn()
    np.savez(tmp_path / "data.npz", lists=lists, relevant=relevant)
    names = [f"{name}@{k}" for name in SAME for k in KS]
    command = [sys.executable, "-c", RANX, str(tmp_path / "data.npz"), str(tmp_path / "values.npz"), *names]
    subprocess.run(command, check=True, env=os.environ | {"NUMBA_DISABLE_JIT": "1"})
    matches = match_lists(lists, sparse.csr_array(relevant.astype(np.float32)), KS)
    ours = matches.values()
    with np.load(tmp_path / "values.npz") as theirs:
        for name, k in [(name, k) for name in SAME for k in KS]:
            expected = theirs[f"{name}@{k}"]
            if name == "map":  # ranx divides by n, this project by min(n, k)
                expected = expected * matches.relevant / np.minimum(matches.relevant, k)
            np.testing.assert_allclose(ours[name, k], expected, atol=1e-9, rtol=0, err_msg=f"{name}@{k}")
            ratio = matches.relevant / np.minimum(matches.relevant, k)
            if name == "recall":
                np.testing.assert_allclose(ours["recall_min", k], expected * ratio, atol=1e-9, rtol=0)
            assert 0 < expected.mean() < 1 or (name, k) == ("hit_rate", 50), (
                "the lists must distinguish the metrics"
            )


@pytest.mark.parametrize("k", KS)
def test_the_two_recalls_differ_for_users_with_more_than_k_relevant_items(k: int) -> None:
    lists, relevant = drawn()
    matches = match_lists(lists, sparse.csr_array(relevant.astype(np.float32)), KS)
    ours = matches.values(["recall", "recall_min"])
    differ = (matches.relevant > k) & (matches.hits[matches.row(k)] > 0)
    assert (ours["recall", k][differ] < ours["recall_min", k][differ]).all()
    np.testing.assert_array_equal(
        ours["recall", k][matches.relevant <= k], ours["recall_min", k][matches.relevant <= k]
    )
