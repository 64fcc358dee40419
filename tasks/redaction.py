"""Taking credentials out of what is shown or kept: addresses, and values under names such as `password`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_USERINFO: Final = re.compile(r"(?<=://)(?:[^/\s@:]*:(?!\d+(?:/|$))\S*|[^/\s]*)@")
_SECRET_PARAMETER: Final = re.compile(
    r"(?i)([?&;][^=&\s]*(?:token|secret|signature|password|sig|key)=)[^&\s#]+"
)
_SECRET_KEY: Final = re.compile(
    r"(?i)(?:^|_)(?:password|passwd|secret|token|api_?key|access_?key|credentials?)$"
)


def redacted(value: Any) -> Any:
    """Return a copy without secrets: credentials in addresses, and values under names such as `password`."""
    if isinstance(value, Mapping):
        return {
            str(key): "***" if _SECRET_KEY.search(str(key)) and item else redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    if isinstance(value, Path):
        return redacted(str(value))
    if isinstance(value, str):
        return _SECRET_PARAMETER.sub(r"\1***", _USERINFO.sub("***@", value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
