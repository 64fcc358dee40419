"""The whole contract: a test class that inherits it and names a model holds the model to it."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("models.contract.lists", "models.contract.artefacts")

from models.contract.artefacts import ArtefactContract  # noqa: E402 - asserts that say why come first
from models.contract.lists import ListContract  # noqa: E402


class ModelContract(ListContract, ArtefactContract):
    """Tests of a registered model, to be inherited by a class of tests that names it.

    ``model`` is its name, ``settings`` make it small enough for a test. ``personal = False`` says that lists
    do not depend on the history, ``threads_matter = True`` that another number of threads may give another
    model.

    Examples
    --------
    >>> import nightshelf as ns
    >>> class TestMine(ns.ModelContract):
    ...     model = "als"
    ...     settings = {"factors": 8, "iterations": 5}
    """
