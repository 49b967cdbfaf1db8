#!/bin/sh
# Both programs in turn for each method, so that a busy machine slows them alike: steps.sh [THREADS [REPEATS [NETWORK]]].
# Needs a python3 with torch 2.11 and, for segformer-b1, transformers 5.24. The allocator of both is set as the worker sets its own.
set -eu
cd -- "$(dirname -- "$0")"
export MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824
for method in source-only minent advent adaptsegnet dacs daformer mic; do
    cargo bench --quiet -p intrada-ml --bench steps -- "$method" "${1:-1}" "${2:-5}" "${3:-segformer-b1}"
    python3 steps.py "$method" "${1:-1}" "${2:-5}" "${3:-segformer-b1}"
done
