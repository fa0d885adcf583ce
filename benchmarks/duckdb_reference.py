"""The same tables by hand: one DuckDB + delta-rs script, what a `kedro run` is measured against.

It reads `RAW_SALES_PATH` (a file, or a folder of `*.csv`) and writes the Delta tables of bronze,
silver, gold core and gold ML under `<LAKEHOUSE_ROOT>/local`, with the types, the reasons and the
latest-wins rule of the project's contracts written out in SQL. What it leaves out: contracts and
their checks, the write-once rule, the registry, the ops tables, conservation, and each record after
an unclosed quote (DuckDB takes the lines up to the next quote for one malformed record).
"""

import csv
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

MODELS = Path(__file__).parents[1] / "conf" / "base" / "ml_models.json"
EXPECTED = ["order_id", "customer_id", "amount", "order_date", "product", "channel"]
BATCH_ROWS = 100_000

BRONZE_LINEAGE = pa.schema(
    [
        ("_corrupt_record", pa.string()),
        ("_source_file", pa.string()),
        ("_row_number", pa.int64()),
        ("_ingested_at", pa.timestamp("us", "UTC")),
        ("_batch_id", pa.string()),
    ]
)

# A regular expression decides before the cast, since DuckDB's cast rounds 12.345 in silence and
# takes more forms of a date than YYYY-MM-DD.
CHECKED = r"""
create or replace temp macro checked(records) as table
with trimmed as (
    select
        *,
        nullif(trim(customer_id), '') as t_customer_id,
        nullif(trim(amount), '') as t_amount,
        nullif(trim(order_date), '') as t_order_date
    from query_table(records)
),
typed as (
    select
        *,
        case when regexp_full_match(t_amount, '[+-]?[0-9]+(\.[0-9]{1,2}0*)?')
            then try_cast(t_amount as decimal(18, 2)) end as v_amount,
        case when regexp_full_match(t_order_date, '[0-9]{4}-[0-9]{2}-[0-9]{2}')
            then try_cast(t_order_date as date) end as v_order_date
    from trimmed
)
select
    *,
    case when _corrupt_record is not null then ['record: malformed']
    else list_filter([
        case when t_customer_id is null then 'customer_id: required' end,
        case when t_amount is null then 'amount: required'
             when v_amount is null then 'amount: type' end,
        case when t_order_date is not null and v_order_date is null then 'order_date: type' end
    ], lambda reason: reason is not null) end as _reasons,
    _corrupt_record is null and t_customer_id is not null and v_amount is not null
        and (t_order_date is null or v_order_date is not null) as valid
from typed
"""

# The window runs over the orders that occur more than once, not over all of them. Hashes that
# collide only add candidates.
CANDIDATES = """
create or replace temp table candidates as
with repeated as (
    select hash(trim(order_id)) as key from bronze
    where trim(order_id) <> '' group by all having count(*) > 1
)
from bronze semi join repeated on hash(trim(order_id)) = key
"""

SUPERSEDED = """
create or replace temp table superseded as
with ranked as (
    select
        _source_file, _row_number, _batch_id,
        first_value(_source_file) over latest as _superseded_by_file,
        first_value(_row_number) over latest as _superseded_by_row,
        row_number() over latest as place
    from checked('candidates')
    where valid
    window latest as (
        partition by trim(order_id) order by _batch_id desc, _source_file desc, _row_number desc
    )
)
select * exclude (place) from ranked where place > 1
"""

SALES_CLEAN = """
select
    nullif(trim(order_id), '') as order_id,
    t_customer_id as customer_id,
    v_amount as amount,
    v_order_date as order_date,
    nullif(trim(product), '') as product,
    nullif(trim(channel), '') as channel,
    _source_file, _row_number, _batch_id
from checked('bronze') anti join superseded using (_source_file, _row_number)
where valid
"""

QUARANTINE = """
select * exclude (t_customer_id, t_amount, t_order_date, v_amount, v_order_date, valid)
from checked('bronze') where not valid
"""

CUSTOMER_METRICS = """
select
    customer_id,
    count(*) as frequency,
    sum(amount)::decimal(28, 2) as total_spent,
    total_spent::double / frequency as avg_ticket
from sales_clean group by customer_id
"""


def landing_files(landing: Path) -> dict[str, Path]:
    """Return the received files by the name they have in `_source_file`, in order."""
    if landing.is_file():
        return {landing.name: landing}
    return {str(path.relative_to(landing)): path for path in sorted(landing.rglob("*.csv"))}


def header_of(path: Path) -> list[str]:
    """Return the column names of a file."""
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


class Lakehouse:
    """The Delta tables under one folder, written from DuckDB queries and read back as views."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, root: Path) -> None:
        self.connection = connection
        self.root = root

    def write(self, table: str, rows: pa.RecordBatchReader) -> None:
        """Replace a table with a stream of rows, and open it as a view of its own name."""
        path = self.root / table.replace(".", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_deltalake(path, rows, mode="overwrite", schema_mode="overwrite")
        files = DeltaTable(path).file_uris()
        view = table.split(".")[1]
        if files:
            self.connection.read_parquet(files).create_view(view, replace=True)

    def write_query(self, table: str, query: str) -> None:
        """Replace a table with the rows of a query."""
        self.write(table, self.connection.sql(query).to_arrow_reader(BATCH_ROWS))


def bronze_batches(
    connection: duckdb.DuckDBPyConnection,
    files: dict[str, Path],
    schema: pa.Schema,
    received_at: datetime,
    batch_id: str,
) -> Iterator[pa.RecordBatch]:
    """Read every record of every file as strings, with its ordinal in the file.

    DuckDB numbers the lines it rejects, not those it accepts. A first pass finds the rejects; in
    the second one an accepted record comes after as many rejects as lie before it.

    Yields:
        Batches with the columns of the schema, the rejects of a file first.
    """
    for number, (name, path) in enumerate(files.items()):
        header = header_of(path)
        scan = partial(
            connection.read_csv,
            str(path),
            columns=dict.fromkeys(header, "varchar"),
            header=True,
            sep=",",
            quotechar='"',
            escapechar='"',
            auto_detect=False,
        )
        rejects = f"rejects_{number}"
        read_all = ", ".join(f'max("{column}")' for column in header)
        scan(
            store_rejects=True,
            rejects_limit=0,
            rejects_table=rejects,
            rejects_scan=f"scan_{number}",
        ).aggregate(read_all).fetchall()
        rejected = (
            connection.table(rejects)
            .aggregate("line - 1 as ordinal, any_value(csv_line) as text", "line")
            .order("ordinal")
            .to_arrow_table()
        )

        def batch(
            columns: dict[str, pa.Array], ordinals: pa.Array, rows: int, name: str = name
        ) -> pa.RecordBatch:
            lineage = {
                "_source_file": pa.repeat(name, rows),
                "_row_number": ordinals,
                "_ingested_at": pa.repeat(pa.scalar(received_at, pa.timestamp("us", "UTC")), rows),
                "_batch_id": pa.repeat(batch_id, rows),
            }
            found = columns | lineage
            return pa.record_batch(
                [found.get(field.name, pa.nulls(rows, field.type)) for field in schema],
                schema=schema,
            )

        if rejected.num_rows:
            malformed = rejected.combine_chunks().to_batches()[0]
            yield batch(
                {"_corrupt_record": malformed["text"]},
                malformed["ordinal"].cast(pa.int64()),
                malformed.num_rows,
            )
        # Reject i stands behind (ordinal - i - 1) accepted records.
        accepted_before = rejected["ordinal"].to_numpy().astype(np.int64) - 1
        accepted_before -= np.arange(rejected.num_rows)
        done = 0
        for read in scan(ignore_errors=True).to_arrow_reader(BATCH_ROWS):
            places = np.arange(done, done + read.num_rows)
            ordinals = places + 1 + np.searchsorted(accepted_before, places, side="right")
            done += read.num_rows
            yield batch(
                dict(zip(header, read.columns, strict=True)), pa.array(ordinals), read.num_rows
            )


def write_bronze(lakehouse: Lakehouse, landing: Path) -> None:
    """Write every received record, malformed ones with their text."""
    now = datetime.now(UTC)
    files = landing_files(landing)
    if not files:
        sys.exit(f"{landing}: expected CSV files, found none")
    received = list(
        dict.fromkeys([n for path in files.values() for n in header_of(path)] + EXPECTED)
    )
    schema = pa.schema([*((name, pa.string()) for name in received), *BRONZE_LINEAGE])
    batches = bronze_batches(
        lakehouse.connection, files, schema, now, now.strftime("%Y%m%dT%H%M%S%fZ")
    )
    lakehouse.write("bronze.sales_raw", pa.RecordBatchReader.from_batches(schema, batches))
    lakehouse.connection.execute("create or replace temp view bronze as from sales_raw")


def write_silver(lakehouse: Lakehouse) -> None:
    """Write valid sales, one row an order, and what was rejected or superseded."""
    lakehouse.connection.execute(CHECKED)
    lakehouse.connection.execute(CANDIDATES)
    lakehouse.connection.execute(SUPERSEDED)
    lakehouse.write_query("silver.sales_superseded", "from superseded")
    lakehouse.write_query("silver.sales_quarantine", QUARANTINE)
    lakehouse.write_query("silver.sales_clean", SALES_CLEAN)


def write_gold(lakehouse: Lakehouse) -> None:
    """Write customer metrics, and the dataset of each listed model version."""
    lakehouse.write_query("gold_core.customer_metrics", CUSTOMER_METRICS)
    for model in json.loads(MODELS.read_text(encoding="utf-8"))["models"]:
        columns = dict.fromkeys(["customer_id", *model["feature_columns"], model["target_column"]])
        dataset = lakehouse.connection.view("customer_metrics").select(*columns)
        lakehouse.write(
            f"gold_ml.{model['model_name']}_v{model['version']}",
            dataset.to_arrow_reader(BATCH_ROWS),
        )


def main() -> None:
    """Write all tables."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        lakehouse = Lakehouse(connection, Path(os.environ["LAKEHOUSE_ROOT"]) / "local")
        write_bronze(lakehouse, Path(os.environ["RAW_SALES_PATH"]))
        write_silver(lakehouse)
        write_gold(lakehouse)


if __name__ == "__main__":
    main()
