"""The weights of Mult-VAE: their products worked by hand, and no torch to serve them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from worlds.paths import IMPORTABLE

from models import artefact
from models.autoencoders.mult_vae import MultVAE
from models.autoencoders.mult_vae_config import MultVAEConfig
from models.autoencoders.mult_vae_weights import Weights, normalised
from models.dataset import Dataset
from models.errors import ModelError
from models.options import TrainingOptions

ARRAYS = {
    "input": [[1, 0], [0, 1], [2, 2]],
    "input_bias": [0.5, -0.5],
    "code": [[1, -1], [9, 9]],  # one latent: its mean, then its log variance
    "code_bias": [0.25, 9],
    "back": [[2], [-1]],
    "back_bias": [0, 1],
    "output": [[1, 0], [0, 1], [1, 1]],
    "output_bias": [0, 1, -1],
}
WEIGHTS = Weights(**{name: np.array(array, dtype=np.float32) for name, array in ARRAYS.items()})


def test_rows_get_length_one_and_empty_ones_stay_empty() -> None:
    rows = normalised(sparse.csr_array(np.array([[3, 4, 0], [0, 0, 0], [0, 0, 2]], dtype=np.float32)))
    np.testing.assert_allclose(rows.toarray(), [[0.6, 0.8, 0], [0, 0, 0], [0, 0, 1]])
    assert rows.dtype == np.float32


def test_the_layers_by_hand() -> None:
    hidden = WEIGHTS.last_hidden(sparse.csr_array(np.array([[3, 4, 0], [0, 0, 0]], dtype=np.float32)))
    # row 0: tanh(.6 + .5, .8 - .5) = tanh(1.1, .3); its mean code is their difference and .25
    codes = np.array([np.tanh(1.1) - np.tanh(0.3) + 0.25, np.tanh(0.5) - np.tanh(-0.5) + 0.25])
    expected = np.column_stack([np.tanh(2 * codes), np.tanh(1 - codes)])
    np.testing.assert_allclose(hidden, expected, rtol=1e-6)
    assert hidden.dtype == np.float32
    scores = WEIGHTS.scores(hidden)
    np.testing.assert_allclose(
        scores, np.column_stack([expected[:, 0], expected[:, 1] + 1, expected.sum(axis=1) - 1]), rtol=1e-5
    )
    assert scores.dtype == np.float32


def test_items_without_a_weight_have_zeros() -> None:
    wide = WEIGHTS.widened(np.array([True, False, True, True]))
    assert wide.input.tolist() == [[1, 0], [0, 0], [0, 1], [2, 2]]
    assert wide.output.tolist() == [[1, 0], [0, 0], [0, 1], [1, 1]]
    assert wide.output_bias.tolist() == [0, 0, 1, -1]
    assert wide.code is WEIGHTS.code
    assert WEIGHTS.widened(np.ones(3, dtype=np.bool_)) is WEIGHTS


@pytest.mark.parametrize(
    ("name", "array"), [("input_bias", np.zeros(3, np.float32)), ("output", np.zeros((3, 2), np.float64))]
)
def test_arrays_that_do_not_fit_are_refused(name: str, array: np.ndarray) -> None:
    assert Weights.of(WEIGHTS.arrays(), 3, 2, 1).arrays().keys() == ARRAYS.keys()
    with pytest.raises(ModelError, match=rf"expected {name} float32 .*, got {array.dtype}"):
        Weights.of(WEIGHTS.arrays() | {name: array}, 3, 2, 1)


def test_a_process_that_serves_does_not_import_torch(tmp_path: Path) -> None:
    dense = (np.arange(40)[:, None] + np.arange(12)) % 2 == 0
    data = sparse.csr_array(dense.astype(np.float32))
    config = MultVAEConfig(hidden=16, latent=4, epochs=2)
    model = MultVAE(config).fit(Dataset(data), TrainingOptions("cpu", threads=1))
    artefact.save(model, tmp_path / "model")
    served = (
        "import sys\nfrom pathlib import Path\nimport numpy as np\nfrom scipy import sparse\n"
        "from models import artefact\nfrom models.dataset import Histories\n"
        "model = artefact.load(Path(sys.argv[1]))\n"
        "dense = (np.arange(40)[:, None] + np.arange(12)) % 2 == 0\n"
        "histories = Histories(sparse.csr_array(dense.astype(np.float32)))\n"
        "model.recommend(histories, 3)\nmodel.similar_items(np.arange(12), 3)\nmodel.scores(histories)\n"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", served, str(tmp_path / "model")]
    environment = os.environ | {"PYTHONPATH": IMPORTABLE}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"
