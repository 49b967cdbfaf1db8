// A function that is compiled for several widths of vectors; the widest that the CPU has is called. No compiler here contracts a product
// and a sum (build.rs), so all of them give the same bytes.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif
