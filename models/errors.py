"""The error of the models room."""

from __future__ import annotations


class ModelError(ValueError):
    """A configuration, data set, artefact or argument that a model refuses; says what was expected."""


class DeviceMissingError(ModelError):
    """The device that was asked for is not there; the model can be trained on another."""
