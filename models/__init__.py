"""ARRAYS: models, splits, metrics and the top-N kernel; knows no table and no Prefect."""
