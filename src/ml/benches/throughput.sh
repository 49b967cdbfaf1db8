#!/bin/sh
# Both programs in turn, so that a busy machine slows them alike: throughput.sh [THREADS [REPEATS [ROUNDS]]].
# Needs a python3 with torch 2.11.
set -eu
cd -- "$(dirname -- "$0")"
for _ in $(seq "${3:-2}"); do
    cargo bench --quiet -p intrada-ml --bench throughput -- "${1:-2}" "${2:-3}"
    python3 throughput.py "${1:-2}" "${2:-3}"
done
