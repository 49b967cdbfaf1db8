// Functions of libtorch for lib.rs, which says what each is for. No exception leaves this file: each function that can fail returns a
// message, which the caller frees, or null.
//
// Narrow headers: torch/torch.h takes ten times as long to compile.
#include "guarded.h"

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>

#include <cstdlib>
#include <vector>

// As ATen/autocast_mode.h declares them. That header includes all of ATen; a declaration that no longer holds doesn't link.
namespace at::autocast {
TORCH_API bool is_autocast_enabled(at::DeviceType device);
TORCH_API void set_autocast_enabled(at::DeviceType device, bool enabled);
TORCH_API at::ScalarType get_autocast_dtype(at::DeviceType device);
TORCH_API void set_autocast_dtype(at::DeviceType device, at::ScalarType type);
TORCH_API void clear_cache();
TORCH_API int increment_nesting();
TORCH_API int decrement_nesting();
} // namespace at::autocast

namespace {

using Handles = at::Tensor *const *;

std::vector<at::Tensor> list(Handles handles, size_t count) {
  std::vector<at::Tensor> tensors;
  tensors.reserve(count);
  for (size_t i = 0; i < count; ++i)
    tensors.push_back(*handles[i]);
  return tensors;
}

at::DeviceType device_type(bool is_cuda) { return is_cuda ? at::kCUDA : at::kCPU; }

} // namespace

extern "C" {

void intrada_shim_free(char *message) { std::free(message); }

char *intrada_shim_sgd(Handles parameters, Handles gradients, Handles buffers, size_t count, double rate, double decay,
                       double momentum, double dampening, bool is_first) {
  return guarded([&] {
    // Without momentum the kernel takes no buffers.
    auto kept = momentum == 0.0 ? std::vector<at::Tensor>() : list(buffers, count);
    at::_fused_sgd_(list(parameters, count), list(gradients, count), kept, decay, momentum, rate, dampening,
                    /*nesterov=*/false, /*maximize=*/false, is_first);
  });
}

char *intrada_shim_adamw(Handles parameters, Handles gradients, Handles first, Handles second, size_t count,
                         const at::Tensor *step, double rate, double beta1, double beta2, double decay, double epsilon) {
  return guarded([&] {
    std::vector<at::Tensor> steps(count, *step);
    at::_fused_adamw_(list(parameters, count), list(gradients, count), list(first, count), list(second, count), {}, steps, rate,
                      beta1, beta2, decay, epsilon, /*amsgrad=*/false, /*maximize=*/false);
  });
}

char *intrada_shim_lerp(Handles ours, Handles theirs, size_t count, double weight) {
  return guarded([&] { at::_foreach_lerp_(list(ours, count), list(theirs, count), weight); });
}

char *intrada_shim_drop_gradients(Handles parameters, size_t count) {
  return guarded([&] {
    for (size_t i = 0; i < count; ++i) {
      TORCH_CHECK(parameters[i]->defined(), "an undefined tensor has no gradient");
      parameters[i]->mutable_grad().reset();
    }
  });
}

char *intrada_shim_autocast_begin(bool is_cuda, bool *was_enabled, int8_t *was_type) {
  return guarded([&] {
    auto device = device_type(is_cuda);
    *was_enabled = at::autocast::is_autocast_enabled(device);
    *was_type = static_cast<int8_t>(at::autocast::get_autocast_dtype(device));
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, true);
    at::autocast::increment_nesting();
  });
}

bool intrada_shim_autocast_is_on(bool is_cuda) { return at::autocast::is_autocast_enabled(device_type(is_cuda)); }

char *intrada_shim_autocast_end(bool is_cuda, bool was_enabled, int8_t was_type) {
  return guarded([&] {
    auto device = device_type(is_cuda);
    if (at::autocast::decrement_nesting() == 0)
      at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device, was_enabled);
    at::autocast::set_autocast_dtype(device, static_cast<at::ScalarType>(was_type));
  });
}

char *intrada_shim_cpu_capability() { return strdup(at::get_cpu_capability().c_str()); }

void intrada_shim_leave_onednn_out() { at::globalContext().setUserEnabledMkldnn(false); }

bool intrada_shim_has_onednn() { return at::globalContext().userEnabledMkldnn(); }

char *intrada_shim_allow_tf32() {
  return guarded([&] {
    auto &context = at::globalContext();
    context.setFloat32Precision(at::Float32Backend::CUDA, at::Float32Op::MATMUL, at::Float32Precision::TF32);
    context.setFloat32Precision(at::Float32Backend::CUDA, at::Float32Op::CONV, at::Float32Precision::TF32);
  });
}

} // extern "C"
