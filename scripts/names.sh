#!/usr/bin/env bash
# Lay the folders out as the package that they are, by links below an environment: ENVIRONMENT/names/wardround.
# An installed package needs none of this; mypy, import-linter and editors do not read pyproject.toml's package-dir.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
names=$1/names/wardround
rm -rf "$names"
mkdir -p "$names"
for file in "$root"/api/*; do
    case $file in *__pycache__) ;; *) ln -s "$file" "$names/" ;; esac
done
for folder in client conf deploy pages protocol server simulations; do
    ln -s "$root/$folder" "$names/$folder"
done
