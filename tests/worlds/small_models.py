"""Settings that train each model quickly, and the data to train on."""

from __future__ import annotations

from typing import Any

from models.contract.worlds import random_world

MODELS: dict[str, dict[str, Any]] = {
    "als": {"factors": 4, "iterations": 3},
    "blend": {"settings": {"als": {"factors": 4, "iterations": 3}, "item_knn": {"neighbours": 5}}},
    "ease": {},
    "funk_svd": {"factors": 4, "epochs": 3},
    "gf_cf": {"factors": 4},
    "global_effects": {},
    "item_knn": {"neighbours": 5},
    "mult_vae": {"hidden": 8, "latent": 4, "epochs": 1, "checkpoint_seconds": 0.0},
    "popularity": {},
    "pure_svd": {"factors": 4},
    "random": {},
    "recent_popularity": {},
    "rp3beta": {"neighbours": 5},
    "slim": {},
    "sparse_ease": {},
    "svd_pp": {"factors": 4, "epochs": 3},
    "turbo_cf": {},
    "user_knn": {"neighbours": 5},
}
WORLD = random_world(n_users=40, n_items=20)
