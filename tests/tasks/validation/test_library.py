"""Great Expectations is imported without what the gate does not need, and leaves no trace of that."""

from __future__ import annotations

import subprocess
import sys

from worlds.paths import IMPORTABLE

IMPORT = """
import sys
from tasks.validation.library import great_expectations
assert great_expectations().__name__ == "great_expectations"
print(sorted({"pyspark", "sqlalchemy", "altair.vegalite", "scipy.stats._stats_py"} & set(sys.modules)))
import sqlalchemy, scipy.stats, altair
print(sqlalchemy.text("1"), scipy.stats.norm.cdf(0.0), altair.Chart.__name__, great_expectations().__name__)
"""


def test_the_library_is_imported_lean_and_the_packages_it_did_without_can_still_be_imported():
    command = [sys.executable, "-W", "error::FutureWarning", "-c", IMPORT]
    done = subprocess.run(
        command, env={"PYTHONPATH": IMPORTABLE}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "1 0.5 Chart great_expectations"]
