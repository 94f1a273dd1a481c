#!/usr/bin/env bash
# Makes .venv: a python3 from 3.11 to 3.13, requirements pinned by hash, the client.
set -euo pipefail
cd "$(dirname "$0")/.."
export PIP_USER=0 # pip.conf or the environment may ask for the user's own folder, which pip refuses in .venv

find_python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null \
      && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
      echo "$candidate"
      return
    fi
  done
}

apt_install() {
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "setup: needs $*: install it with 'sudo apt-get install $*' and run 'make setup' again" >&2
    exit 2
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

python=$(find_python)
if [ -z "$python" ]; then
  echo "setup: no python3 from 3.11 to 3.13 here, installing 3.11"
  apt_install python3.11 python3.11-venv # Ubuntu 22.04 has it beside its 3.10
  python=python3.11
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  apt_install "$("$python" -c 'import sys; print("python{}.{}-venv".format(*sys.version_info))')"
fi
echo "setup: .venv with $("$python" --version)"
[ -x .venv/bin/pip ] || "$python" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-dev.txt
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable files/client
touch .venv/.ready
