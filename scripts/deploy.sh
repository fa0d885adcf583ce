#!/usr/bin/env bash
# Deploys the bundle to a target, runs the job there and checks that run's ledger. Used by CI.
# Signs in with TOKEN, or with the identity of the GitHub workflow (OIDC) where TOKEN is empty.
set -euo pipefail

target=$1
commit=$BUNDLE_VAR_git_sha
run_id=$(date -u +%Y-%m-%dT%H.%M.%S.000Z)-${GITHUB_RUN_ID:-0}-${GITHUB_RUN_ATTEMPT:-1}
summary=${GITHUB_STEP_SUMMARY:-/dev/stdout}
ledger=$(mktemp)
export PATH="$PWD/.venv/bin:$PATH"
trap '[[ $? = 0 ]] || echo "**Failed.** What was deployed before is in the history of \`main\`; docs/DELIVERY.md says how to go back." >> "$summary"; rm -f "$ledger"' EXIT
printf '## %s\n\nCommit `%s`, run `%s`\n\n' "$target" "$commit" "$run_id" >> "$summary"

: "${DATABRICKS_HOST:?set the secret or variable DATABRICKS_HOST_${target^^} of this environment}"
if [[ -n ${TOKEN:-} ]]; then
  export DATABRICKS_TOKEN=$TOKEN DATABRICKS_AUTH_TYPE=pat
  unset DATABRICKS_CLIENT_ID
else
  : "${DATABRICKS_CLIENT_ID:?set DATABRICKS_TOKEN_${target^^}, or DATABRICKS_CLIENT_ID_${target^^} for OIDC}"
  export DATABRICKS_AUTH_TYPE=github-oidc
fi

databricks bundle validate --target "$target"
databricks bundle deploy --target "$target"
databricks bundle run medallion --target "$target" --params "run_id=$run_id,git_sha=$commit"
# A run that is not whole, or does not balance, fails this job and with it the script.
databricks bundle run check_ledger --target "$target" --params "run_id=$run_id" --output json \
  > "$ledger"
python - "$ledger" >> "$summary" << 'PYTHON'
import json
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text()
outputs = json.loads(text[text.index("{") :])["task_outputs"]
logs = (outputs[0]["Output"] or {}).get("logs", "")
_, found, report = logs.partition("Run `")
print(found + report or "The run is whole and balances. The workspace gave no log of the check.")
PYTHON
echo "balanced-commit=$commit" >> "${GITHUB_OUTPUT:-/dev/stdout}"
