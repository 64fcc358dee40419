"""ARRAYS: models, splits, metrics and the top-N kernel; independent of tables and Prefect."""
