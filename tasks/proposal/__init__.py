"""A first configuration: proposed from a sample of somebody's logs, and tried on its rows."""
