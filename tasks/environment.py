"""${NAME} and ${NAME:-default} in the configuration: values from the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

from tasks.errors import ConfigurationError

_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")


def from_environment(content: Any, *, is_path: bool = False) -> Any:
    """Return the content with ${NAME} and ${NAME:-default} replaced; an empty variable counts as not set.

    Where `is_path`, as below every key `path`, a relative path that comes from the environment is relative to
    the working directory, where it was set; anything else is taken as it is.

    Raises
    ------
    ConfigurationError
        If a name is not in the environment and has no default.
    """
    if isinstance(content, dict):
        return {key: from_environment(one, is_path=key == "path") for key, one in content.items()}
    if isinstance(content, list):
        return [from_environment(one, is_path=is_path) for one in content]
    if not isinstance(content, str):
        return content

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        found = os.environ.get(name)
        if found is None and default is None:
            raise ConfigurationError(f"${{{name}}} is not set in the environment, and has no default")
        if not found:
            return default or ""
        begins = match.start() == 0 and "://" not in found
        return str(Path(found).absolute()) if is_path and begins else found

    return _REFERENCE.sub(value, content)
