"""Silver on small frames, on each engine: each record is in exactly one of three tables."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from silver_tables import bronze, contract_of, plain, silver_contract, split

from nbx_medallion.contracts.source import Source
from nbx_medallion.pipelines.silver.nodes import profile_records
from nbx_medallion.pipelines.silver.pipeline import create_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DEFAULT = ["order_id", "customer_id", "amount", "order_date", "product", "channel"]
D = Decimal


def test_each_record_is_clean_or_quarantined_or_superseded(engine_session: SparkSession) -> None:
    contract = silver_contract()
    day = date(2020, 1, 1)
    frame = bronze(
        engine_session,
        [*DEFAULT, "extra col"],
        [
            ("1", "c1", "10.00", "2020-01-01", "p", "web", "e", None, "a.csv", 1, "b1"),
            (" 1", " c1 ", "11", "2020-01-01", "p", "web", None, None, "a.csv", 2, "b1"),
            ("1", "c1", "bad", "2020-01-01", "p", "web", None, None, "z.csv", 9, "b9"),
            (None, "c2", "x", "2020-02-30", "p", "  ", "e", None, "a.csv", 3, "b1"),
            (None, " ", "  ", None, "p", None, None, None, "a.csv", 4, "b1"),
            (None, None, None, None, None, None, None, "raw", "a.csv", 5, "b1"),
            (None, "c2", "-5", None, None, None, None, None, "a.csv", 6, "b1"),
            ("  ", "c2", "-5", None, None, None, None, None, "a.csv", 7, "b1"),
            ("0042", "c2", "7.10", None, None, " x ", None, None, "a.csv", 8, "b1"),
            ("1", "c1", "12", None, None, None, None, None, "a.csv", 1, "b2"),
        ],
    )
    quarantine, superseded, clean = split(frame, contract)
    assert plain(superseded) == [
        ("a.csv", 1, "b1", "a.csv", 1, "b2"),
        ("a.csv", 2, "b1", "a.csv", 1, "b2"),
    ]
    assert plain(clean) == sorted(
        [
            (None, "c2", D("-5.00"), None, None, None, "a.csv", 6, "b1"),
            (None, "c2", D("-5.00"), None, None, None, "a.csv", 7, "b1"),
            ("0042", "c2", D("7.10"), None, None, "x", "a.csv", 8, "b1"),
            ("1", "c1", D("12.00"), None, None, None, "a.csv", 1, "b2"),
        ],
        key=repr,
    )
    assert [(f.name, f.dataType.simpleString()) for f in clean.schema] == list(contract.schema)
    assert quarantine.columns == [
        *DEFAULT, "extra col", "_corrupt_record", "_reasons", "_source_file", "_row_number",
        "_ingested_at", "_batch_id",
    ]  # fmt: skip
    kept = quarantine.drop("_ingested_at")
    assert plain(kept) == sorted(
        [
            ("1", "c1", "bad", str(day), "p", "web", None, None, ("amount: type",), "z.csv", 9,
             "b9"),
            (None, "c2", "x", "2020-02-30", "p", "  ", "e", None,
             ("amount: type", "order_date: type"), "a.csv", 3, "b1"),
            (None, " ", "  ", None, "p", None, None, None,
             ("customer_id: required", "amount: required"), "a.csv", 4, "b1"),
            (None,) * 7 + ("raw", ("record: malformed",), "a.csv", 5, "b1"),
        ],
        key=repr,
    )  # fmt: skip
    assert plain(profile_records(clean, quarantine, None, contract)) == [
        ("reason", "amount: required", 1),
        ("reason", "amount: type", 2),
        ("reason", "customer_id: required", 1),
        ("reason", "order_date: type", 1),
        ("reason", "record: malformed", 1),
        ("warning", "amount_not_negative", 2),
    ]


def test_a_malformed_record_has_the_reason_of_bronze_alone(engine_session: SparkSession) -> None:
    from pyspark.sql import functions as F

    rows = [("c1", "5", None, "a.csv", 1, "b1"), (None, None, "c", "a.csv", 2, "b1")]
    received = bronze(engine_session, ["customer_id", "amount"], rows)
    why = F.when(F.col("_corrupt_record").isNotNull(), "record: 1 field, header has 2")
    for frame in (received.withColumn("_corrupt_reason", why), received):
        quarantine, _, clean = split(frame, silver_contract())
        known = "_corrupt_reason" in frame.columns
        told = "record: 1 field, header has 2" if known else "record: malformed"
        assert plain(quarantine.select("_corrupt_record", "_reasons")) == [("c", (told,))]
        assert "_corrupt_reason" not in quarantine.columns
        assert len(plain(clean)) == 1


def test_what_nobody_sees_and_nul_alone_are_absent(engine_session: SparkSession) -> None:
    frame = bronze(
        engine_session,
        ["customer_id", "amount", "product"],
        [
            ("\u200bc1\ufeff", "\u2060 5\u00ad", "\0", None, "a.csv", 1, "b1"),
            ("c\0", "5", "\u200b", None, "a.csv", 2, "b1"),
            ("\0\0", "\u200e", None, None, "a.csv", 3, "b1"),
            (" \0\ufeff", "1\0", None, None, "a.csv", 4, "b1"),
        ],
    )
    quarantine, _, clean = split(frame, silver_contract())
    assert plain(clean.select("customer_id", "amount", "product")) == [
        ("c1", D("5.00"), None), ("c\0", D("5.00"), None)
    ]  # fmt: skip
    assert plain(quarantine.select("_row_number", "_reasons")) == [
        (3, ("customer_id: required", "amount: required")),
        (4, ("customer_id: required", "amount: type")),
    ]


def test_columns_that_a_file_lacks_are_null_in_exact_case(engine_session: SparkSession) -> None:
    contract = silver_contract()
    frame = bronze(
        engine_session,
        ["Amount", "customer_id"],
        [("5", "c1", None, "a.csv", 1, "b1"), ("5", None, None, "a.csv", 2, "b1")],
    )
    quarantine, superseded, clean = split(frame, contract)
    assert plain(superseded) == []
    assert superseded.columns == [
        "_source_file", "_row_number", "_batch_id", "_superseded_by_file", "_superseded_by_row",
        "_superseded_by_batch",
    ]  # fmt: skip
    assert plain(clean) == []
    assert plain(quarantine.select("_reasons", "_row_number")) == [
        (("amount: required",), 1),
        (("customer_id: required", "amount: required"), 2),
    ]


def test_only_customer_and_amount_are_enough(engine_session: SparkSession) -> None:
    contract = silver_contract()
    rows = [("c1", "5", None, "a.csv", 1, "b1"), ("c1", "5", None, "a.csv", 2, "b1")]
    frame = bronze(engine_session, ["customer_id", "amount"], rows)
    _, _, clean = split(frame, contract)
    assert [row[:3] for row in plain(clean)] == [(None, "c1", D("5.00"))] * 2


OTHER_COMPANY = """
  - {name: order_id, physicalType: string, transformLogic: "`Invoice No`", primaryKey: true,
     primaryKeyPosition: 1}
  - {name: line, physicalType: int, transformLogic: "`Line`", primaryKey: true,
     primaryKeyPosition: 2}
  - {name: customer_id, physicalType: string, transformLogic: "`Customer ID`", required: true}
  - {name: amount, physicalType: "decimal(18,2)", required: true,
     transformLogic: "Quantity * cast(translate(UnitPrice, ',.', '.') as decimal(12,4))"}
  - {name: order_date, physicalType: date, transformLogic: "to_date(`Invoice Date`, 'dd/MM/yyyy')",
     logicalTypeOptions: {minimum: 2010-01-01, exclusiveMaximum: '2030-01-01'}}
  - name: channel
    physicalType: string
    transformLogic: "case when Shop = 'W' then 'web' else Shop end"
    logicalTypeOptions: {maxLength: 5, pattern: '^[a-z]+$'}
    enum: [{value: web}, {value: shop}, {value: telephone}]
"""
OTHER_TABLE = """  customProperties: [{property: latestBy, value: order_date}]
  quality:
  - {name: refund_has_day, type: custom, engine: spark,
     implementation: "amount >= 0 or order_date is not null"}
  - {name: large, type: custom, engine: spark, severity: warning, implementation: "amount < 1000"}
"""


def test_another_company_needs_a_contract_and_no_code(engine_session: SparkSession) -> None:
    contract = contract_of(OTHER_COMPANY, OTHER_TABLE)
    received = [
        "Invoice No",
        "Line",
        "Customer ID",
        "Quantity",
        "UnitPrice",
        "Invoice Date",
        "Shop",
    ]
    rows: list[tuple[Any, ...]] = [
        ("A", "1", "7", "6", "2,55", "31/12/2020", "W"),
        ("A", "01", "7", "3", "1.000,10", "01/01/2020", "shop"),
        ("A", "2", "7", "1", "1,00", None, None),
        ("A", "x", "7", "1", "1,00", None, None),
        ("B", "1", "7", "-1", "1,00", None, "fax"),
        ("C", "1", "7", "2", None, "31/02/2020", "telephone"),
        ("D", "1", "7", "two", "1,00", "31/12/2031", "FAX no"),
        ("E", "1", "7", "2", "0,005", "31/12/2009", "web"),
    ]
    frame = bronze(
        engine_session, received, [(*row, None, "f", at, "b") for at, row in enumerate(rows, 1)]
    )
    quarantine, superseded, clean = split(frame, contract)
    assert plain(superseded) == [("f", 2, "b", "f", 1, "b")]
    assert [row[:6] for row in plain(clean)] == [
        ("A", 1, "7", D("15.30"), date(2020, 12, 31), "web"),
        ("A", 2, "7", D("1.00"), None, None),
    ]
    assert plain(quarantine.select("_row_number", "_reasons")) == [
        (4, ("line: type",)),
        (5, ("channel: enum", "refund_has_day: rule")),
        (6, ("amount: required", "order_date: type", "channel: length")),
        (7, ("amount: type", "order_date: maximum", "channel: enum", "channel: pattern",
             "channel: length")),
        (8, ("order_date: minimum",)),
    ]  # fmt: skip
    assert quarantine.columns[: len(received)] == received


def test_every_kind_of_rule_gives_its_reason(engine_session: SparkSession) -> None:
    contract = contract_of(
        """
  - {name: a, physicalType: bigint, logicalTypeOptions: {minimum: 1, exclusiveMaximum: 10},
     enum: [{value: 2}, {value: 3}, {value: 0}, {value: 10}]}
  - {name: b, physicalType: double, logicalTypeOptions: {exclusiveMinimum: 0.5, maximum: 2}}
  - {name: c, physicalType: boolean, required: true}
  - {name: d, physicalType: string, logicalTypeOptions: {minLength: 2, maxLength: 3}}
  - {name: e, physicalType: timestamp, logicalTypeOptions: {minimum: '2020-01-01T00:00:00Z'}}
  - name: f
    physicalType: string
    enum: [{value: x}, {value: y}]
    quality:
    - {name: f_of_a, type: custom, engine: spark, implementation: "f = 'x' or a > 2"}
""",
        """  quality:
  - {name: b_over_a, type: custom, engine: spark, implementation: "b > a"}
""",
    )
    rows: list[tuple[Any, ...]] = [
        ("2", "1.5", "true", "ab", "2020-01-01 00:00:00", "x"),
        ("0", "0.5", "false", "a", "2019-12-31 23:59:59", "y"),
        ("10", "2.5", None, "abcd", None, "z"),
        ("x", "y", "z", None, "w", None),
        (None, None, "TRUE", None, None, None),
    ]
    frame = bronze(
        engine_session,
        list("abcdef"),
        [(*row, None, "f", at, "b") for at, row in enumerate(rows, 1)],
    )
    quarantine, superseded, clean = split(frame, contract)
    assert plain(quarantine.select("_row_number", "_reasons")) == [
        (1, ("b_over_a: rule",)),
        (2, ("a: minimum", "b: minimum", "d: length", "e: minimum", "f_of_a: rule")),
        (3, ("a: maximum", "b: maximum", "c: required", "d: length", "f: enum",
             "b_over_a: rule")),
        (4, ("a: type", "b: type", "c: type", "e: type")),
    ]  # fmt: skip
    assert plain(superseded) == []
    assert [row[-2] for row in plain(clean)] == [5]


KEYED = """
  - {name: k, physicalType: "decimal(20,1)", primaryKey: true}
  - {name: at, physicalType: date}
  - {name: v, physicalType: int, required: true}
"""
LATEST_BY = "  customProperties: [{property: latestBy, value: at}]\n"
records = st.tuples(
    st.sampled_from(["1", "1.0", " 01", "2", "", "x", "-1"]),
    st.sampled_from(["2020-01-01", "2020-01-02", "", "bad"]),
    st.sampled_from(["1", "2", "y"]),
    st.sampled_from(["a.csv", "b.csv"]),
    st.sampled_from(["b1", "b2"]),
)


def expected_losers(rows: list[tuple[Any, ...]], latest_by: bool) -> list[tuple[Any, ...]]:
    """Which records lose, and to which, by plain Python."""
    groups: dict[Decimal, list[tuple[Any, ...]]] = {}
    for k, at, v, file, batch, number in rows:
        if v != "y" and at != "bad" and k not in {"", "x"}:
            rank = (at if latest_by else "", batch, file, number)
            groups.setdefault(D(k), []).append((rank, (file, number, batch)))
    losers = []
    for group in groups.values():
        *lost, (_, kept) = sorted(group)
        losers += [(*record, *kept) for _, record in lost]
    return sorted(losers, key=repr)


@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(given_rows=st.lists(records, max_size=60), latest_by=st.booleans())
def test_the_latest_valid_record_of_a_key_wins(
    engine_session: SparkSession, given_rows: list[tuple[Any, ...]], latest_by: bool
) -> None:
    contract = contract_of(KEYED, LATEST_BY if latest_by else "")
    rows = [(*row, number) for number, row in enumerate(given_rows, 1)]
    frame = bronze(
        engine_session,
        ["k", "at", "v"],
        [(k, at, v, None, file, number, batch) for k, at, v, file, batch, number in rows],
    )
    quarantine, superseded, clean = split(frame, contract)
    losers = plain(superseded)
    assert losers == expected_losers(rows, latest_by)
    kept = clean.select("_row_number")
    rejected = plain(quarantine.select("_row_number", "_reasons"))
    numbers = [row[0] for row in plain(kept)] + [row[1] for row in losers]
    assert sorted(numbers + [row[0] for row in rejected]) == [row[-1] for row in rows]
    assert all(reasons for _, reasons in rejected)


def test_the_pipeline_splits_bronze_into_the_silver_tables_of_each_source() -> None:
    pipeline = create_pipeline([Source("sales"), Source("returns")])

    of_sales = pipeline.filter(node_namespaces=["sales"])
    assert of_sales.inputs() == {
        "bronze_sales_raw", "sales.silver_batches", "sales.silver_clean_before",
        "sales.silver_clean_replaced",
        "sales.silver_contract",
    }  # fmt: skip
    assert of_sales.all_outputs() == {
        "silver_sales_superseded",
        "silver_sales_clean",
        "silver_sales_quarantine",
        "sales.silver_new_records",
        "sales.silver_profile",
    }
    assert {node.name for node in pipeline.nodes} == {
        f"{source}.{node.func.__name__}"
        for node in of_sales.nodes
        for source in ("sales", "returns")
    }
