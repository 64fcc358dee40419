"""A night of several sources, in a store whose first night had one."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from worlds.night_world import QUICK, SECOND, Night

from flows.night.run import run_night
from tasks.release.releases import current

ORDERS = """
[[source]]
name = "orders"
path = "{folder}/orders.csv"
delimiter = ";"
timestamp_format = "%d.%m.%Y"
event_type = "order"
event_weights = {{ order = 8 }}
columns = {{ user = "customer", item = "sku", timestamp = "day" }}
"""


def test_a_second_source_joins_the_lists_and_the_account_of_the_first(young: Night, tmp_path: Path) -> None:
    text = young.config.read_text(encoding="utf-8").replace("[source]\n", '[[source]]\nname = "clicks"\n')
    young.config.write_text(text + ORDERS.format(folder=tmp_path), encoding="utf-8")
    rows = "".join(
        f"only-orders;{item};03.03.2026\n" for item in ("lamp", "chair", "lamp", "", "desk", "sofa")
    )
    (tmp_path / "orders.csv").write_text("customer;sku;day\n" + rows, encoding="utf-8")
    record = run_night(young.configured(**QUICK), SECOND)
    facts = record.station("interactions").facts
    orders = {"read": 6, "accepted": 4, "excluded": 0, "quarantined": 1, "duplicates": 1}
    assert facts["sources"]["orders"] == orders | {"rules": {"item_missing": 1}}
    assert facts["files_taken"] == 2  # the file of the first night is not read again
    release = current(young.store)
    account = release.manifest()["row_accounting"]
    assert account["sources"]["orders"] == facts["sources"]["orders"]
    totals = [sum(account["sources"][name][key] for name in ("clicks", "orders")) for key in orders]
    assert totals == [account["total"][key] for key in orders]
    monitored = (young.store.root / "metrics.prom").read_text(encoding="utf-8")
    sample = f'{{outcome="accepted",source="orders",store="{young.store.root}"}} 4.0'
    assert f"nightshelf_source_rows_total{sample}" in monitored
    assert 'rule="item_missing",source="orders"' in monitored
    assert [file.get("source") for file in release.manifest()["inputs"]] == [None, "clicks", "orders"]
    users = pq.read_table(release.table("recommendations"))["user_id"]
    assert pc.sum(pc.equal(users, "only-orders")).as_py() == 6
    checks = pq.read_table(release.table("validation_results")).to_pylist()
    shares = [check["column"] for check in checks if check["check"] == "max_quarantined_share"]
    assert shares == ["", "arrived", "arrived_clicks", "arrived_orders"]
