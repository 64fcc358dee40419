"""Releases: the tables and their schemas, the audit, publication, the pointer, retention and queries."""
