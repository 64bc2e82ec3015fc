#!/usr/bin/env bash
# Install Wardround for a role into a virtual environment, from the lock alone: every file is checked against its hash.
#
#   scripts/install.sh ENVIRONMENT ROLE... [--editable|--packages]
#
# ROLE: hospital, postgresql, odbc, alerts, server, simulation, trackers, or everything (what developers need).
# With --packages everything but Wardround itself: what an image keeps between two releases.
# PyTorch is its build for the CPU where pip finds that one (locks/cpu.txt), else the package index's.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }

environment=$1
shift
editable=() locks=() cuda=() program=yes
for word in "$@"; do
    case $word in
        --editable) editable=(--editable) ;;
        --packages) program= ;;
        hospital | postgresql | odbc | alerts | server | simulation | trackers) locks+=(-r "locks/$word.txt") ;;
        everything) locks+=(-r constraints.txt) ;;
        *) echo "$word: no role; one of hospital, postgresql, odbc, alerts, server, simulation, trackers, everything" >&2; exit 2 ;;
    esac
done
python=$(cd "$environment" && pwd)/bin/python
[ -x "$python" ] || { echo "$environment: no virtual environment; make one: python3 -m venv $environment" >&2; exit 2; }
cd "$(dirname "$0")/.."

install() {
    "$python" -m pip install -qq --disable-pip-version-check "$@"
}
if ! install --require-hashes --no-deps -r locks/cpu.txt 2>/dev/null || ! "$python" -m pip show -q torch 2>/dev/null; then
    echo "no build of PyTorch for the CPU is at hand; the index's is taken, with CUDA on Linux (some gigabytes)" >&2
    cuda=(-r locks/cuda.txt)
fi
# What every role needs, wheels alone; the pinned setuptools is among it.
install --require-hashes -r locks/hospital.txt "${cuda[@]}"
# The rest. Its one source (locks/server.txt names it) is built by that setuptools: isolated, pip would fetch another.
install --require-hashes --no-build-isolation "${locks[@]}" "${cuda[@]}"
[ "$program" ] || exit 0
# Wardround, by the same setuptools; all that pyproject.toml asks for is there now.
install --no-deps --no-build-isolation "${editable[@]}" .
"$python" -m pip check
