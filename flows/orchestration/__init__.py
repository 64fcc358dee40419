"""What only flows run by Prefect need: tasks, limits, artifacts, logs, parameters."""
