#!/usr/bin/env bash
# Build the wheel of the last commit into a folder: wheel.sh PYTHON FOLDER. Whoever builds the same commit with the
# locked setuptools gets the same bytes, wherever, whenever and as whomever (tests/test_wheel.py).
set -euo pipefail
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
mkdir -p "$2"
folder=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work" "$work.log"' EXIT
# What a wheel keeps of the machine: the time, the files' modes, and what lies about in the checkout.
umask 022
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
git -c tar.umask=0022 archive HEAD | tar -x -C "$work"
cd "$work"
build='import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])'
"$python" -P -c "$build" "$folder" >"$work.log" 2>&1 || { cat "$work.log" >&2; exit 1; }
