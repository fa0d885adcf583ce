"""Contract files: what is read from them, and how each mistake is told."""

from __future__ import annotations

import json
import pickle
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from nbx_medallion.contracts.model import Column, Contract, Limit
from nbx_medallion.contracts.reading import parse_contract
from nbx_medallion.errors import UserError

CONTRACTS = Path(__file__).parents[2] / "conf/base/contracts"
FILE = "silver/sales_clean.odcs.yaml"
UNUSABLE = f"{FILE}: the contract cannot be used:\n  - "
T = "schema[sales_clean]"
C = f"{T}.properties"
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
    assert [(r.name, r.severity, r.expression, r.column) for r in contract.rules] == [
        ("amount_not_negative", "warning", "amount >= 0", "amount")
    ]
    assert contract.limits == ()
    assert not contract.open


@pytest.mark.parametrize(
    ("table", "key", "columns"),
    [
        ("landing_files", (),
         "source: string, event: string, path: string, location: string, size_bytes?: bigint,"
         " modified_at?: timestamp, fingerprint?: string, records: bigint, header?: string,"
         " batch_id: string, reason?: string"),
        ("rule_counts", (),
         "run_id: string, environment: string, table_name: string, kind: string, name: string,"
         " records: bigint"),
        ("run_ledger", ("run_id", "table_name"),
         "run_id: string, environment: string, table_name: string, action: string,"
         " rows_in?: bigint, rows_out?: bigint, rows_quarantined?: bigint,"
         " rows_superseded?: bigint, delta_version_before?: bigint, delta_version_after?: bigint,"
         " seconds?: double"),
        ("runs", (),
         "run_id: string, environment: string, pipelines: string, started_at: timestamp,"
         " seconds: double, status: string, error?: string, git_sha?: string, engine?: string,"
         " plan?: string"),
    ],
)  # fmt: skip
def test_what_is_kept_of_runs_and_files(table: str, key: tuple[str, ...], columns: str) -> None:
    file = f"ops/{table}.odcs.yaml"
    contract = parse_contract((CONTRACTS / file).read_text(encoding="utf-8"), file)
    found = [f"{c.name}{'' if c.required else '?'}: {c.physical_type}" for c in contract.columns]
    assert (contract.primary_key, ", ".join(found)) == (key, columns)


def test_customers_cannot_all_be_gone_and_a_state_is_registered_once() -> None:
    metrics, versions = (
        parse_contract((CONTRACTS / file).read_text(encoding="utf-8"), file)
        for file in (
            "gold_core/customer_metrics.odcs.yaml",
            "ml_registry/model_versions.odcs.yaml",
        )
    )
    assert [(limit.severity, str(limit)) for limit in metrics.row_limits] == [
        ("error", "more than 0 rows")
    ]
    assert versions.primary_key == ("table_name", "definition_hash", "content_hash")


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
  - {metric: rowCount, mustBeGreaterThan: 0, unit: rows}
  - {name: told, type: text, description: Checked by hand.}
""",
    )
    amount, day, key = contract.columns
    assert (amount.physical_type, amount.description) == ("decimal(18,2)", "In euro, gross.")
    assert amount.inputs == ("Quantity", "Unit Price")
    assert (amount.minimum, amount.exclusive_maximum) == (Decimal("0.5"), Decimal(100))
    assert amount.enum == (Decimal(1), Decimal("2.50"))
    assert (day.minimum, day.maximum) == (date(2020, 1, 1), date(2021, 1, 1))
    assert (key.pattern, key.portable_pattern) == (r"^\w+$", r"^[A-Za-z0-9_]+\z")
    assert (key.min_length, key.max_length) == (1, 9)
    assert contract.primary_key == ("id", "day")
    assert contract.latest_by == "day"
    assert contract.inputs == ("Quantity", "Unit Price", "day", "id")
    assert contract.limits == (
        Limit("few", must_be_less_or_equal_to=Decimal(5), unit="percent"),
        Limit(must_be_less_than=Decimal(10), severity="warning"),
    )
    assert contract.row_limits == (Limit(metric="rowCount", must_be_greater_than=Decimal(0)),)


@pytest.mark.parametrize(
    ("limit", "broken", "kept"),
    [
        ({"must_be_less_or_equal_to": 5, "unit": "percent"}, (51, 1000), (50, 1000)),
        ({"must_be_less_than": 5, "unit": "percent"}, (50, 1000), (49, 1000)),
        ({"must_be_less_or_equal_to": 0}, (1, 1), (0, 0)),
        ({"must_be_less_than": 3}, (3, 9), (2, 9)),
    ],
)
def test_a_limit(limit: dict[str, Any], broken: tuple[int, int], kept: tuple[int, int]) -> None:
    assert Limit(**limit).is_broken(*broken)
    assert not Limit(**limit).is_broken(*kept)


@pytest.mark.parametrize(
    ("bound", "text", "broken", "kept"),
    [
        ("must_be_greater_than", "more than 5 rows", (0, 5), (6, 10**12)),
        ("must_be_greater_or_equal_to", "at least 5 rows", (0, 4), (5, 6)),
        ("must_be_less_than", "less than 5 rows", (5, 6), (0, 4)),
        ("must_be_less_or_equal_to", "at most 5 rows", (6, 10**12), (0, 5)),
    ],
)
def test_a_limit_on_rows(
    bound: str, text: str, broken: tuple[int, int], kept: tuple[int, int]
) -> None:
    limit = Limit(metric="rowCount", **{bound: 5})
    assert (limit.name, str(limit)) == ("row_count", text)
    assert [limit.is_broken(rows) for rows in (*broken, *kept)] == [True, True, False, False]


def test_no_rows_break_a_limit_on_rows() -> None:
    assert Limit(metric="rowCount", must_be_greater_than=0).is_broken(0)
    assert not Limit(metric="rowCount", must_be_less_or_equal_to=0).is_broken(0)


def test_limits_as_texts() -> None:
    percent = Limit(must_be_less_or_equal_to=Decimal("2.5"), unit="percent")
    assert (percent.name, str(percent)) == ("quarantined_records", "at most 2.5%")
    assert str(Limit(must_be_less_than=3)) == "less than 3 records"


@pytest.mark.parametrize("schema", ["silver", "gold_core", "gold_ml", "ops"])
@pytest.mark.parametrize("open_schema", ["true", "false"])
def test_a_limit_on_rows_is_for_any_table(schema: str, open_schema: str) -> None:
    contract = parse(
        "  - {name: a, physicalType: string}",
        "  quality: [{name: few, metric: rowCount, mustBeLessThan: 3, severity: warning}]\n"
        f"  customProperties: [{{property: openSchema, value: {open_schema}}}]\n",
        head=HEAD.replace("silver", schema),
        file=f"{schema}/sales_clean.odcs.yaml",
    )
    few = Limit("few", metric="rowCount", must_be_less_than=Decimal(3), severity="warning")
    assert (contract.limits, contract.row_limits) == ((), (few,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", f"{FILE}: line 1, column 6: not valid YAML: expected ',' or ']', but got"
         " '<stream end>'"),
        ("a: 1\nb: 2\na: 3\n", f"{FILE}: line 3, column 1: not valid YAML: the key 'a' is written"
         " twice"),
        ("", f"{UNUSABLE}$: expected keys and values, found null"),
        ("- a", f"{UNUSABLE}$: expected keys and values, found [\"a\"]"),
        (HEAD, f"{UNUSABLE}schema: expected a value, found nothing"),
        (HEAD + "schema: []", f"{UNUSABLE}schema: expected a list of at least one, found []"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_contract(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_contract(text, FILE)
    assert str(caught.value) == message


@pytest.mark.parametrize("file", ["sales.yaml", "sales_clean.odcs.yaml", "silver/Sales.odcs.yaml"])
def test_a_file_with_another_name(file: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_contract(HEAD, file)
    assert str(caught.value).startswith(
        f"{file}: a contract file is named <schema>/<table>.odcs.yaml"
    )


def test_every_mistake_of_a_file_is_in_one_message() -> None:
    assert problems(
        """
  - {name: a b, physicalType: string}
  - {name: a, physicalType: varchar, requird: true, required: 'yes'}
  - {name: b, physicalType: bigint, unique: true, physicalName: B}
  - {name: c, physicalType: "decimal(2,1)", logicalTypeOptions: {minimum: 10, max: 3}}
  - {name: d, physicalType: date, logicalTypeOptions: {minimum: yesterday}}
  - {name: f, physicalType: date, enum: [{value: 2020-01-01}, {value: 7}]}
  - {name: h, physicalType: double, logicalTypeOptions: {minimum: -.inf, maximum: 1e999}}
  - {name: e, physicalType: string, logicalTypeOptions: {pattern: '(?=a)', minLength: -1}}
  - {name: g, physicalType: string, minimum: 1, enum: x}
  - {name: i, physicalType: string, quality: [{metric: invalidValues, arguments: {}}]}
  - {physical_type: int, name: 7}
  - x
""",
        "  customProperties: [{property: latestby, value: x}, {property: y, value: 1, vendor: z}]\n"
        "  physicalName: s\n",
        head=HEAD.replace("v3.1.0", "v2.2.0"),
    ) == [
        "apiVersion: expected 'v3.0.0', 'v3.0.1', 'v3.0.2', 'v3.1.0' or 'v3.2.0', found 'v2.2.0'",
        f"{C}[a b].name: expected a name of letters, digits and '_', found 'a b'",
        f"{C}[a].physicalType: expected string, bigint, int, decimal(p,s), double,"
        " date, timestamp, boolean, array<string>, found 'varchar'",
        f"{C}[a].required: expected true or false, found 'yes'",
        f"{C}[a].requird: is not supported here. Did you mean 'required'?",
        f"{C}[b].unique: is not supported here. A primaryKey keeps one row a key.",
        f"{C}[b].physicalName: is not supported here. The name is `name`,"
        " `transformLogic` says where a column comes from.",
        f"{C}[c].logicalTypeOptions.minimum: expected a decimal(2,1), found 10",
        f"{C}[c].logicalTypeOptions.max: is not supported here. Did you mean"
        " 'logicalTypeOptions.maximum'?",
        f"{C}[d].logicalTypeOptions.minimum: expected a date, found 'yesterday'",
        f"{C}[f].enum: expected a date, found 7",
        f"{C}[h].logicalTypeOptions.minimum: expected a double, found -inf",
        f"{C}[h].logicalTypeOptions.maximum: expected a double, found '1e999'",
        f"{C}[e].logicalTypeOptions.pattern: '(?=a' is not the same on every engine, found '(?=a)'",
        f"{C}[e].logicalTypeOptions.minLength: expected greater than or equal to 0, found -1",
        f"{C}[g].enum: expected a list of `value: ...`, found 'x'",
        f"{C}[g].minimum: is not supported here.",
        f"{C}[i].quality[0].arguments: is not supported here. Here a column's values"
        " have `enum` and `logicalTypeOptions.pattern`.",
        f"{C}[10].name: expected text (in quotes, where it looks like something else), found 7",
        f"{C}[10].physicalType: expected a value, found nothing",
        f"{C}[10].physical_type: is not supported here. Did you mean 'physicalType'?",
        f"{C}[11]: expected keys and values, found 'x'",
        f"{T}.customProperties.latestby: is not supported here. Did you mean 'latestBy'?",
        f"{T}.physicalName: is not supported here. The name is `name`,"
        " `transformLogic` says where a column comes from.",
    ]


def test_all_that_does_not_go_together_is_in_one_message() -> None:
    assert problems(
        """
  - {name: b, physicalType: bigint, logicalType: string}
  - {name: B, physicalType: int, primaryKeyPosition: 1}
  - {name: c, physicalType: bigint, logicalTypeOptions: {pattern: x}}
  - {name: d, physicalType: string, logicalTypeOptions: {maximum: z, maxLength: 1}}
  - {name: e, physicalType: int, logicalTypeOptions: {minimum: 3, maximum: 2}}
  - {name: f, physicalType: array<string>, quality: [{metric: invalidValues, mustBeLessThan: 1}]}
  - {name: _Row_Number, physicalType: bigint}
""",
        head=HEAD.replace("id: silver.sales_clean", "id: sales"),
    ) == [
        "id: expected silver.sales_clean, as the file is named, found 'sales'",
        f"{C}[b].logicalType: expected integer for bigint, found 'string'",
        f"{C}[B].primaryKeyPosition: expected `primaryKey: true` with it",
        f"{C}[c].logicalTypeOptions.pattern: does not apply to a bigint",
        f"{C}[d].logicalTypeOptions.maximum: does not apply to a string",
        f"{C}[e].logicalTypeOptions: no value is from 3 to 2",
        f"{C}[f].physicalType: expected what a received text can be, found array<string>",
        f"{C}[_Row_Number].name: expected another name, '_Row_Number' is a column of ours",
        f"{C}[f].quality[quarantined_records]: a limit is the table's, a column's values have"
        " `enum` and `logicalTypeOptions.pattern`",
        f"{C}: the name 'b' is used 2 times, case aside",
    ]


@pytest.mark.parametrize(
    ("logic", "what"),
    [
        ("a +", "is not valid SQL: Required keyword: 'expression' missing. Line 1, Col: 3."),
        ("sum(a)", "sum() is not supported: it is an aggregate"),
        ("rand() > 1", "rand() is not supported: it changes by run"),
        ("current_date", "'CURRENT_DATE' is not supported: it changes by run"),
        ("(select 1)", "'(SELECT 1)' is not supported: it is a subquery"),
        ("a; b", "has to be one expression, found 2 statements"),
        ("row_number() over (order by a)",
         "'ROW_NUMBER() OVER (ORDER BY a)' is not supported: it is a window function"),
        ("frobnicate(a)", "frobnicate() is not supported, known functions are abs, "),
        ("to_date(a, 'QQ')", "to_date(): the format 'QQ' has 'QQ', known are "),
        ("a * b * c", "the product needs a decimal of 56 digits, 38 is the most: cast its"),
        ("to_date(a)", "a date cannot be read as a decimal(18,2)"),
        ("'it''s'", "\"CONCAT('it', 's')\" is not supported: write a quote inside a string as \\'"),
    ],
)  # fmt: skip
def test_a_transform_logic_that_cannot_be(logic: str, what: str) -> None:
    quoted = logic.replace('"', '\\"')
    contract = parse(
        f'  - {{name: v, physicalType: "decimal(18,2)", transformLogic: "{quoted}"}}\n'
        "  - {name: w, physicalType: int, transformLogic: 'a ='}"
    )
    with pytest.raises(UserError) as caught:
        contract.check_sql()
    first, found, other = str(caught.value).split("\n")
    assert first == f"{FILE}: the contract cannot be used:"
    assert found.startswith(f"  - schema[sales_clean].properties[v].transformLogic: {what}")
    assert found.endswith(f", found {logic!r}")
    assert "properties[w]" in other


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("implementation: 'b > 0'",
         ".implementation: there is no column 'b', the contract has a, found 'b > 0'"),
        ("implementation: 'a + 1'",
         ".implementation: a condition is needed, found a decimal(20,0), found 'a + 1'"),
        ("engine: soda, implementation: 'a > 0'",
         ".engine: expected 'spark', found 'soda'"),
        ("type: library, implementation: 'a > 0'", ".type: expected 'custom', found 'library'"),
        ("implementation: 'a > 0', severity: fatal",
         ".severity: expected 'error' or 'warning', found 'fatal'"),
        ("implementation: 'a > 0', unit: rows", ".unit: is not supported here."),
        ("implementation: 'a > 0', column: a", ".column: is not supported here."),
        ("engine: spark", ".implementation: expected a value, found nothing"),
        ("metric: nullValues, mustBeLessThan: 3",
         ".metric: expected 'invalidValues' or 'rowCount', found 'nullValues'"),
        ("metric: rowCount",
         ": expected one of mustBeLessThan, mustBeLessOrEqualTo, mustBeGreaterThan,"
         " mustBeGreaterOrEqualTo, found none"),
        ("metric: rowCount, mustBeGreaterThan: 0, mustBeLessThan: 9",
         ": expected one of mustBeLessThan, mustBeLessOrEqualTo, mustBeGreaterThan,"
         " mustBeGreaterOrEqualTo, found mustBeLessThan and mustBeGreaterThan"),
        ("metric: rowCount, mustBeLessThan: 9, unit: percent",
         ": expected a number of rows, found unit 'percent'"),
        ("metric: rowCount, mustBeLessThan: 0", ": expected mustBeLessThan above 0, found 0"),
        ("metric: invalidValues, mustBeLessThan: 0", ": expected mustBeLessThan above 0, found 0"),
        ("metric: rowCount, mustBeGreaterThan: -1",
         ".mustBeGreaterThan: expected greater than or equal to 0, found -1"),
        ("metric: invalidValues, mustBeGreaterThan: 3",
         ": expected one of mustBeLessThan, mustBeLessOrEqualTo, found mustBeGreaterThan"),
        ("metric: invalidValues, mustBe: 3",
         ".mustBe: is not supported here. Did you mean 'mustBeLessThan'?"),
        ("metric: invalidValues, mustBeLessThan: .inf",
         ".mustBeLessThan: expected a finite number, found Infinity"),
        ("metric: invalidValues",
         ": expected one of mustBeLessThan, mustBeLessOrEqualTo, found none"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be(rule: str, what: str) -> None:
    kind = "" if "metric" in rule or "type" in rule else "type: custom, "
    engine = "" if "engine" in rule or "metric" in rule else "engine: spark, "
    with pytest.raises(UserError) as caught:
        parse(
            "  - {name: a, physicalType: bigint}",
            f"  quality:\n  - {{name: r, {kind}{engine}{rule}}}\n",
        ).check_sql()
    assert f"  - {T}.quality[r]{what}" in str(caught.value).split("\n")


def test_what_only_informs_is_accepted() -> None:
    inform = "tags: [t], authoritativeDefinitions: [{url: u, type: t}]"
    found = parse(
        f"  - {{name: a, physicalType: int, {inform}, classification: public, examples: [1]}}",
        f"  quality: [{{type: text, {inform}, description: d}}]\n  businessName: b\n",
        head=f"{HEAD}status: active\ndomain: d\ndescription: {{purpose: Why.}}\n",
    )
    assert found == Contract(
        "silver.sales_clean", (Column("a", "int"),), version="1.0.0", description="Why."
    )


def test_rules_are_refused_where_nothing_enforces_them() -> None:
    for schema, open_schema in (("gold_core", "false"), ("silver", "true"), ("bronze", "true")):
        found = problems(
            "  - {name: a, physicalType: string, enum: [{value: x}], transformLogic: upper(b)}",
            "  quality: [{name: r, type: custom, engine: spark, implementation: a > 'b'},"
            " {metric: invalidValues, mustBeLessThan: 3}, {metric: rowCount, mustBeLessThan: 3}]\n"
            f"  customProperties: [{{property: openSchema, value: {open_schema}}}]\n",
            head=HEAD.replace("silver", schema),
            file=f"{schema}/sales_clean.odcs.yaml",
        )
        assert found == [
            f"{where}: rules are enforced in closed silver tables only"
            for where in (
                f"{C}[a].transformLogic",
                f"{C}[a].enum",
                f"{T}.quality[r]",
                f"{T}.quality[quarantined_records]",
            )
        ]


@pytest.mark.parametrize(
    ("schema", "properties", "table", "what"),
    [
        ("bronze", "primaryKey: true", "", f"{C}: bronze is kept as received, found a primaryKey"),
        ("silver", "required: true", "{property: reads, value: {silver.x_clean: {a: string}}}",
         f"{T}.customProperties.reads: only a gold_core table declares what it reads"),
        ("gold_core", "required: true", "{property: reads, value: {silver.x_clean: {a: text}}}",
         f"{T}.customProperties.reads.silver.x_clean.a: expected string, bigint, int,"),
        ("gold_core", "required: true", "{property: reads, value: {x: {a: string}}}",
         f"{T}.customProperties.reads.x: expected <schema>.<table>, found 'x'"),
        ("silver", "required: true", "{property: latestBy, value: aa}",
         f"{T}.customProperties.latestBy: expected a column with an order, found 'aa'. Did you"
         " mean 'a'?"),
    ],
)  # fmt: skip
def test_keys_that_do_not_go_together(schema: str, properties: str, table: str, what: str) -> None:
    [found] = problems(
        f"  - {{name: a, physicalType: string, {properties}}}",
        f"  customProperties: [{table}]\n",
        head=HEAD.replace("silver", schema),
        file=f"{schema}/sales_clean.odcs.yaml",
    )
    assert found.startswith(what)


def test_names_and_positions_are_there_once() -> None:
    rule = "{name: r, type: custom, engine: spark, implementation: a > 1}"
    assert problems(
        "  - {name: a, physicalType: int, primaryKey: true, primaryKeyPosition: 1}\n"
        "  - {name: A, physicalType: int, primaryKey: true, primaryKeyPosition: 1}",
        f"  quality: [{rule}, {rule}]\n",
    ) == [
        f"{T}.quality: the name 'r' is used 2 times",
        f"{C}: the name 'a' is used 2 times, case aside",
        f"{C}: expected primaryKeyPosition 1 to 2, each once, found {{'a': 1, 'A': 1}}",
    ]


@pytest.mark.parametrize("file", sorted(CONTRACTS.rglob("*.yaml")), ids=lambda file: file.name)
def test_every_shipped_contract_is_of_the_standard(file: Path) -> None:
    package = files("open_data_contract_standard")
    schema = json.loads((package / "schema.json").read_text(encoding="utf-8"))
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    jsonschema.validate(document, schema, cls=jsonschema.Draft201909Validator)
