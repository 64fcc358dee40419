"""Defaults for settings that Prefect reads on import; flows import this module before Prefect."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path

DEFAULTS = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the first temporary server needs over 20
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # send nothing to anyone
    "DO_NOT_TRACK": "1",
}
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
HOME = "PREFECT_HOME"


def reach_this_machine_directly() -> None:
    """Except this machine from the proxies of the environment, for this process and its children.

    httpx, with which Prefect talks to its server, also prepares every proxy that a variable names,
    before it knows whether it is needed: one that it does not support is removed.
    """
    names = ("no_proxy", "NO_PROXY")  # programs differ in which one they read
    hosts = [host.strip() for name in names for host in os.environ.get(name, "").split(",")]
    if "*" not in hosts:
        os.environ |= dict.fromkeys(names, ",".join(dict.fromkeys([*filter(None, hosts), *LOOPBACK])))
    usable = {"http", "https", *(("socks5", "socks5h") if importlib.util.find_spec("socksio") else ())}
    for name in [*os.environ]:
        scheme, separator, _ = os.environ[name].partition("://")
        if name.lower() in PROXIES and separator and scheme.lower() not in usable:
            del os.environ[name]


def require_home(store: Path) -> str | None:
    """Let Prefect keep its files in the store if it cannot write its own folder; return what to say."""
    home = Path(os.environ.get(HOME) or "~/.prefect")
    try:
        home = home.expanduser()
        _try_to_write(home)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home at all
        profiles = home / "profiles.toml"
        if os.access(profiles, os.R_OK):
            os.environ.setdefault("PREFECT_PROFILES_PATH", str(profiles))
        os.environ[HOME] = str(_folder_beside(store))
        why = getattr(error, "strerror", None) or error
        return f"Prefect cannot write {home} ({why}), so it keeps its files in {os.environ[HOME]}"
    return None


def _folder_beside(store: Path) -> Path:
    """Return a folder in the store, or a temporary one if that cannot be written either."""
    folder = store / ".prefect"
    try:
        _try_to_write(folder)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="nightshelf-prefect-"))
    return folder


def _try_to_write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


for name, value in DEFAULTS.items():
    os.environ.setdefault(name, value)
reach_this_machine_directly()
