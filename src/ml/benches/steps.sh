#!/bin/sh
# Both programs in turn for each method, so that a busy machine slows them alike: steps.sh [THREADS [REPEATS]].
# Needs a python3 with torch 2.11 and transformers 5.24.
set -eu
cd -- "$(dirname -- "$0")"
for method in source-only minent advent adaptsegnet dacs daformer mic; do
    cargo bench --quiet -p intrada-ml --bench steps -- "$method" "${1:-1}" "${2:-5}"
    python3 steps.py "$method" "${1:-1}" "${2:-5}"
done
