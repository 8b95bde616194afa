#!/usr/bin/env bash
# Makes .venv with the locked requirements named (run, dev, or bench on top of dev) and the keyscope command.
# Safe to call again.
set -eu
cd "$(dirname "$0")/.."
group=$1
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Keyscope needs Python 3.11 or newer; this is $("$python" --version). Set PYTHON=/path/to/python3.11." >&2
  exit 2
}
if [ ! -x .venv/bin/pip ]; then
  rm -rf .venv
  if ! "$python" -m venv .venv 2>/dev/null; then
    rm -rf .venv
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
      apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
      "$python" -m venv .venv
    else
      echo "Python's venv module is missing. Install it: sudo apt-get install python3-venv" >&2
      exit 2
    fi
  fi
fi
echo "Installing what Keyscope needs into .venv …" >&2
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r "requirements/$group.txt"
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
touch ".venv/.$group"
