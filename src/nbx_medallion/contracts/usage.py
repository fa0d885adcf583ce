"""What a contract must be, beyond being valid: for its layer, and for the code that reads it."""

from nbx_medallion.contracts.model import Contract
from nbx_medallion.contracts.types import parse_type
from nbx_medallion.errors import UserError

#: Columns that `gold_core.customer_metrics` is computed from: any type a value fits without loss.
_SALES = {"customer_id": "string", "amount": "decimal(18,2)"}


def check_layer(contract: Contract) -> None:
    """Check that the contract of a bronze table describes it as received.

    Args:
        contract: A contract of any table.

    Raises:
        UserError: A bronze contract computes, rejects or deduplicates.
    """
    if not contract.table.startswith("bronze."):
        return
    forbidden = [
        f"{column.name}: transformLogic" for column in contract.columns if column.expression
    ]
    forbidden += [f"{rule.name}: quality" for rule in contract.rules]
    forbidden += [f"{threshold.name}: quality" for threshold in contract.thresholds]
    forbidden += [f"{name}: primaryKey" for name in contract.primary_key]
    if forbidden:
        listed = "\n".join(f"  {entry}" for entry in forbidden)
        raise UserError(
            f"{contract.table}: bronze is kept as received, and its contract has entries that"
            f" compute, reject or deduplicate:\n{listed}\n"
            "Move them to the contract of a silver table."
        )


def check_usage(sales: Contract) -> None:
    """Check that the contract of the clean sales has what customer metrics are computed from.

    Args:
        sales: Contract of ``silver.sales_clean``.

    Raises:
        UserError: A column is missing, or its type would lose digits.
    """
    types = dict(sales.schema)
    wrong = [
        f"  {name}: expected {needed}, found {types.get(name, 'no such column')}"
        for name, needed in _SALES.items()
        if not _fits(types.get(name), needed)
    ]
    if wrong:
        listed = "\n".join(wrong)
        raise UserError(
            f"{sales.table}: gold_core.customer_metrics is computed from columns that the contract"
            f" does not have so:\n{listed}\n"
            "Give them in the contract; a transformLogic can compute them from other columns."
        )


def _fits(declared: str | None, needed: str) -> bool:
    if declared == needed:
        return True
    found, wanted = parse_type(declared or ""), parse_type(needed)
    if found is None or wanted is None or found.name != "decimal" or wanted.name != "decimal":
        return False
    whole = found.precision - found.scale
    return found.scale <= wanted.scale and whole <= wanted.precision - wanted.scale
