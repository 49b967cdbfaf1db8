#!/bin/sh
# Both programs in turn, so that a busy machine slows them alike: throughput.sh [THREADS [REPEATS [ROUNDS [WHAT [PRECISION]]]]].
# Needs a python3 with torch 2.11. The allocator of ours is set as the worker sets its own.
set -eu
cd -- "$(dirname -- "$0")"
threads=${1:-2} repeats=${2:-3} what=${4:-e} precision=${5:-float32}
for _ in $(seq "${3:-2}"); do
    MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 \
        cargo bench --quiet -p intrada-ml --bench throughput -- "$threads" "$repeats" "$what" "$precision"
    python3 throughput.py "$threads" "$repeats" "$what" "$precision"
done
