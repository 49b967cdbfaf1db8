// A convolution whose passes are ours, for convolution.rs, which says why.
#include "guarded.h"
#include "product.h"
#include "winograd.h"

#include <ATen/Parallel.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/mkldnn_convolution.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto LAST = at::MemoryFormat::ChannelsLast;

struct Convolution : torch::autograd::Function<Convolution> {
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &weight, const std::optional<Tensor> &bias,
                        int64_t padding, int64_t dilation) {
    // Winograd's loops go by addresses and would read beyond a tensor.
    TORCH_CHECK(x.dim() == 4 && weight.dim() == 4 && x.size(1) == weight.size(1), "a map of the shape ", x.sizes(),
                " can't be convolved with weights of the shape ", weight.sizes());
    TORCH_CHECK(!bias.has_value() || bias->numel() == weight.size(0), "there are ", bias->numel(), " biases for ", weight.size(0),
                " channels");
    auto reach = dilation * (weight.size(2) - 1);
    TORCH_CHECK(std::min(x.size(2), x.size(3)) + 2 * padding > reach, "a map of the shape ", x.sizes(), " is smaller than its kernel");
    context->save_for_backward({x, weight});
    context->saved_data["padding"] = padding;
    context->saved_data["dilation"] = dilation;
    context->saved_data["biased"] = bias.has_value();
    if (!is_for_winograd(weight.size(2), cells_of(x)))
      return at::mkldnn_convolution(x, weight, bias, {padding, padding}, {1, 1}, {dilation, dilation}, 1);
    auto shift = bias.has_value() ? bias->contiguous() : Tensor();
    return by_winograd(x, weight, false, shift.defined() ? shift.const_data_ptr<float>() : nullptr, padding, dilation);
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    auto padding = context->saved_data["padding"].toInt(), dilation = context->saved_data["dilation"].toInt();
    auto gradient = gradients[0].contiguous(LAST);
    Tensor of_x, of_weight, of_bias;
    if (context->needs_input_grad(0))
      of_x = to_x(gradient, weight, padding, dilation);
    if (context->needs_input_grad(1))
      of_weight = to_weight(gradient, x, weight.size(2), padding, dilation);
    if (context->saved_data["biased"].toBool() && context->needs_input_grad(2))
      of_bias = gradient.sum({0, 2, 3});
    return {of_x, of_weight, of_bias, Tensor(), Tensor()};
  }

  // Where there are so many cells that transforming the weights is little of it.
  static bool is_for_winograd(int64_t kernel, int64_t cells) { return kernel == 3 && cells >= 256; }

  // Those of a map.
  static int64_t cells_of(const Tensor &map) { return map.size(0) * map.size(2) * map.size(3); }

  static Tensor by_winograd(const Tensor &x, const Tensor &weight, bool mirrored, const float *bias, int64_t padding, int64_t dilation) {
    return winograd(x.contiguous(LAST), transformed(weight.contiguous(LAST), mirrored), weight.size(mirrored ? 1 : 0), bias, padding,
                    dilation);
  }

  // The convolution with the mirrored weights.
  static Tensor to_x(const Tensor &gradient, const Tensor &weight, int64_t padding, int64_t dilation) {
    auto rest = dilation * (weight.size(2) - 1) - padding;
    if (is_for_winograd(weight.size(2), cells_of(gradient)))
      return by_winograd(gradient, weight, true, nullptr, rest, dilation);
    auto mirrored = weight.flip({2, 3}).transpose(0, 1).contiguous(LAST);
    return at::mkldnn_convolution(gradient, mirrored, {}, {rest, rest}, {1, 1}, {dilation, dilation}, 1);
  }

  // For each tap a matrix product over all cells. With x padded on all sides and the gradient on two, so that their rows are equally
  // long, the cells of a tap are those of the gradient at a fixed distance in memory.
  static Tensor to_weight(const Tensor &gradient, const Tensor &x, int64_t kernel, int64_t padding, int64_t dilation) {
    if (is_for_winograd(kernel, cells_of(gradient)))
      return winograd_of_weights(gradient, x.contiguous(LAST), padding, dilation).permute({0, 3, 1, 2});
    auto images = x.size(0), input = x.size(1), output = gradient.size(1);
    auto height = x.size(2) + 2 * padding, width = x.size(3) + 2 * padding;
    auto cells = images * height * width;
    auto padded = x.contiguous(LAST).permute({0, 2, 3, 1}), along = gradient.permute({0, 2, 3, 1});
    if (padding > 0)
      padded = at::constant_pad_nd(padded, {0, 0, padding, padding, padding, padding});
    if (kernel > 1)
      along = at::constant_pad_nd(along, {0, 0, 0, width - gradient.size(3), 0, height - gradient.size(2)});
    padded = padded.reshape({cells, input});
    // The last row and column of an image are followed by cells where the gradient is zero, so none of another image counts.
    auto counted = cells - dilation * (kernel - 1) * (width + 1);
    along = along.reshape({cells, output}).narrow(0, 0, counted);
    auto weight = at::empty({output, kernel, kernel, input}, x.options());
    auto distance = [&](int64_t tap) { return dilation * (tap / kernel * width + tap % kernel); };
    if (has_block_kernels())
      by_blocks(along, padded, distance, weight);
    else
      for (int64_t tap = 0; tap < kernel * kernel; ++tap) {
        auto result = weight.select(1, tap / kernel).select(1, tap % kernel);
        at::mm_out(result, along.t(), padded.narrow(0, distance(tap), counted));
      }
    return weight.permute({0, 3, 1, 2});
  }

  // weight[o, tap] = Σ along[cell, o] · padded[cell + distance(tap)], in blocks that a core's own cache holds.
  template <typename D> static void by_blocks(const Tensor &along, const Tensor &padded, const D &distance, const Tensor &weight) {
    constexpr int64_t OUTPUTS = 64, INPUTS = 256, CELLS = 512;
    // Rows a power of two apart would lie in the same few lines of a cache.
    constexpr int64_t APART = CELLS + BLOCK;
    auto cells = along.size(0), output = along.size(1), input = padded.size(1), taps = weight.size(1) * weight.size(2);
    auto steps = at::divup(cells, CELLS), across = at::divup(input, INPUTS), each = OUTPUTS;
    // Work for all threads.
    while (each > BLOCK && taps * across * at::divup(output, each) < 2 * at::get_num_threads())
      each /= 2;
    auto down = at::divup(output, each);
    // The gradient as products take it: steps × outputs × the cells of a step.
    Tensor turned = at::empty({steps * output * APART}, along.options());
    const float *gradient = along.const_data_ptr<float>(), *with = padded.const_data_ptr<float>();
    float *from = turned.data_ptr<float>(), *to = weight.data_ptr<float>();
    at::parallel_for(0, at::divup(cells, BLOCK), CELLS / BLOCK, [&](int64_t begin, int64_t end) {
      for (auto cell = begin * BLOCK; cell < std::min(end * BLOCK, cells); cell += BLOCK)
        for (int64_t o = 0; o < output; o += BLOCK)
          transpose(gradient + cell * output + o, output, from + (cell / CELLS * output + o) * APART + cell % CELLS, APART,
                    std::min(BLOCK, cells - cell), std::min(BLOCK, output - o));
    });
    at::parallel_for(0, taps * across * down, 1, [&](int64_t begin, int64_t end) {
      for (auto task = begin; task < end; ++task) {
        auto o = task % down * each, i = task / down % across * INPUTS, tap = task / down / across;
        auto outputs = std::min(each, output - o), inputs = std::min(INPUTS, input - i);
        for (int64_t step = 0; step < steps; ++step) {
          auto cell = step * CELLS;
          product(outputs, inputs, std::min(CELLS, cells - cell), {from + (step * output + o) * APART, APART},
                  {with + (distance(tap) + cell) * input + i, input}, to + (o * taps + tap) * input + i, taps * input, step > 0);
        }
      }
    });
  }
};

} // namespace

extern "C" char *intrada_shim_convolution(const Tensor *x, const Tensor *weight, const Tensor *bias, int64_t padding, int64_t dilation,
                                          Tensor **result) {
  return guarded([&] {
    auto biased = bias == nullptr ? std::nullopt : std::optional<Tensor>(*bias);
    *result = new Tensor(Convolution::apply(*x, *weight, biased, padding, dilation));
  });
}
