"""The contract of lists: the best scores, without seen items, from the history alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models import registry
from models.abilities import Factorised, HasReasons, HasSimilarItems, PredictsRatings
from models.base import Model, ModelConfig
from models.contract.fixtures import OPTIONS, ModelUnderTest, assert_equal
from models.contract.worlds import checkerboard, random_world, rated_checkerboard
from models.dataset import Dataset
from models.errors import ModelError
from models.options import TrainingOptions
from models.ranking.topn import TopN, top_n


class ListContract(ModelUnderTest):
    """Training, scores, recommendations and similar items."""

    def test_scores_are_finite_float32_for_every_user_and_item(
        self, trained: Model[Any], world: Dataset
    ) -> None:
        scores = trained.scores(world.histories)
        assert scores.shape == (world.n_users, world.n_items)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()

    def test_lists_hold_the_best_scores_in_order_with_ties_by_item(
        self, trained: Model[Any], world: Dataset
    ) -> None:
        scores = trained.scores(world.histories)
        top = trained.recommend(world.histories, 10, exclude=world.matrix)
        assert top.items.shape == top.scores.shape == (world.n_users, 10)
        above = 0.0 if trained.evidence_only else None
        expected = top_n(scores, 10, exclude=world.matrix, allowed=trained.trained_items, above=above)
        expected = expected.without(world.histories.empty)
        if not isinstance(trained, Factorised):
            assert_equal(top, expected)
        np.testing.assert_allclose(top.scores, expected.scores, rtol=1e-4, atol=1e-5)
        for items, values in zip(top.items, top.scores, strict=True):
            kept = items[items >= 0]
            assert len(set(kept.tolist())) == len(kept)
            assert (items[len(kept) :] == -1).all()
            assert np.isneginf(values[len(kept) :]).all()
            order = sorted(zip(-values[: len(kept)], kept, strict=True))
            assert [item for _, item in order] == kept.tolist()

    def test_reasons_are_items_of_the_history(self, trained: Model[Any], world: Dataset) -> None:
        if not isinstance(trained, HasReasons):
            return
        items = trained.recommend(world.histories, 6).items
        reasons = trained.reasons(items, world.histories)
        assert reasons.shape == items.shape
        assert reasons.dtype == np.int32
        users, ranks = np.nonzero(reasons >= 0)
        assert len(users) > world.n_users
        assert (world.matrix[users, reasons[users, ranks]] > 0).all()
        assert (reasons[users, ranks] != items[users, ranks]).all()
        assert (reasons[items < 0] == -1).all()
        some = np.array([3, 1])
        np.testing.assert_array_equal(trained.reasons(items[some], world.histories.rows(some)), reasons[some])

    def test_seen_blocked_and_untrained_items_are_never_recommended(
        self, trained: Model[Any], world: Dataset
    ) -> None:
        allowed = np.ones(world.n_items, dtype=np.bool_)
        allowed[::3] = False
        top = trained.recommend(world.histories, world.n_items + 5, exclude=world.matrix, allowed=allowed)
        users, ranks = np.nonzero(top.items >= 0)
        items = top.items[users, ranks]
        assert len(items) > world.n_users
        assert allowed[items].all()
        assert not world.matrix.toarray()[users, items].any()
        if not trained.serves_cold_items:
            assert (items < world.n_items - 2).all()

    def test_users_with_an_empty_history_get_padded_rows_and_others_do_not(
        self, trained: Model[Any], world: Dataset
    ) -> None:
        top = trained.recommend(world.histories, 5)
        np.testing.assert_array_equal((top.items == -1).all(axis=1), world.histories.empty)
        assert world.histories.empty.sum() == 3

    def test_new_users_are_served_like_known_ones(self, trained: Model[Any], world: Dataset) -> None:
        """The list depends only on the history: not on the user or the rest of the batch."""
        users = np.array([7, 3, 90])
        some = world.histories.rows(users)
        top = trained.recommend(some, 10, exclude=some.matrix)
        expected = trained.recommend(world.histories, 10, exclude=world.matrix)
        np.testing.assert_array_equal(top.items, expected.items[users])
        np.testing.assert_allclose(top.scores, expected.scores[users], rtol=1e-5)
        strangers = random_world(seed=9).histories.rows(slice(0, 4))
        assert (trained.recommend(strangers, 5).items >= 0).all()

    def test_recommend_streams_the_same_lists(
        self, trained: Model[Any], world: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = trained.recommend(world.histories, 7, exclude=world.matrix)
        monkeypatch.setattr("models.base.block_users", lambda _: 48)
        monkeypatch.setattr("models.base.FACTOR_USERS", 48)
        streamed = trained.iter_recommend(world.histories, 7, exclude=world.matrix, block_bytes=1, threads=2)
        blocks = list(streamed)
        assert [start for start, _ in blocks] == [0, 48, 96]
        top = TopN.stack([top for _, top in blocks], 7)
        np.testing.assert_array_equal(top.items, expected.items)
        np.testing.assert_allclose(top.scores, expected.scores, rtol=1e-5)

    def test_the_same_seed_gives_the_same_model_on_any_number_of_threads(
        self, trained: Model[Any], world: Dataset
    ) -> None:
        threads = OPTIONS.threads if self.threads_matter else 3
        retrained = self.fitted(world, TrainingOptions(device="cpu", seed=OPTIONS.seed, threads=threads))
        for key, array in trained._arrays().items():
            np.testing.assert_array_equal(array, retrained._arrays()[key], err_msg=key)

    def test_the_model_completes_a_checkerboard(self) -> None:
        if self.ratings:
            dataset = rated_checkerboard()
            top = self.fitted(dataset).recommend(dataset.histories, 1, exclude=dataset.matrix)
            assert ((top.items[:, 0] + np.arange(50)) % (10 if self.personal else 5) == 0).all()
            return
        dataset = checkerboard()
        top = self.fitted(dataset).recommend(dataset.histories, 1, exclude=dataset.matrix)
        if self.personal:
            np.testing.assert_array_equal(top.items[:, 0], np.arange(50))
        else:
            assert (top.items[:, 0] >= 0).all()

    def test_predicted_ratings_are_those_of_the_users_and_within_their_range(
        self, trained: Model[Any], world: Dataset
    ) -> None:
        assert isinstance(trained, PredictsRatings) == self.ratings
        if not isinstance(trained, PredictsRatings):
            return
        users, items = np.divmod(np.arange(world.n_users * world.n_items), world.n_items)
        predictions = trained.predict(world.histories, users, items)
        assert predictions.shape == users.shape
        assert predictions.dtype == np.float32
        assert 1 <= predictions.min() < predictions.max() <= 5
        scores = trained.scores(world.histories)[users, items]
        np.testing.assert_allclose(predictions, np.clip(scores, 1, 5), rtol=1e-4)
        if self.personal:
            alike = users % 2 == items % 2
            rated = (items < world.n_items - 2) & ~world.histories.empty[users]
            assert predictions[alike & rated].mean() > predictions[~alike & rated].mean() + 1.5
        some = np.array([9, 4])
        part = trained.predict(world.histories.rows(some), np.array([0, 1, 1]), np.array([3, 8, 59]))
        expected = trained.predict(world.histories, some[[0, 1, 1]], np.array([3, 8, 59]))
        np.testing.assert_allclose(part, expected, rtol=1e-5)

    def test_weights_that_do_not_differ_are_no_ratings(self) -> None:
        if self.ratings:
            with pytest.raises(ModelError, match=f"{self.model}: expected weights that differ"):
                self.fitted(checkerboard())

    def test_an_unknown_key_is_an_error_that_names_the_known_ones(self) -> None:
        expected = rf"unknown key 'fctors' in models\.{self.model}; known: "
        with pytest.raises(ModelError, match=expected) as error:
            registry.config(self.model, {"fctors": 3})
        fields = registry.model_class(self.model).Config.model_fields
        assert all(key in str(error.value) for key in fields)

    def test_the_class_has_its_name_and_every_field_has_a_description(self) -> None:
        kind = registry.model_class(self.model)
        assert kind.name == self.model
        assert issubclass(kind.Config, ModelConfig)
        assert all(field.description for field in kind.Config.model_fields.values())
        assert set(kind.space) <= set(kind.Config.model_fields)

    def test_a_model_that_is_not_fitted_and_arguments_of_other_shapes_are_refused(
        self, trained: Model[Any], world: Dataset
    ) -> None:
        with pytest.raises(ModelError, match=f"{self.model} is not fitted"):
            registry.create(self.model, self.settings).recommend(world.histories, 1)
        with pytest.raises(ModelError, match="expected histories over the 60 trained items, got 50"):
            trained.recommend(checkerboard().histories, 1)
        with pytest.raises(ModelError, match="expected exclude of shape"):
            trained.recommend(world.histories, 1, exclude=world.matrix[:3])
        with pytest.raises(ModelError, match="expected allowed"):
            trained.recommend(world.histories, 1, allowed=np.ones(3, dtype=np.bool_))

    def test_similar_items_are_other_items_in_order(self, trained: Model[Any], world: Dataset) -> None:
        if not isinstance(trained, HasSimilarItems):
            assert not hasattr(trained, "similar_items")
            return
        items = np.arange(world.n_items)
        top = trained.similar_items(items, 8)
        assert top.items.shape == (world.n_items, 8)
        assert not (top.items == items[:, None]).any()
        assert (np.diff(top.scores[:-2], axis=1)[top.items[:-2, 1:] >= 0] <= 0).all()
        assert (top.items[-2:] == -1).all()  # without users, they have no similar items
        same_taste = (top.items[:-2, 0] % 2) == items[:-2] % 2
        assert same_taste.mean() > 0.7
