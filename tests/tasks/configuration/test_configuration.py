"""The configuration file: each mistake is reported with its location and what is known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.configuration.configuration import Configuration, load
from tasks.configuration.sections import bytes_of
from tasks.runtime.errors import ConfigurationError

SOURCE = """
[source]
path = "logs"
[source.columns]
user = "u"
item = "i"
timestamp = "t"
"""


@pytest.fixture
def loaded(tmp_path):
    def read(text: str, overrides=None):
        path = tmp_path / "nightshelf.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, overrides)

    return read


def test_only_the_source_is_required(loaded, tmp_path):
    configuration = loaded(SOURCE)
    assert configuration.sources[0].path == str(tmp_path / "logs")
    assert configuration.store.path == tmp_path / "nightshelf-store"
    assert configuration.engine.name == "duckdb"


def test_urls_and_absolute_paths_are_kept(loaded):
    text = SOURCE.replace('"logs"', '["s3://bucket/x", "/logs", "sub/*.csv"]')
    paths = loaded(text).sources[0].path
    assert paths[:2] == ("s3://bucket/x", "/logs")
    assert paths[2].endswith("/sub/*.csv")


def test_overrides_are_validated_like_the_file(loaded):
    assert loaded(SOURCE, {"engine.threads": 3}).engine.threads == 3
    with pytest.raises(ConfigurationError, match=r"engine\.threads: .* got -1"):
        loaded(SOURCE, {"engine.threads": -1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sauce]\n", r"unknown key 'sauce' \(did you mean 'source'\?\); known: dataset, engine"),
        (
            "[engine]\nthread = 1\n",
            r"unknown key 'thread' in \[engine\] \(did you mean 'threads'\?\); known: batch",
        ),
        ("[engine]\nname = 'postgres'\n", r"engine\.name: .*'duckdb' or 'spark'.*, got 'postgres'"),
        (
            "[engine]\nmemory = '4 giga'\n",
            r"engine\.memory: expected a size such as 512MiB or 4GiB, got '4 giga'",
        ),
        ("[engine]\nbatch = '0GiB'\n", r"engine\.batch: expected a size"),
        ("[top_n]\nn = 0\n", r"top_n\.n: .* greater than or equal to 1, got 0"),
        ("[items]\npath = 'x.csv'\n", r"items: path needs id"),
        ("[items]\nid = 'x'\n", r"items: id: expected path = the catalogue's file, too"),
        ("[items]\nonly = true\n", r"items: only: expected path = the catalogue's file, too"),
        ("[users]\navailable = 'x'\n", r"unknown key 'available' in \[users\]; known: "),
        ("[items.attributes]\nGenre = 'g'\n", r"items: attribute 'Genre': expected a name"),
        (
            "[items.attributes]\ngenre = 'g'\n",
            r"items: expected an attribute of \[source\.attributes\], got 'g'",
        ),
        (
            "[popular]\nwindows = [7, 7]\n",
            r"popular\.windows: expected different windows \('24h' is 1 day\), got \[7, 7\]",
        ),
        ("[popular]\nwindows = [1, '24h']\n", r"popular\.windows: expected different .*, got \[1, '24h'\]"),
        ("[popular]\nwindows = []\n", r"popular\.windows: expected different windows"),
        ("[popular]\nwindows = ['6 hours']\n", r"popular\.windows: expected a number of .*, got '6 hours'"),
        ("[popular]\nwindows = ['0h']\n", r"popular\.windows: .* hours from '1h' on.*, got '0h'"),
        ("[popular]\nwindows = [0.25]\n", r"popular\.windows: expected a number of days.*, got 0\.25"),
        ("[popular]\nwindows = [-1]\n", r"popular\.windows: expected a number of days.*, got -1"),
        ("[popular]\nwindows = [36501]\n", r"popular\.windows: .* at most 36,500 days, got 36501"),
        ("[popular]\nwindows = 7\n", r"popular\.windows: .*, got 7"),
        ("[popular]\nfallback_window = true\n", r"popular\.fallback_window: expected .*, got True"),
        ("[popular]\nfallback_window = '5h'\n", r"popular: fallback_window: expected one of windows"),
        ("[popular]\nfallback_window = 5\n", r"popular: fallback_window: expected one of windows"),
        ("[popular]\nsegments = ['land']\n", r"popular\.segments: unknown attribute 'land'; known: none"),
        ("[train]\nserve = 'asl'\n", r"train: unknown model 'asl'; known: als"),
        ("[train]\nmodels = []\n", r"train\.models: "),
        ("[models.als]\nfactor = 3\n", r"unknown key 'factor' in models\.als; known: "),
        ("[models.asl]\nfactors = 3\n", r"unknown model 'asl' in \[models\]; known: als"),
    ],
)
def test_a_mistake_is_reported_with_its_location_and_what_is_known(loaded, text, message):
    with pytest.raises(ConfigurationError, match=r"nightshelf\.toml: " + message):
        loaded(text + SOURCE)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('user = "u"\n', "", r"source\.columns\.user is missing"),
        ('path = "logs"', "", r"source\.path is missing"),
        (
            'path = "logs"',
            'path = ""',
            r"source\.path: expected a file, folder, glob or address, got nothing",
        ),
        (
            'path = "logs"',
            'path = "l"\ntime_zone = "GMT+25"',
            r"source\.time_zone: expected an IANA time zone",
        ),
        ('path = "logs"', 'path = "l"\ntimestamp_format = "%H"', r"source\.timestamp_format: expected iso"),
        (
            'path = "logs"',
            'path = "l"\nencoding = "utf-9"',
            r"source\.encoding: expected a character encoding",
        ),
        (
            'path = "logs"',
            'path = "l"\ndelimiter = "\\n"',
            r"source\.delimiter: expected a character other than",
        ),
        ('path = "logs"', 'path = "l"\nheader = false', r"source: header = false needs column_names"),
        ('path = "logs"', 'path = "l"\ncolumn_names = ["a"]', r"source: column_names are for files without"),
        (
            'path = "logs"',
            'path = "l"\nevent_weights = {view = 1}',
            r"source: event_weights needs columns\.event_type",
        ),
        ('path = "logs"', 'path = "l"\nevent_weights = {view = -1}', r"source\.event_weights\.view: "),
        ('path = "logs"', 'path = "l"\nattributes = {user_id = "x"}', r"source: attribute 'user_id'"),
        (
            'path = "logs"',
            'path = "l"\nexclude = [{name = "a", where = "x"}, {name = "a", where = "y"}]',
            r"source: expected distinct rule names, got \['a', 'a'\]",
        ),
        (
            'path = "logs"',
            'path = "l"\nexclude = [{name = "A;", where = "x"}]',
            r"source\.exclude\.0\.name: ",
        ),
    ],
)
def test_a_mistake_in_the_source_is_reported(loaded, old, new, message):
    with pytest.raises(ConfigurationError, match=message):
        loaded(SOURCE.replace(old, new))


def test_all_mistakes_are_reported(loaded):
    with pytest.raises(ConfigurationError) as failed:
        loaded("[engine]\nthread = 1\nmemory = 'x'\n[top_n]\nn = 0\n")
    lines = str(failed.value).splitlines()
    assert len(lines) == 4
    assert all("nightshelf.toml: " in line for line in lines)


@pytest.mark.parametrize(
    ("text", "message"), [("[source\n", "not valid TOML: "), ("\x00", "not valid TOML: ")]
)
def test_invalid_toml_is_an_error(loaded, text, message):
    with pytest.raises(ConfigurationError, match=message):
        loaded(text)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot read the configuration: No such file"):
        load(tmp_path / "none.toml")


def test_the_source_fingerprint_outlives_keys_that_are_added_to_the_section():
    columns = {"user": "u", "item": "i", "timestamp": "t"}
    configuration = Configuration.model_validate({"source": {"path": "logs", "columns": columns}})
    assert configuration.source_fingerprint() == "9dce389774e59207"  # of version 0.1


def test_the_source_fingerprint_depends_only_on_settings_that_decide_rows(loaded):
    configuration = loaded(SOURCE)
    assert (
        configuration.source_fingerprint() == loaded(SOURCE.replace("logs", "elsewhere")).source_fingerprint()
    )
    assert (
        configuration.source_fingerprint() == loaded(SOURCE + "[engine]\nthreads = 9\n").source_fingerprint()
    )
    assert configuration.source_fingerprint() != loaded(SOURCE.replace('"i"', '"j"')).source_fingerprint()


@pytest.mark.parametrize(("size", "expected"), [("512MiB", 2**29), ("1.5 GiB", 3 * 2**29), ("1TiB", 2**40)])
def test_sizes_are_bytes(size, expected):
    assert bytes_of(size) == expected


@pytest.mark.parametrize("size", ["", "4", "4GB", "-1GiB", "0MiB", "4GiB "])
def test_malformed_sizes_are_rejected(size):
    with pytest.raises(ValueError, match="expected a size such as 512MiB or 4GiB"):
        bytes_of(size)


@pytest.mark.parametrize(("name", "memory"), [("duckdb", "255MiB"), ("spark", "1023MiB")])
def test_too_small_a_memory_budget_is_rejected(loaded, name, memory):
    with pytest.raises(
        ConfigurationError, match=f"engine: memory: expected at least .* for {name}, got {memory}"
    ):
        loaded(SOURCE + f'[engine]\nname = "{name}"\nmemory = "{memory}"\n')


def test_the_resources_come_from_the_engine_and_limit_the_lists(loaded):
    resources = loaded(
        SOURCE + '[engine]\nmemory = "1GiB"\nthreads = 3\n[top_n]\nmemory = "512MiB"\n'
    ).resources
    assert (resources.memory, resources.threads, resources.block_bytes) == (2**30, 3, 2**28)
    assert loaded(SOURCE + '[top_n]\nmemory = "1MiB"\n').resources.block_bytes == 2**20
    assert loaded(SOURCE).resources.threads == len(os.sched_getaffinity(0))


def test_without_measuring_the_first_model_serves(tmp_path: Path) -> None:
    file = tmp_path / "nightshelf.toml"
    source = '[source]\npath = "x.csv"\n[source.columns]\nuser = "u"\nitem = "i"\ntimestamp = "t"\n'
    file.write_text(source, encoding="utf-8")
    assert load(file).train.serve == "best"
    unmeasured = {"evaluation.enabled": False}
    assert load(file, unmeasured).train.serve == "als"
    assert load(file, unmeasured | {"train.models": ["popularity", "als"]}).train.serve == "popularity"
    with pytest.raises(ConfigurationError, match=r"else name the model in train\.serve"):
        load(file, unmeasured | {"train.serve": "best"})


def test_a_window_of_hours_can_fill_lists_and_whole_days_stay_days(loaded):
    popular = loaded(
        "[popular]\nwindows = ['6h', '24h', '7', 0]\nfallback_window = '168h'\n" + SOURCE
    ).popular
    assert (popular.windows, popular.fallback_window) == (("6h", 1, 7, 0), 7)
    assert (popular.window_hours, popular.fallback_hours) == ((6, 24, 168, 0), 168)
