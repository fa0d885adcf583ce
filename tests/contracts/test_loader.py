"""Contract files: what is read from them, and how each mistake is told."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from nbx_medallion.contracts.loader import parse_contract
from nbx_medallion.contracts.model import Contract, Threshold
from nbx_medallion.errors import UserError

CONTRACTS = Path(__file__).parents[2] / "conf/base/contracts"
FILE = "silver/sales_clean.odcs.yaml"
HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: silver.sales_clean
version: 1.0.0
"""


def parse(properties: str, table: str = "", head: str = HEAD, file: str = FILE) -> Contract:
    return parse_contract(
        f"{head}schema:\n- name: sales_clean\n{table}  properties:\n{properties}", file
    )


def problems(properties: str, table: str = "", head: str = HEAD, file: str = FILE) -> list[str]:
    """The lines of the message, without its first."""
    with pytest.raises(UserError) as caught:
        parse(properties, table, head, file)
    first, *lines = str(caught.value).split("\n")
    assert first == f"{file}: the contract cannot be used:"
    return [line.removeprefix("  - ") for line in lines]


@pytest.mark.parametrize("file", sorted(CONTRACTS.rglob("*.yaml")), ids=lambda file: file.name)
def test_every_shipped_contract_is_valid_and_described(file: Path) -> None:
    name = file.relative_to(CONTRACTS).as_posix()
    contract = parse_contract(file.read_text(encoding="utf-8"), name)
    assert f"{contract.table.replace('.', '/')}.odcs.yaml" == name
    assert contract.description
    assert all(contract.comments[column] for column, _ in contract.schema)
    assert pickle.loads(pickle.dumps(contract)) == contract  # noqa: S301


def test_the_default_sales_contract() -> None:
    contract = parse_contract((CONTRACTS / FILE).read_text(encoding="utf-8"), f"conf/{FILE}")
    assert contract.schema == (
        ("order_id", "string"),
        ("customer_id", "string"),
        ("amount", "decimal(18,2)"),
        ("order_date", "date"),
        ("product", "string"),
        ("channel", "string"),
        ("_source_file", "string"),
        ("_row_number", "bigint"),
        ("_batch_id", "string"),
    )
    assert contract.primary_key == ("order_id",)
    assert [column.name for column in contract.columns if column.required] == [
        "customer_id",
        "amount",
    ]
    assert [(r.name, r.severity, r.columns, r.column) for r in contract.rules] == [
        ("amount_not_negative", "warning", ("amount",), "amount")
    ]
    assert contract.thresholds == ()
    assert not contract.open


def test_the_silver_tables_besides_the_clean_one() -> None:
    def read(name: str) -> Contract:
        file = f"silver/{name}.odcs.yaml"
        return parse_contract((CONTRACTS / file).read_text(encoding="utf-8"), file)

    assert read("sales_quarantine").open
    assert [name for name, _ in read("sales_superseded").schema] == [
        "_source_file",
        "_row_number",
        "_batch_id",
        "_superseded_by_file",
        "_superseded_by_row",
    ]


def test_everything_a_column_can_say() -> None:
    contract = parse(
        """
  - name: amount
    physicalType: decimal( 18, 2 )
    logicalType: number
    description: |
      In euro,
      gross.
    transformLogic: "Quantity * `Unit Price`"
    logicalTypeOptions: {minimum: 0.5, exclusiveMaximum: 100}
    enum: [{value: 1}, {value: 2.50}]
  - {name: day, physicalType: date, primaryKey: true, primaryKeyPosition: 2,
     logicalTypeOptions: {minimum: 2020-01-01, maximum: '2021-01-01'}}
  - {name: id, physicalType: string, primaryKey: true, primaryKeyPosition: 1,
     logicalTypeOptions: {pattern: '^\\w+$', minLength: 1, maxLength: 9}}
""",
        """  customProperties: [{property: latestBy, value: day}]
  quality:
  - {name: few, metric: invalidValues, mustBeLessOrEqualTo: 5, unit: percent}
  - {metric: invalidValues, mustBeLessThan: 10, severity: warning}
  - {name: told, type: text, description: Checked by hand.}
""",
    )
    amount, day, key = contract.columns
    assert (amount.physical_type, amount.description) == ("decimal(18,2)", "In euro, gross.")
    assert amount.inputs == ("Quantity", "Unit Price")
    assert (amount.minimum, amount.exclusive_maximum) == (Decimal("0.5"), Decimal(100))
    assert amount.enum == (Decimal(1), Decimal("2.50"))
    assert (day.minimum, day.maximum) == (date(2020, 1, 1), date(2021, 1, 1))
    assert (key.pattern, key.portable_pattern) == (r"^\w+$", "^[A-Za-z0-9_]+$")
    assert (key.min_length, key.max_length) == (1, 9)
    assert contract.primary_key == ("id", "day")
    assert contract.latest_by == "day"
    assert contract.inputs == ("Quantity", "Unit Price", "day", "id")
    assert contract.thresholds == (
        Threshold("few", Decimal(5), "percent"),
        Threshold("quarantined_records", Decimal(10), exclusive=True, severity="warning"),
    )


@pytest.mark.parametrize(
    ("threshold", "broken", "kept"),
    [
        (Threshold("t", Decimal(5), "percent"), (51, 1000), (50, 1000)),
        (Threshold("t", Decimal(5), "percent", exclusive=True), (50, 1000), (49, 1000)),
        (Threshold("t", Decimal(0)), (1, 1), (0, 0)),
        (Threshold("t", Decimal(3), exclusive=True), (3, 9), (2, 9)),
    ],
)
def test_a_threshold(threshold: Threshold, broken: tuple[int, int], kept: tuple[int, int]) -> None:
    assert threshold.is_broken(*broken)
    assert not threshold.is_broken(*kept)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", f"{FILE}: line 1, column 6: not valid YAML: expected ',' or ']', but got"
         " '<stream end>'"),
        ("a: 1\nb: 2\na: 3\n", f"{FILE}: line 3, column 1: not valid YAML: the key 'a' is written"
         " twice"),
        ("", f"{FILE}: expected an ODCS document (keys and values), found nothing"),
        ("- a", f"{FILE}: expected an ODCS document (keys and values), found a list"),
        (HEAD, f"{FILE}: the contract cannot be used:\n  - schema: expected one table, found 0"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_contract(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_contract(text, FILE)
    assert str(caught.value) == message


def test_a_file_with_another_name() -> None:
    with pytest.raises(UserError) as caught:
        parse_contract(HEAD, "sales.yaml")
    assert str(caught.value) == (
        "sales.yaml: a contract file is named <schema>/<table>.odcs.yaml, found sales.yaml"
    )


def test_every_mistake_of_a_file_is_in_one_message() -> None:
    assert problems(
        """
  - {name: a b, physicalType: string}
  - {name: a, physicalType: varchar, requird: true}
  - {name: b, physicalType: bigint, logicalType: string, unique: true, physicalName: B}
  - {name: B, physicalType: int, primaryKeyPosition: 1}
  - {name: c, physicalType: "decimal(2,1)", logicalTypeOptions: {minimum: 10, max: 3}}
  - {name: d, physicalType: date, logicalTypeOptions: {minimum: yesterday},
     enum: [{value: 2020-01-01}, {value: 7}]}
  - {name: e, physicalType: string, logicalTypeOptions: {pattern: '(?=a)', minLength: -1}}
""",
        "  customProperties: [{property: latestby, value: x}]\n  physicalName: s\n",
        head=HEAD.replace("v3.1.0", "v2.2.0").replace("id: silver.sales_clean", "id: sales"),
    ) == [
        "schema[sales_clean].properties[a].requird: ODCS has no such key, did you mean 'required'?",
        "apiVersion: expected v3.0.0 or v3.0.1 or v3.0.2 or v3.1.0 or v3.2.0, found 'v2.2.0'",
        "id: expected silver.sales_clean, found 'sales'",
        "schema.physicalName: is not supported",
        "schema.customProperties[latestby]: expected latestBy or openSchema (or a `vendor`), did"
        " you mean 'latestBy'?",
        "a b: expected a name of letters, digits and '_', found 'a b'",
        "a.physicalType: expected string, bigint, int, decimal(p,s), double, date, timestamp,"
        " boolean, array<string>, found 'varchar'",
        "b.physicalName: is not supported here: `name` is the column's name, `transformLogic`"
        " says where it comes from",
        "b.unique: is not supported here: a primaryKey keeps one row a key",
        "b.logicalType: expected integer for bigint, found 'string'",
        "c.logicalTypeOptions.minimum: expected a decimal(2,1), found 10",
        "c.logicalTypeOptions.max: expected minimum or maximum or exclusiveMinimum or"
        " exclusiveMaximum for decimal(2,1), found 'max', did you mean 'maximum'?",
        "d.logicalTypeOptions.minimum: expected a date, found 'yesterday'",
        "d.enum: expected a date, found 7",
        "e.logicalTypeOptions.pattern: '(?=a' is not the same on every engine, found '(?=a)'",
        "e.logicalTypeOptions.minLength: expected a number of characters, found -1",
        "B: is the same column as 'b', case aside",
        "B.primaryKeyPosition: expected `primaryKey: true` with it",
    ]


def test_an_enum_is_a_list_of_values() -> None:
    assert problems("  - {name: a, physicalType: string, enum: [x]}") == [
        "schema[sales_clean].properties[a].enum[0]: input should be a valid dictionary or instance"
        " of EnumValue, found 'x' (write `- value: x`)"
    ]


@pytest.mark.parametrize(
    ("logic", "what"),
    [
        ("a +", "is not valid SQL: Required keyword: 'expression' missing (line 1, column 3)"),
        ("sum(a)", "sum(): an aggregate is not allowed in a row's expression"),
        ("rand() > 1", "rand(): what changes by run is not allowed in a row's expression"),
        ("current_date", "'CURRENT_DATE' is not supported: it changes by run"),
        ("(select 1)", "'(SELECT 1)' is not supported: it is a subquery"),
        ("a; b", "has to be one expression, found 2 statements"),
        ("row_number() over (order by a)",
         "'ROW_NUMBER() OVER (ORDER BY a)' is not supported: it is a window function"),
        ("frobnicate(a)", "frobnicate() is not supported, known are abs, "),
        ("to_date(a, 'QQ')", "to_date(): the format 'QQ' has the element 'QQ', known are "),
        ("a * b * c", "the product needs a decimal of 56 digits, 38 is the most: cast its"),
        ("to_date(a)", "a date cannot be read as a decimal(18,2)"),
        ("'it''s'", "\"CONCAT('it', 's')\" is not supported: write a quote inside a string as \\'"),
    ],
)  # fmt: skip
def test_a_transform_logic_that_cannot_be(logic: str, what: str) -> None:
    quoted = logic.replace('"', '\\"')
    found = problems(f'  - {{name: v, physicalType: "decimal(18,2)", transformLogic: "{quoted}"}}')
    assert len(found) == 1
    assert found[0].startswith(f"v.transformLogic: {what}")
    assert found[0].endswith(f", found {logic!r}")


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("type: custom, engine: spark, implementation: 'b > 0'",
         "schema.quality[r].implementation: there is no column 'b' in the contract, which has a,"
         " found 'b > 0'"),
        ("type: custom, engine: spark, implementation: 'a + 1'",
         "schema.quality[r].implementation: a condition is needed, found a decimal(20,0), found"
         " 'a + 1'"),
        ("type: custom, engine: soda, implementation: 'a > 0'",
         "schema.quality[r]: expected `type: custom` with `engine: spark` (a row rule) or `metric:"
         " invalidValues` (a limit), found type 'custom', engine 'soda'"),
        ("type: custom, engine: spark, implementation: 'a > 0', severity: fatal",
         "schema.quality[r].severity: expected error or warning, found 'fatal'"),
        ("type: custom, engine: spark, implementation: 'a > 0', unit: rows",
         "schema.quality[r].unit: is not supported here"),
        ("metric: rowCount, mustBeLessThan: 3", "schema.quality[r].metric: expected invalidValues,"
         " found 'rowCount'"),
        ("metric: invalidValues, mustBe: 3", "schema.quality[r].mustBe: is not supported here"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be(rule: str, what: str) -> None:
    found = problems(
        "  - {name: a, physicalType: bigint}", f"  quality:\n  - {{name: r, {rule}}}\n"
    )
    assert found[0] == what


def test_rules_are_refused_where_nothing_enforces_them() -> None:
    found = problems(
        "  - {name: a, physicalType: string, enum: [{value: x}], transformLogic: upper(b)}",
        "  quality: [{name: r, type: custom, engine: spark, implementation: a > 'b'}]\n",
        head=HEAD.replace("silver", "gold_core"),
        file="gold_core/sales_clean.odcs.yaml",
    )
    assert found == [
        "a.enum: is not supported here, rules are enforced in closed silver tables only",
        "a.transformLogic: is not supported here, rules are enforced in closed silver tables only",
        "schema.quality[r]: rules are enforced in closed silver tables only",
    ]


def test_a_primary_key_has_each_position_once() -> None:
    assert problems(
        "  - {name: a, physicalType: int, primaryKey: true, primaryKeyPosition: 1}\n"
        "  - {name: b, physicalType: int, primaryKey: true, primaryKeyPosition: 1}"
    ) == ["primaryKeyPosition: expected 1 to 2, each once, found a 1, b 1"]
