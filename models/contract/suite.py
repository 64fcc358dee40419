"""The complete contract: inherit it in a test class and name a model."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("models.contract.lists", "models.contract.artefacts")

from models.contract.artefacts import ArtefactContract  # noqa: E402 - after the assert rewriting
from models.contract.lists import ListContract  # noqa: E402


class ModelContract(ListContract, ArtefactContract):
    """Tests of a registered model, for a test class to inherit.

    ``model`` is its name; ``settings`` make it small enough for a test. ``personal = False`` means
    that lists do not depend on the history, ``threads_matter = True`` that the number of threads
    can change the model, ``ratings = True`` that it learns from ratings, which have to differ.

    Examples
    --------
    >>> import nightshelf as ns
    >>> class TestMine(ns.ModelContract):
    ...     model = "als"
    ...     settings = {"factors": 8, "iterations": 5}
    """
