"""Hold databricks.yml against the CLI's schema: `databricks bundle schema | check_bundle.py`."""

import json
import sys
from pathlib import Path

import jsonschema
import yaml

FILE = Path(__file__).resolve().parents[1] / "databricks.yml"


def main() -> None:
    """Read the JSON Schema from standard input; exit code 1 and a line for each error."""
    schema = json.load(sys.stdin)
    validator = jsonschema.validators.validator_for(schema)(schema)
    errors = validator.iter_errors(yaml.safe_load(FILE.read_text("utf-8")))
    sys.exit("\n".join(f"{FILE.name}: {e.json_path}: {e.message}" for e in errors) or None)


if __name__ == "__main__":
    main()
