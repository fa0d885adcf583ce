"""Nodes of the gold core layer."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def build_customer_metrics(sales: DataFrame) -> DataFrame:
    """Sum up the sales of each customer.

    Sales without a customer are left out; an amount that is NULL adds nothing to the total.
    `avg_ticket` divides doubles, and `total_spent` becomes a double by way of text: the average of
    a decimal, decimal division and the cast from decimal to double round otherwise on each engine.

    Args:
        sales: A row a sale, with `customer_id` and `amount` decimal(18,2).

    Returns:
        A row a customer: `customer_id`, `frequency` (sales, bigint), `total_spent` (exact sum, in
        the unit of `amount`, decimal(28,2)), `avg_ticket` (total by frequency, double).
    """
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
