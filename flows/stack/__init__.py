"""The local Prefect stack of `nightshelf up`: server, workers, automations."""
