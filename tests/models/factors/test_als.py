"""ALS against the equations of the papers and against the library implicit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from models.contract.worlds import matrix, random_world
from models.dataset import Dataset, Histories
from models.errors import ModelError
from models.factors import als_checkpoint
from models.factors.als import ALS, ALSConfig
from models.factors.least_squares import cpu_solver, row_problems, solving
from models.options import Progress, TrainingOptions

CONFIG = ALSConfig(factors=6, regularization=0.02, alpha=2.0, unobserved_weight=0.5, iterations=4)
PLAIN = {"unobserved_weight": 1.0, "regularization_exponent": 0.0}  # the loss of Hu et al.
Doubles = npt.NDArray[np.float64]


def als(**changes: object) -> ALSConfig:
    return ALSConfig(**CONFIG.model_dump() | changes)


def confidence(weights: Doubles, config: ALSConfig) -> Doubles:
    return config.unobserved_weight + config.alpha * weights


def penalty(total: Doubles, config: ALSConfig) -> Doubles:
    return config.regularization * total**config.regularization_exponent


def loss(model: ALS, world: Dataset) -> float:
    """Return the minimised loss in float64, over all pairs of trained users and items."""
    trained = world.matrix.toarray().astype(np.float64)[~world.histories.empty][:, model.trained_items]
    users = model.vectors(world.histories)[~world.histories.empty].astype(np.float64)
    items = model.item_vectors()[model.trained_items].astype(np.float64)
    c = confidence(trained, model.config)
    fit = (c * ((trained > 0) - users @ items.T) ** 2).sum()
    squares = penalty(c.sum(axis=1), model.config) @ (users**2).sum(axis=1)
    return float(fit + squares + penalty(c.sum(axis=0), model.config) @ (items**2).sum(axis=1))


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("factors", [6, 40])
def test_a_history_is_folded_in_by_equation_4(exponent: float, factors: int) -> None:
    """Rows with fewer entries than factors are solved differently from rows with more."""
    config = als(regularization_exponent=exponent, factors=factors)
    model = ALS(config).fit(random_world())
    new = np.zeros((4, 60))
    new[0, [1, 5, 30]] = [1, 2, 3]
    new[2] = 1
    new[2, -2:] = 0
    new[3, ::3] = 0.1
    vectors = model.vectors(Histories(matrix(new)))
    y = model.item_vectors().astype(np.float64)[:-2]
    for history, vector in zip(new[:, :-2], vectors, strict=True):
        c = confidence(history, config)
        left = (y.T * c) @ y + penalty(c.sum(), config) * np.eye(factors)
        np.testing.assert_allclose(vector, np.linalg.solve(left, y.T @ (c * (history > 0))), atol=2e-5)
    assert (vectors[1] == 0).all()


def test_an_untrained_item_in_a_history_changes_nothing() -> None:
    model = ALS(CONFIG).fit(random_world())
    known, more = np.zeros((2, 1, 60))
    known[0, [3, 8]] = more[0, [3, 8, 59]] = 1
    vectors = [model.vectors(Histories(matrix(history))) for history in (known, more)]
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-5)


def test_users_and_items_without_weights_change_nothing() -> None:
    world = random_world()
    weights = world.matrix.toarray()
    trained = ~world.histories.empty
    small = Dataset(matrix(weights[trained][:, :-2]))
    first, second = (ALS(CONFIG).fit(data) for data in (world, small))
    np.testing.assert_array_equal(first.item_vectors()[:-2], second.item_vectors())


def test_the_reported_loss_falls_with_every_round() -> None:
    """The reported loss is from before the last user update, so it is slightly higher."""
    world, steps = random_world(), []
    ALS(als(iterations=12)).fit(world, TrainingOptions(seed=1, progress=steps.append))
    losses = [step.metrics["loss"] for step in steps]
    assert losses == sorted(losses, reverse=True)
    for iterations in (1, 4, 11):
        model = ALS(als(iterations=iterations)).fit(world, TrainingOptions(seed=1))
        assert model.report["loss"] == losses[iterations - 1]
        assert losses[iterations] < loss(model, world) < losses[iterations - 1]


def test_the_reported_loss_is_the_loss_of_the_vectors() -> None:
    world = random_world()
    model = ALS(als(iterations=80)).fit(world)
    assert model.report["loss"] == pytest.approx(loss(model, world), rel=1e-5)


def test_a_larger_weight_gives_a_larger_score() -> None:
    world = random_world()
    model = ALS(CONFIG).fit(world)
    once, often = np.zeros((2, 60)), np.zeros((2, 60))
    once[:, 4], often[:, 4] = 1, 20
    assert (model.scores(Histories(matrix(often)))[:, 4] > model.scores(Histories(matrix(once)))[:, 4]).all()


def test_only_the_ratio_of_the_confidences_matters() -> None:
    world = random_world()
    first = ALS(als(regularization_exponent=1.0)).fit(world)
    second = ALS(als(alpha=20.0, unobserved_weight=5.0, regularization_exponent=1.0)).fit(world)
    np.testing.assert_allclose(first.scores(world.histories), second.scores(world.histories), atol=1e-4)


def test_progress_is_reported_after_every_round() -> None:
    steps: list[Progress] = []
    ALS(CONFIG).fit(random_world(), TrainingOptions(progress=steps.append))
    assert [(step.model, step.epoch, step.epochs) for step in steps] == [("als", i, 4) for i in (1, 2, 3, 4)]


def test_another_seed_gives_another_model() -> None:
    first, second = (ALS(CONFIG).fit(random_world(), TrainingOptions(seed=s)).item_vectors() for s in (1, 2))
    assert not np.array_equal(first, second)


def test_items_without_users_have_a_zero_vector_and_no_similar_items() -> None:
    model = ALS(CONFIG).fit(random_world())
    assert (model.item_vectors()[-2:] == 0).all()
    assert (model.similar_items(np.array([0]), 59).items[0] < 58).all()


def test_item_vectors_are_in_the_basis_of_their_principal_axes() -> None:
    vectors = ALS(CONFIG).fit(random_world()).item_vectors().astype(np.float64)
    gram = vectors.T @ vectors
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-5 * gram.max())


def test_long_rows_are_solved_in_pieces_on_any_number_of_threads() -> None:
    """Rows have more entries than a piece; the bytes do not depend on the threads."""
    rng = np.random.default_rng(3)
    chosen = rng.random((1500, 70)) < np.linspace(0.05, 0.9, 70)
    world = Dataset(matrix(chosen * rng.integers(1, 5, chosen.shape)))
    config = als(factors=8, iterations=3)
    models = [ALS(config).fit(world, TrainingOptions(device="cpu", threads=t)) for t in (1, 2, 5)]
    for model in models[1:]:
        np.testing.assert_array_equal(models[0].item_vectors(), model.item_vectors())
    fixed = rng.standard_normal((1500, 8)).astype(np.float32)
    rows = row_problems(
        world.matrix.T.tocsr(),
        alpha=2.0,
        unobserved=0.5,
        penalty=lambda total: penalty(total, config),
        known=np.ones(1500, np.bool_),
    )
    with solving():
        half = cpu_solver(2)(rows, fixed, np.zeros((70, 8), np.float32))
    y = half.fixed.astype(np.float64)
    for column, vector in zip(world.matrix.toarray().T.astype(np.float64), half.solved, strict=True):
        c = confidence(column, config)
        left = (y.T * c) @ y + penalty(c.sum(), config) * np.eye(8)
        np.testing.assert_allclose(vector, np.linalg.solve(left, y.T @ (c * (column > 0))), atol=2e-6)


def test_als_agrees_with_implicit_for_the_same_loss() -> None:
    """In implicit, the matrix holds confidences; it uses Cholesky and our initial vectors."""
    from implicit.cpu.als import AlternatingLeastSquares

    world = random_world(n_users=300, n_items=80)
    config = als(**PLAIN, regularization=4.0, iterations=1, factors=5)
    model = ALS(config).fit(world)
    with threadpool_limits(1, user_api="blas"):
        theirs = AlternatingLeastSquares(5, 4.0, 1.0, iterations=7, use_cg=False, random_state=2)
        theirs.item_factors = model._initial(seed=42)
        theirs.user_factors = np.zeros((300, 5), np.float32)
        weights = world.matrix.copy()
        weights.data = 1 + 2 * weights.data
        theirs.fit(sparse.csr_matrix(weights), show_progress=False)
    ours = ALS(als(**PLAIN, regularization=4.0, iterations=7, factors=5)).fit(world)
    users = ours.vectors(world.histories)
    known = ~world.histories.empty
    np.testing.assert_allclose(
        (users @ ours.item_vectors().T)[known],
        (theirs.recalculate_user(np.arange(300), sparse.csr_matrix(weights)) @ theirs.item_factors.T)[known],
        atol=1e-3,
    )


def test_torch_solves_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CUDA solver, run on the CPU in padded batches, equals the compiled one."""
    import torch

    from models.factors import als_torch

    monkeypatch.setattr(als_torch, "ELEMENTS", 1000)
    world = random_world()
    fixed = np.random.default_rng(0).standard_normal((60, 6)).astype(np.float32)
    rows = row_problems(
        world.matrix,
        alpha=2.0,
        unobserved=0.5,
        penalty=lambda total: penalty(total, CONFIG),
        known=np.ones(60, np.bool_),
    )
    start = np.zeros((len(rows), 6), np.float32)
    with solving():
        compiled = cpu_solver(1)(rows, fixed, start)
    batched = als_torch.device_solver(torch.device("cpu"))(rows, fixed, start)
    assert len(list(als_torch._batches(rows, 6))) > 5
    np.testing.assert_allclose(
        batched.solved @ batched.fixed.T, compiled.solved @ compiled.fixed.T, atol=1e-5
    )
    assert batched.explained == pytest.approx(compiled.explained, rel=1e-6)
    assert (batched.solved[world.histories.empty] == 0).all()


def test_weights_too_large_for_float32_are_an_error_but_tiny_ones_are_not() -> None:
    weights = random_world().matrix
    tiny, huge = weights.copy(), weights.copy()
    tiny.data = tiny.data * np.float32(1e-38)
    huge.data = huge.data * np.float32(1e38)
    assert np.isfinite(ALS(CONFIG).fit(Dataset(tiny)).item_vectors()).all()
    with pytest.raises(ModelError, match="expected weights and penalties for which float32 can solve"):
        ALS(CONFIG).fit(Dataset(huge))


def test_requesting_a_missing_gpu_is_an_error() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match="device 'cuda'"):
        ALS(CONFIG).fit(random_world(), TrainingOptions(device="cuda"))


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("factors", [6, 24])  # exact rounds, and steps from the vectors of the last
def test_a_killed_training_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, factors: int
) -> None:
    config = als(factors=factors)
    monkeypatch.setattr(als_checkpoint, "SECONDS", 0.0)
    epochs: list[int] = []

    def die(step: Progress) -> None:
        epochs.append(step.epoch)
        if len(epochs) == 2:
            raise Killed

    options = TrainingOptions(device="cpu", checkpoints=tmp_path, progress=die)
    with pytest.raises(Killed):
        ALS(config).fit(random_world(), options)
    resumed = ALS(config).fit(random_world(), options)
    assert epochs == [1, 2, 3, 4]
    expected = ALS(config).fit(random_world()).item_vectors()
    np.testing.assert_array_equal(resumed.item_vectors(), expected)
    different = ALS(config).fit(random_world(seed=1), options)  # other data: starts over
    assert epochs[4:] == [1, 2, 3, 4]
    assert "belongs to another training" in caplog.text
    (file,) = (tmp_path / "als").iterdir()
    file.write_bytes(file.read_bytes()[:-40])
    retrained = ALS(config).fit(random_world(seed=1), options)
    np.testing.assert_array_equal(different.item_vectors(), retrained.item_vectors())
    assert "cannot read the checkpoint" in caplog.text


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_long_training_converges_to_the_equations_of_the_paper(exponent: float) -> None:
    """Item vectors solve eq. 5 given the user vectors."""
    world = random_world(seed=5)
    config = als(iterations=400, regularization_exponent=exponent)
    model = ALS(config).fit(world)
    users = model.vectors(world.histories).astype(np.float64)[~world.histories.empty]
    weights = world.matrix.toarray().astype(np.float64)[~world.histories.empty][:, :-2]
    solved = []
    for column in weights.T:
        c = confidence(column, config)
        left = (users.T * c) @ users + penalty(c.sum(), config) * np.eye(6)
        solved.append(np.linalg.solve(left, users.T @ (c * (column > 0))))
    np.testing.assert_allclose(model.item_vectors()[:-2], solved, atol=5e-3)
