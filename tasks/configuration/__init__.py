"""The configuration file: its sections, validation, reference, and the ids it declares."""
