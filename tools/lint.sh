#!/usr/bin/env bash
# Every linter over the whole tree; stops at the first that finds something.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" # ansible-lint calls ansible by name

step() {
  echo "lint: $1"
  "$@"
}
step ruff check --quiet .
step ruff format --check --quiet .
step mypy --no-error-summary files lab roles tests inventory
step yamllint --strict .
mapfile -t scripts < <(git grep --untracked -lE '^#!.*\b(ba)?sh\b')
step shellcheck "${scripts[@]}"
step ansible-lint -q --offline
