"""Checks of this machine: Python, packages, Java, GPU, memory, cores, time zones, Prefect."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from tasks.runtime.redaction import redacted
from tasks.store.files import readable

State = Literal["ok", "missing", "problem"]
OK: Final = "ok"
MISSING: Final = "missing"  # an optional part
PROBLEM: Final = "problem"

JAVA: Final = 17
REACH_SECONDS: Final = 3.0
LOCK_FILE: Final = Path(__file__).resolve().parents[2] / "requirements.lock"
_CGROUP: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Check:
    """The result of one check and, unless it is ok, advice on what to do."""

    name: str
    state: State
    found: str
    advice: str = ""


def python_check() -> Check:
    """Check whether Nightshelf supports this version of Python."""
    version = f"{platform.python_version()} ({sys.executable})"
    expected = _supported_python()
    if SpecifierSet(expected).contains(platform.python_version(), prereleases=True):
        return Check("Python", OK, version)
    return Check("Python", PROBLEM, version, f"make the virtual environment with Python {expected}")


def package_checks(
    lock: Path = LOCK_FILE, installed: Callable[[str], str] = metadata.version
) -> Iterator[Check]:
    """Compare the installed packages with the lock file; without it, only check their presence.

    `installed` returns the version of a package or raises PackageNotFoundError.
    """
    pins = pins_of(lock.read_text(encoding="utf-8")) if lock.is_file() else dict.fromkeys(required(), "")
    wrong = 0 if pins else 1
    if not pins:
        yield Check("packages", PROBLEM, "nightshelf is not installed", "pip install -e . in its folder")
    for name, pinned_version in pins.items():
        pin = f"{name}=={pinned_version}" if pinned_version else name
        try:
            version = installed(name)
        except metadata.PackageNotFoundError:
            version = ""
        if version and (not pinned_version or _is_same(version, pinned_version)):
            continue
        wrong += 1
        problem = f"version {version}, tested with {pinned_version}" if version else "not installed"
        yield Check(name, PROBLEM, problem, f"pip install '{pin}'")
    if not wrong:
        versions = (
            f"as in {lock.name}" if lock.is_file() else f"installed; versions not compared: no {lock.name}"
        )
        yield Check("packages", OK, f"{len(pins)} {versions}")


def pins_of(text: str) -> dict[str, str]:
    """Return name -> version of the pins of a lock file that apply to this platform and Python."""
    lines = [line for line in text.splitlines() if line[:1].isalnum()]  # no comments, no hashes
    pins = [Requirement(line.partition(" #")[0].rstrip(" \\")) for line in lines]
    return {pin.name: next(iter(pin.specifier)).version for pin in pins if _applies(pin)}


def required() -> list[str]:
    """Return the names of the packages that Nightshelf depends on."""
    try:
        lines = metadata.requires("nightshelf") or []
    except metadata.PackageNotFoundError:
        return []
    return [package.name for package in map(Requirement, lines) if _applies(package)]


def java_check(needed: bool = False) -> Check:
    """Check for the Java that Spark would start; it is optional unless `needed`."""
    from sql.engines.spark_session import java_version

    version = java_version()
    if version is not None and version >= JAVA:
        return Check("Java", OK, f"version {version}; Spark can be used")
    advice = f"only Spark needs Java: install a JDK {JAVA} or newer (Debian: openjdk-17-jre-headless)"
    state: State = PROBLEM if needed else MISSING
    return Check(
        "Java", state, "none" if version is None else f"version {version}", f"{advice} or set JAVA_HOME"
    )


def gpu_checks(cuda_configured: bool = False) -> Iterator[Check]:
    """Check whether torch finds a GPU; without one, the CPU trains, which is not a problem."""
    trains = "models train on the CPU" + (
        ', with a warning in the manifest, since [train] device is "cuda"' if cuda_configured else ""
    )
    driver = shutil.which("nvidia-smi") is not None
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Check("GPU (torch)", PROBLEM, f"torch cannot be imported: {error}", "reinstall torch")
        return
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        yield Check("GPU (torch)", OK, f"{device.name}, {readable(device.total_memory)}")
    elif torch.version.cuda is None and driver:
        advice = "this machine has a GPU driver, but torch is a CPU build: install its CUDA build"
        yield Check("GPU (torch)", MISSING, f"torch {torch.__version__} cannot use it", f"{advice}; {trains}")
    else:
        yield Check("GPU (torch)", MISSING, f"none for torch {torch.__version__}", trains)


def memory_check(budget: int | None = None) -> Check:
    """Compare the memory available to this process with a run's budget; both in bytes."""
    import psutil

    machine = psutil.virtual_memory()
    total = min(machine.total, _cgroup_number("memory.max") or machine.total)
    available = f"{readable(total)}, {readable(min(total, machine.available))} available"
    if budget is None:
        return Check("memory", OK, available)
    available += f"; engine.memory = {readable(budget)}"
    if budget > total:
        return Check("memory", PROBLEM, available, "set engine.memory to less than the machine's memory")
    return Check("memory", OK, available)


def cores_check() -> Check:
    """Count the cores that this process may use."""
    cores = len(os.sched_getaffinity(0))
    quota = (_cgroup_text("cpu.max") or "max").split()
    limited = f", limited to {int(quota[0]) / int(quota[1]):g} by the container" if quota[0].isdigit() else ""
    return Check("CPU", OK, f"{cores} cores{limited}")


def time_zone_check() -> Check:
    """Check for the time zone data, by which events are assigned to days."""
    from zoneinfo import available_timezones

    if "Europe/London" in (zones := available_timezones()):
        return Check("time zones", OK, f"{len(zones)} known")
    advice = "install tzdata (Debian: apt-get install tzdata; or pip install tzdata)"
    return Check("time zones", PROBLEM, "no time zone data", advice)


def prefect_check() -> Check:
    """Check whether the configured Prefect server answers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as: its folder cannot be written, which a run works around
            from prefect.settings import get_current_settings

        url = get_current_settings().api.url
    except Exception as error:  # any fault of Prefect or its settings becomes this check's result
        return Check(
            "Prefect", PROBLEM, f"cannot be loaded: {error}", "reinstall prefect, or run with --no-prefect"
        )
    if not url:
        return Check("Prefect", OK, "PREFECT_API_URL is not set: each run starts a temporary server")
    return server_check(url)


def server_check(url: str) -> Check:
    """Check whether a Prefect API answers at this URL, with any status."""
    import urllib.error
    import urllib.request

    shown = redacted(url)
    advice = "start that server (prefect server start), or unset PREFECT_API_URL, or run with --no-prefect"
    if not url.startswith(("http://", "https://")):
        return Check("Prefect", PROBLEM, f"PREFECT_API_URL is not an http address: {shown}", advice)
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=REACH_SECONDS):  # noqa: S310 - checked above
            return Check("Prefect", OK, f"the server at {shown} answers")
    except urllib.error.HTTPError as error:
        return Check("Prefect", OK, f"the server at {shown} answers (status {error.code})")
    except OSError as error:
        reason = getattr(error, "reason", error)
        return Check("Prefect", PROBLEM, f"the server at {shown} does not answer: {reason}", advice)


def _applies(requirement: Requirement) -> bool:
    """Return whether a requirement applies to this platform and Python."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _supported_python() -> str:
    """Return the Python versions of pyproject.toml; "" if Nightshelf is not installed."""
    try:
        return metadata.metadata("nightshelf")["Requires-Python"]
    except metadata.PackageNotFoundError:
        return ""


def _is_same(installed: str, expected: str) -> bool:
    """Return whether two versions are equal, ignoring local build parts: 2.13.0+cpu is 2.13."""
    try:
        return Version(Version(installed).public) == Version(Version(expected).public)
    except InvalidVersion:
        return installed == expected


def _cgroup_text(name: str) -> str | None:
    path = _CGROUP / name
    return path.read_text(encoding="ascii").strip() if path.is_file() else None


def _cgroup_number(name: str) -> int | None:
    text = _cgroup_text(name)
    return int(text) if text is not None and text.isdigit() else None
