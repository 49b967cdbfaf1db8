// Products of matrices that lie row by row, on the calling thread.
//
// By oneDNN's kernels for blocks where the CPU has AVX-512: 290 GFLOP a second and core of an AMD EPYC (Zen 5), where MKL, which libtorch
// calls for a product, reaches 110. Elsewhere by libtorch.
#pragma once

#include "widest.h"

#include <ATen/native/CPUBlas.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>

namespace {

// Numbers of a matrix, and how far apart two rows begin.
struct Rows {
  const float *first;
  int64_t apart;
};

bool has_block_kernels() {
#ifdef CPUBLAS_BRGEMM_F32F32F32
  static const bool has = [] {
    float a[16 * 16] = {}, b[16 * 16] = {}, c[16 * 16];
    try {
      at::native::cpublas::brgemm(16, 16, 16, 16, 16, 16, false, a, b, c);
      return true;
    } catch (const std::exception &) {
      return false;
    }
  }();
  return has;
#else
  return false;
#endif
}

// result (m × n) = a (m × k) · b (k × n), or that added to it.
void product(int64_t m, int64_t n, int64_t k, Rows a, Rows b, float *result, int64_t apart, bool adds) {
#ifdef CPUBLAS_BRGEMM_F32F32F32
  if (has_block_kernels())
    return at::native::cpublas::brgemm(m, n, k, a.apart, b.apart, apart, adds, a.first, b.first, result);
#endif
  auto matrix = [](const float *first, int64_t rows, int64_t columns, int64_t apart) {
    return at::from_blob(const_cast<float *>(first), {rows, columns}, {apart, 1});
  };
  auto of_a = matrix(a.first, m, k, a.apart), of_b = matrix(b.first, k, n, b.apart), of_result = matrix(result, m, n, apart);
  if (adds)
    at::addmm_out(of_result, of_result, of_a, of_b);
  else
    at::mm_out(of_result, of_a, of_b);
}

// Transposing goes by squares of this side.
constexpr int64_t BLOCK = 16;

WIDEST void transpose(const float *__restrict in, int64_t apart, float *__restrict out, int64_t out_apart, int64_t rows, int64_t columns) {
  for (int64_t column = 0; column < columns; ++column)
#pragma GCC ivdep
    for (int64_t row = 0; row < rows; ++row)
      out[column * out_apart + row] = in[row * apart + column];
}

} // namespace
