"""Nodes of the gold core layer."""

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def build_customer_metrics(
    sales: DataFrame, earlier: DataFrame | None = None, batches: Sequence[str] | None = None
) -> DataFrame:
    """Sum up the sales of each customer.

    Sales without a customer are left out; an amount that is NULL adds nothing to the total.
    `avg_ticket` divides doubles, and `total_spent` becomes a double by way of text: the average of
    a decimal, decimal division and the cast from decimal to double round otherwise on each engine.

    Args:
        sales: A row a sale, with `customer_id` and `amount` decimal(18,2).
        earlier: What this gave for the sales of all other batches.
        batches: The batches that are new, None for all. Only their customers are summed up again.

    Returns:
        A row a customer: `customer_id`, `frequency` (sales, bigint), `total_spent` (exact sum, in
        the unit of `amount`, decimal(28,2)), `avg_ticket` (total by frequency, double).
    """
    if batches is None or earlier is None:
        return _sum_up(sales)
    met = sales.where(F.col("_batch_id").isin(*batches)).select("customer_id").distinct()
    again = _sum_up(sales.join(met, "customer_id", "left_semi"))
    return again.unionByName(earlier.join(met, "customer_id", "left_anti"))


def _sum_up(sales: DataFrame) -> DataFrame:
    total_spent = F.col("total_spent").cast("string").cast("double")
    return (
        sales.where(F.col("customer_id").isNotNull())
        .groupBy("customer_id")
        .agg(
            F.count(F.lit(1)).alias("frequency"),
            F.coalesce(F.sum("amount"), F.lit(0)).cast("decimal(28,2)").alias("total_spent"),
        )
        .select(
            "customer_id",
            "frequency",
            "total_spent",
            (total_spent / F.col("frequency").cast("double")).alias("avg_ticket"),
        )
    )
