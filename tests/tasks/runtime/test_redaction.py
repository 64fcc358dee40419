"""Secrets are replaced in addresses, and under names that mark a secret."""

from __future__ import annotations

import pytest

from tasks.runtime.redaction import redacted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://user:pass@bucket/x", "s3://***@bucket/x"),
        ("postgresql+psycopg://u:p@ss@host:5432/db", "postgresql+psycopg://***@host:5432/db"),
        ("ftp://u:p/w@host/x", "ftp://***@host/x"),
        ("https://host:8080/path@v1/x", "https://host:8080/path@v1/x"),
        ("https://host/path@v1/x:y", "https://host/path@v1/x:y"),
        ("see ftp://a:b@h/1, ftp://c:d@h/2", "see ftp://***@h/1, ftp://***@h/2"),
        ("https://h/x?sig=abc&part=1&X-Amz-Signature=d", "https://h/x?sig=***&part=1&X-Amz-Signature=***"),
        ("someone@example.org", "someone@example.org"),
    ],
)
def test_secrets_in_addresses_are_replaced(text: str, expected: str) -> None:
    assert redacted({"list": [{"input": text}]}) == {"list": [{"input": expected}]}


def test_secrets_are_known_by_their_names() -> None:
    given = {"password": "x", "aws_secret": "x", "api_key": "x", "key": "user_id", "tokens": 3, "token": None}
    assert redacted(given) == given | {"password": "***", "aws_secret": "***", "api_key": "***"}
