"""The Prefect side of the flows: tasks, limits, artifacts, logs, parameters."""
