"""Customer metrics: values to the bit, and the wiring."""

from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from nbx_medallion.pipelines import gold_core
from nbx_medallion.pipelines.gold_core.nodes import build_customer_metrics

SCHEMA = "order_id string, customer_id string, amount decimal(18,2), _batch_id string"
_CENTS = st.integers(-(10**18) + 1, 10**18 - 1)


def _metrics(session: SparkSession, sales: list[tuple[str | None, str | None]]) -> list[tuple]:  # type: ignore[type-arg]
    rows = [
        (str(i), customer, None if amount is None else Decimal(amount), "batch")
        for i, (customer, amount) in enumerate(sales)
    ]
    frame = build_customer_metrics(session.createDataFrame(rows, SCHEMA))
    assert [(field.name, field.dataType.simpleString()) for field in frame.schema] == [
        ("customer_id", "string"),
        ("frequency", "bigint"),
        ("total_spent", "decimal(28,2)"),
        ("avg_ticket", "double"),
    ]
    return sorted(map(tuple, frame.collect()))


def test_one_row_a_customer(engine_session: SparkSession) -> None:
    sales = [
        ("0042", "10.00"),
        ("0042", "0.01"),
        ("42", "-5.00"),
        ("a", "0.10"),
        ("a", "0.20"),
        ("a", "0.00"),
        (None, "99.00"),
    ]
    assert _metrics(engine_session, sales) == [
        ("0042", 2, Decimal("10.01"), 10.01 / 2),
        ("42", 1, Decimal("-5.00"), -5.0),
        ("a", 3, Decimal("0.30"), 0.3 / 3),
    ]


def test_an_amount_that_is_null_adds_nothing(engine_session: SparkSession) -> None:
    assert _metrics(engine_session, [("a", None), ("b", None), ("b", "3.00")]) == [
        ("a", 1, Decimal("0.00"), 0.0),
        ("b", 2, Decimal("3.00"), 1.5),
    ]


def test_no_sales_give_no_customers(engine_session: SparkSession) -> None:
    assert _metrics(engine_session, [(None, "1.00")]) == []


def test_totals_beyond_the_digits_of_a_double_are_exact(engine_session: SparkSession) -> None:
    sales = [("a", "9999999999999999.99")] * 3 + [("b", "90071992547409.93")]
    assert _metrics(engine_session, sales) == [
        ("a", 3, Decimal("29999999999999999.97"), 29999999999999999.97 / 3),
        ("b", 1, Decimal("90071992547409.93"), 90071992547409.93),
    ]


@settings(
    max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(_CENTS, min_size=1, max_size=4), min_size=100, max_size=200))
def test_averages_are_the_same_to_the_bit(
    engine_session: SparkSession, customers: list[list[int]]
) -> None:
    amounts = {str(i): [Decimal(c).scaleb(-2) for c in of] for i, of in enumerate(customers)}
    sales = [(customer, str(amount)) for customer, of in amounts.items() for amount in of]
    assert _metrics(engine_session, sales) == sorted(
        (customer, len(of), sum(of), float(sum(of)) / len(of)) for customer, of in amounts.items()
    )


def test_new_batches_give_what_all_sales_give(engine_session: SparkSession) -> None:
    def sales(*rows: tuple[str | None, str | None, str]) -> DataFrame:
        amounts = [(c, None if a is None else Decimal(a), batch) for c, a, batch in rows]
        return engine_session.createDataFrame(
            amounts, "customer_id string, amount decimal(18,2), _batch_id string"
        )

    first = (("a", "1.10", "1"), ("a", "2.00", "1"), ("b", "0.30", "1"), (None, "5.00", "1"))
    new = (("a", "-1.00", "2"), ("c", None, "3"), (None, "7.00", "3"), ("c", "0.10", "2"))
    earlier = build_customer_metrics(sales(*first))
    for batches, rows in ((["2", "3"], first + new), (["4"], first), (["2"], first)):
        extended = build_customer_metrics(sales(*rows), earlier, batches)
        assert extended.dtypes == earlier.dtypes
        whole = build_customer_metrics(sales(*rows)).collect()
        assert sorted(extended.collect()) == sorted(whole)


def test_the_pipeline_reads_sales_and_writes_metrics() -> None:
    pipeline = gold_core.create_pipeline()
    assert [node.name for node in pipeline.nodes] == ["build_customer_metrics"]
    table = "gold_core_customer_metrics"
    assert pipeline.inputs() == {
        "silver_sales_clean", f"{table}_earlier", f"{table}_new_batches",
    }  # fmt: skip
    assert pipeline.outputs() == {"gold_core_customer_metrics"}
    assert pipeline.nodes[0].tags == {"gold_core"}
