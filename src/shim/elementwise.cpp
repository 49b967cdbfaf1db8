// Functions of each number of a tensor by itself, for elementwise.rs, which says why.
#include "guarded.h"
#include "widest.h"

#include <ATen/Parallel.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/leaky_relu.h>
#include <torch/csrc/autograd/custom_function.h>

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The same roundings as of the single operations.
WIDEST void information(const float *p, const float *log, float *result, float divisor, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    result[i] = -(p[i] * log[i]) / divisor;
}
WIDEST void information(const double *p, const double *log, double *result, double divisor, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    result[i] = -(p[i] * log[i]) / divisor;
}

WIDEST void of_information(const float *gradient, const float *p, const float *log, float *result, float epsilon, float divisor,
                           float ln2, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    float slope = -(gradient[i] / divisor);
    result[i] = slope * log[i] + (slope * p[i]) / ((p[i] + epsilon) * ln2);
  }
}
WIDEST void of_information(const double *gradient, const double *p, const double *log, double *result, double epsilon,
                           double divisor, double ln2, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    double slope = -(gradient[i] / divisor);
    result[i] = slope * log[i] + (slope * p[i]) / ((p[i] + epsilon) * ln2);
  }
}

constexpr double LN2 = 0.69314718055994530942;
// So many numbers are worth a thread.
constexpr int64_t GRAIN = 32768;

template <typename T> void forwards(const Tensor &p, const Tensor &log, Tensor &result, double divisor) {
  auto *p_ = p.const_data_ptr<T>(), *log_ = log.const_data_ptr<T>();
  auto *result_ = result.mutable_data_ptr<T>();
  at::parallel_for(0, p.numel(), GRAIN, [&](int64_t begin, int64_t end) {
    information(p_ + begin, log_ + begin, result_ + begin, static_cast<T>(divisor), end - begin);
  });
}

template <typename T>
void backwards(const Tensor &gradient, const Tensor &p, const Tensor &log, Tensor &result, double epsilon, double divisor) {
  auto *gradient_ = gradient.const_data_ptr<T>(), *p_ = p.const_data_ptr<T>(), *log_ = log.const_data_ptr<T>();
  auto *result_ = result.mutable_data_ptr<T>();
  at::parallel_for(0, p.numel(), GRAIN, [&](int64_t begin, int64_t end) {
    of_information(gradient_ + begin, p_ + begin, log_ + begin, result_ + begin, static_cast<T>(epsilon), static_cast<T>(divisor),
                   static_cast<T>(LN2), end - begin);
  });
}

struct Information : torch::autograd::Function<Information> {
  static Tensor forward(AutogradContext *context, const Tensor &p, double epsilon, double divisor) {
    auto log = at::add(p, epsilon).log2_();
    auto result = at::empty_like(p);
    context->save_for_backward({p, log});
    context->saved_data["epsilon"] = epsilon;
    context->saved_data["divisor"] = divisor;
    p.scalar_type() == at::kFloat ? forwards<float>(p, log, result, divisor) : forwards<double>(p, log, result, divisor);
    return result;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const Tensor &p = saved[0], &log = saved[1];
    auto epsilon = context->saved_data["epsilon"].toDouble(), divisor = context->saved_data["divisor"].toDouble();
    // That of a sum has one number for all.
    auto gradient = gradients[0];
    if (gradient.strides() != p.strides())
      gradient = at::empty_like(p).copy_(gradient);
    auto result = at::empty_like(p);
    p.scalar_type() == at::kFloat ? backwards<float>(gradient, p, log, result, epsilon, divisor)
                                  : backwards<double>(gradient, p, log, result, epsilon, divisor);
    return {result, Tensor(), Tensor()};
  }
};

} // namespace

extern "C" {

bool intrada_shim_is_for_information(const Tensor *p) {
  auto kind = p->scalar_type();
  return p->is_cpu() && (kind == at::kFloat || kind == at::kDouble) && p->is_non_overlapping_and_dense();
}

char *intrada_shim_information(const Tensor *p, double epsilon, double divisor, Tensor **result) {
  return guarded([&] { *result = new Tensor(Information::apply(*p, epsilon, divisor)); });
}

char *intrada_shim_leaky_relu(Tensor *x, double slope) {
  return guarded([&] { at::leaky_relu_(*x, slope); });
}

} // extern "C"
