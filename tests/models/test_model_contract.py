"""Every built-in model passes the contract: one class per model."""

from __future__ import annotations

from typing import Any, ClassVar

from models import registry
from models.contract.suite import ModelContract

ALS = {"factors": 8, "iterations": 5}


class TestALS(ModelContract):
    model = "als"
    settings: ClassVar[dict[str, Any]] = ALS


class TestBlend(ModelContract):
    model = "blend"
    settings: ClassVar[dict[str, Any]] = {"settings": {"als": ALS, "item_knn": {"shrink": 1.0}}}


class TestEASE(ModelContract):
    model = "ease"


class TestFunkSVD(ModelContract):
    model = "funk_svd"
    settings: ClassVar[dict[str, Any]] = {"factors": 8}
    ratings = True


class TestGFCF(ModelContract):
    model = "gf_cf"
    settings: ClassVar[dict[str, Any]] = {"factors": 8}


class TestGlobalEffects(ModelContract):
    model = "global_effects"
    personal = False
    ratings = True


class TestItemKNN(ModelContract):
    model = "item_knn"
    settings: ClassVar[dict[str, Any]] = {"shrink": 1.0, "neighbours": 30}


class TestMultVAE(ModelContract):
    model = "mult_vae"


class TestPopularity(ModelContract):
    model = "popularity"
    personal = False


class TestPureSVD(ModelContract):
    model = "pure_svd"
    settings: ClassVar[dict[str, Any]] = {"factors": 8}


class TestRandom(ModelContract):
    model = "random"
    personal = False


class TestRecentPopularity(ModelContract):
    model = "recent_popularity"
    personal = False


class TestRP3Beta(ModelContract):
    model = "rp3beta"
    settings: ClassVar[dict[str, Any]] = {"neighbours": 30}


class TestSLIM(ModelContract):
    model = "slim"


class TestSparseEASE(ModelContract):
    model = "sparse_ease"


class TestSVDPlusPlus(ModelContract):
    model = "svd_pp"
    settings: ClassVar[dict[str, Any]] = {"factors": 8}
    ratings = True


class TestTurboCF(ModelContract):
    model = "turbo_cf"
    settings: ClassVar[dict[str, Any]] = {"order": 2}


class TestUserKNN(ModelContract):
    model = "user_knn"
    settings: ClassVar[dict[str, Any]] = {"shrink": 1.0, "neighbours": 30}


def test_every_built_in_model_has_a_class_above() -> None:
    tested = {
        contract.model for contract in ModelContract.__subclasses__() if contract.__module__ == __name__
    }
    assert tested == set(registry.built_in())
