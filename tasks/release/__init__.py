"""Releases: tables and schemas, audit, publication, pointer, retention and queries."""
