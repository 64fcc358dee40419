"""Measuring models: the holdout, splits, published protocols, tables of figures."""
