"""The errors of the models room."""

from __future__ import annotations


class ModelError(ValueError):
    """A model refuses a configuration, data set, artefact or argument; the message says why."""


class NoListsError(ModelError):
    """No list has an item of the catalogue, so nothing can be measured."""


class DeviceMissingError(ModelError):
    """The requested device is missing; the model can be trained on another one."""
