// A convolution whose backward pass is ours, for convolution.rs, which says why.
#include "guarded.h"

#include <ATen/Parallel.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/mkldnn_convolution.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct ByTaps : torch::autograd::Function<ByTaps> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &weight, const std::optional<Tensor> &bias,
                        int64_t padding, int64_t dilation) {
    context->save_for_backward({x, weight});
    context->saved_data["padding"] = padding;
    context->saved_data["dilation"] = dilation;
    context->saved_data["biased"] = bias.has_value();
    return at::mkldnn_convolution(x, weight, bias, {padding, padding}, {1, 1}, {dilation, dilation}, 1);
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    auto padding = context->saved_data["padding"].toInt(), dilation = context->saved_data["dilation"].toInt();
    auto gradient = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    Tensor of_x, of_weight, of_bias;
    if (context->needs_input_grad(0))
      of_x = to_x(gradient, weight, padding, dilation);
    if (context->needs_input_grad(1))
      of_weight = to_weight(gradient, x, weight.size(2), padding, dilation);
    if (context->saved_data["biased"].toBool() && context->needs_input_grad(2))
      of_bias = gradient.sum({0, 2, 3});
    return {of_x, of_weight, of_bias, Tensor(), Tensor()};
  }

  // The convolution with the mirrored weights.
  static Tensor to_x(const Tensor &gradient, const Tensor &weight, int64_t padding, int64_t dilation) {
    auto mirrored = weight.flip({2, 3}).transpose(0, 1).contiguous(at::MemoryFormat::ChannelsLast);
    auto rest = dilation * (weight.size(2) - 1) - padding;
    return at::mkldnn_convolution(gradient, mirrored, {}, {rest, rest}, {1, 1}, {dilation, dilation}, 1);
  }

  // For each tap a matrix product over all cells. With x padded on all sides and the gradient on two, so that their rows are equally
  // long, the cells of a tap are those of the gradient at a fixed distance in memory.
  static Tensor to_weight(const Tensor &gradient, const Tensor &x, int64_t kernel, int64_t padding, int64_t dilation) {
    auto images = x.size(0), input = x.size(1), output = gradient.size(1);
    auto height = x.size(2) + 2 * padding, width = x.size(3) + 2 * padding;
    auto last = at::MemoryFormat::ChannelsLast;
    auto cells = images * height * width;
    auto padded = at::constant_pad_nd(x.contiguous(last).permute({0, 2, 3, 1}), {0, 0, padding, padding, padding, padding});
    auto along = at::constant_pad_nd(gradient.permute({0, 2, 3, 1}),
                                     {0, 0, 0, width - gradient.size(3), 0, height - gradient.size(2)});
    padded = padded.reshape({cells, input});
    // The last row and column of an image are followed by cells where the gradient is zero, so none of another image counts.
    auto counted = cells - dilation * (kernel - 1) * (width + 1);
    along = along.reshape({cells, output}).narrow(0, 0, counted).t();
    auto weight = at::empty({output, kernel, kernel, input}, x.options());
    for (int64_t row = 0; row < kernel; ++row)
      for (int64_t column = 0; column < kernel; ++column) {
        auto tap = weight.select(1, row).select(1, column);
        at::mm_out(tap, along, padded.narrow(0, dilation * (row * width + column), counted));
      }
    return weight.permute({0, 3, 1, 2});
  }
};

} // namespace

extern "C" char *intrada_shim_by_taps(const Tensor *x, const Tensor *weight, const Tensor *bias, int64_t padding, int64_t dilation,
                                      Tensor **result) {
  return guarded([&] {
    auto biased = bias == nullptr ? std::nullopt : std::optional<Tensor>(*bias);
    *result = new Tensor(ByTaps::apply(*x, *weight, biased, padding, dilation));
  });
}
