#!/usr/bin/env bash
# Deploys the bundle to a target, runs the job there and checks that run's ledger. Used by CI.
# Signs in with TOKEN, or with the identity of the GitHub workflow (OIDC) where TOKEN is empty.
set -euo pipefail

target=$1
export PATH="$PWD/.venv/bin:$PATH"
: "${DATABRICKS_HOST:?set the secret or variable DATABRICKS_HOST_${target^^} of this environment}"
if [[ -n ${TOKEN:-} ]]; then
  export DATABRICKS_TOKEN=$TOKEN DATABRICKS_AUTH_TYPE=pat
  unset DATABRICKS_CLIENT_ID
else
  : "${DATABRICKS_CLIENT_ID:?set DATABRICKS_TOKEN_${target^^}, or DATABRICKS_CLIENT_ID_${target^^} for OIDC}"
  export DATABRICKS_AUTH_TYPE=github-oidc
fi
ledger=$(mktemp)
summary=${GITHUB_STEP_SUMMARY:-/dev/stdout}
commit=$BUNDLE_VAR_git_sha
run_id=$(date -u +%Y-%m-%dT%H.%M.%S.000Z)-${GITHUB_RUN_ID:-0}-${GITHUB_RUN_ATTEMPT:-1}
trap '[[ $? = 0 ]] || echo "**Failed.** What was deployed before is in the history of \`main\`; docs/DELIVERY.md says how to go back." >> "$summary"' EXIT

printf '## %s\n\nCommit `%s`, run `%s`\n\n' "$target" "$commit" "$run_id" >> "$summary"
databricks bundle validate --target "$target"
databricks bundle deploy --target "$target"
databricks bundle run medallion --target "$target" --params "run_id=$run_id,git_sha=$commit"
databricks bundle run check_ledger --target "$target" --params "run_id=$run_id" --output json \
  > "$ledger"
python - "$ledger" >> "$summary" << 'PYTHON'
import json
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text()
outputs = json.loads(text[text.index("{") :])["task_outputs"]
logs = outputs[0]["Output"]["logs"]
print(logs[logs.index("Run `") :])
PYTHON
echo "balanced-commit=$commit" >> "${GITHUB_OUTPUT:-/dev/stdout}"
