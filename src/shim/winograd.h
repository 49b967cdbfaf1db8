// 3 × 3 convolutions with stride 1, whatever their dilation, by Winograd's F(2 × 2, 3 × 3) (Lavin and Gray, arXiv 1509.09308, section 4.1):
// 4 instead of 9 multiplications for each number. On channels last, where its additions are of whole rows of channels.
//
// Four outputs that lie a dilation apart, two down and two across, are computed together from 4 × 4 inputs. The factors are 1, -1, 1/2 and
// 1/4, so that rounding is not worse than that of the convolution as it is defined.
#pragma once

#include "product.h"
#include "widest.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

namespace {

// Nine numbers of a kernel to sixteen, for `count` input channels.
WIDEST void of_kernel(const float *__restrict weight, int64_t apart, float *__restrict out, int64_t out_apart, int64_t count) {
#pragma GCC ivdep
  for (int64_t c = 0; c < count; ++c) {
    float rows[4][3];
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j) {
      float a = weight[j * apart + c], b = weight[(3 + j) * apart + c], d = weight[(6 + j) * apart + c];
      float outer = (a + d) * 0.5f, inner = b * 0.5f;
      rows[0][j] = a, rows[1][j] = outer + inner, rows[2][j] = outer - inner, rows[3][j] = d;
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      float *o = out + 4 * i * out_apart + c;
      float outer = (rows[i][0] + rows[i][2]) * 0.5f, inner = rows[i][1] * 0.5f;
      o[0] = rows[i][0], o[out_apart] = outer + inner, o[2 * out_apart] = outer - inner, o[3 * out_apart] = rows[i][2];
    }
  }
}

// 4 × 4 numbers of `count` channels, each at its own place, to as many.
WIDEST void of_inputs(const float *const *from, float *__restrict out, int64_t apart, int64_t count) {
  const float *a0 = from[0], *a1 = from[1], *a2 = from[2], *a3 = from[3], *b0 = from[4], *b1 = from[5], *b2 = from[6], *b3 = from[7],
              *c0 = from[8], *c1 = from[9], *c2 = from[10], *c3 = from[11], *d0 = from[12], *d1 = from[13], *d2 = from[14],
              *d3 = from[15];
#pragma GCC ivdep
  for (int64_t c = 0; c < count; ++c) {
    float a[4] = {a0[c], a1[c], a2[c], a3[c]}, b[4] = {b0[c], b1[c], b2[c], b3[c]}, e[4] = {c0[c], c1[c], c2[c], c3[c]},
          f[4] = {d0[c], d1[c], d2[c], d3[c]}, t[4][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      t[0][j] = a[j] - e[j], t[1][j] = b[j] + e[j], t[2][j] = e[j] - b[j], t[3][j] = b[j] - f[j];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      float *o = out + 4 * i * apart + c;
      o[0] = t[i][0] - t[i][2], o[apart] = t[i][1] + t[i][2], o[2 * apart] = t[i][2] - t[i][1], o[3 * apart] = t[i][1] - t[i][3];
    }
  }
}

// Sixteen products of `count` channels to 2 × 2 results, each at its own place.
WIDEST void to_outputs(const float *__restrict in, int64_t apart, float *const *to, const float *__restrict bias, int64_t count) {
  float *a = to[0], *b = to[1], *d = to[2], *e = to[3];
#pragma GCC ivdep
  for (int64_t c = 0; c < count; ++c) {
    float upper[4], lower[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      float first = in[j * apart + c], second = in[(4 + j) * apart + c], third = in[(8 + j) * apart + c], last = in[(12 + j) * apart + c];
      upper[j] = first + second + third, lower[j] = second - third - last;
    }
    a[c] = upper[0] + upper[1] + upper[2] + bias[c], b[c] = upper[1] - upper[2] - upper[3] + bias[c];
    d[c] = lower[0] + lower[1] + lower[2] + bias[c], e[c] = lower[1] - lower[2] - lower[3] + bias[c];
  }
}

// The gradient of 2 × 2 results of `count` channels, to that of sixteen products.
WIDEST void of_outputs(const float *const *from, float *__restrict out, int64_t apart, int64_t count) {
  const float *a = from[0], *b = from[1], *d = from[2], *e = from[3];
#pragma GCC ivdep
  for (int64_t c = 0; c < count; ++c) {
    float left[4] = {a[c], a[c] + d[c], a[c] - d[c], -d[c]}, right[4] = {b[c], b[c] + e[c], b[c] - e[c], -e[c]};
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      float *o = out + 4 * i * apart + c;
      o[0] = left[i], o[apart] = left[i] + right[i], o[2 * apart] = left[i] - right[i], o[3 * apart] = -right[i];
    }
  }
}

// That of sixteen numbers to that of the kernel's nine, for `count` input channels.
WIDEST void to_kernel(const float *__restrict in, int64_t apart, float *__restrict out, int64_t out_apart, int64_t count) {
#pragma GCC ivdep
  for (int64_t c = 0; c < count; ++c) {
    float rows[3][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      float first = in[j * apart + c], second = in[(4 + j) * apart + c], third = in[(8 + j) * apart + c], last = in[(12 + j) * apart + c];
      float both = (second + third) * 0.5f;
      rows[0][j] = first + both, rows[1][j] = (second - third) * 0.5f, rows[2][j] = both + last;
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      float *o = out + 3 * i * out_apart + c, both = (rows[i][1] + rows[i][2]) * 0.5f;
      o[0] = rows[i][0] + both, o[out_apart] = (rows[i][1] - rows[i][2]) * 0.5f, o[2 * out_apart] = both + rows[i][3];
    }
  }
}

// The transformed weights, 16 × channels of the image that is convolved × channels of the result. Those given are O×I×3×3, channels last, and
// the image has I channels; mirrored, for the gradient of the image, O.
at::Tensor transformed(const at::Tensor &weights, bool mirrored) {
  auto output = weights.size(0), input = weights.size(1), apart = output * input;
  auto all = at::empty({16, apart}, weights.options());
  const float *weight = weights.const_data_ptr<float>();
  float *to = all.data_ptr<float>();
  at::parallel_for(0, at::divup(output, BLOCK), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> block(16 * BLOCK * BLOCK), kernel(9 * input);
    for (auto o = begin * BLOCK; o < std::min(end * BLOCK, output); o += BLOCK) {
      auto rows = std::min(BLOCK, output - o);
      if (mirrored) {
        for (int64_t row = o; row < o + rows; ++row) {
          for (int tap = 0; tap < 9; ++tap)
            std::copy_n(weight + (row * 9 + 8 - tap) * input, input, kernel.data() + tap * input);
          of_kernel(kernel.data(), input, to + row * input, apart, input);
        }
        continue;
      }
      for (int64_t i = 0; i < input; i += BLOCK) {
        auto columns = std::min(BLOCK, input - i);
        for (int64_t row = 0; row < rows; ++row)
          of_kernel(weight + (o + row) * 9 * input + i, input, block.data() + row * BLOCK, BLOCK * BLOCK, columns);
        for (int64_t place = 0; place < 16; ++place)
          transpose(block.data() + place * BLOCK * BLOCK, BLOCK, to + place * apart + i * output + o, output, rows, columns);
      }
    }
  });
  return all;
}

// Where the first of 2 × 2 results lies.
struct Tile {
  int64_t image, row, column;
};

// All of them, for a result of this size.
std::vector<Tile> tiles_of(int64_t images, int64_t rows, int64_t columns, int64_t dilation) {
  std::vector<Tile> tiles;
  auto next = [&](int64_t at) { return at + (at % dilation == dilation - 1 ? dilation + 1 : 1); };
  for (int64_t image = 0; image < images; ++image)
    for (int64_t row = 0; row < rows; row = next(row))
      for (int64_t column = 0; column < columns; column = next(column))
        tiles.push_back({image, row, column});
  return tiles;
}

// Numbers of N×C×H×W, channels last.
template <typename T> struct Map {
  T *first;
  int64_t channels, height, width;

  // Those of the `side` × `side` cells a dilation apart, from this one on; where there is no cell, `outside`.
  void around(Tile from, int64_t side, int64_t dilation, T *outside, T **places) const {
    for (int64_t i = 0; i < side * side; ++i) {
      auto row = from.row + i / side * dilation, column = from.column + i % side * dilation;
      bool is_inside = row >= 0 && row < height && column >= 0 && column < width;
      places[i] = is_inside ? first + ((from.image * height + row) * width + column) * channels : outside;
    }
  }
};

// N×C×H×W, channels last, by the transformed weights.
at::Tensor winograd(const at::Tensor &x, const at::Tensor &transformed, int64_t output, const float *bias, int64_t padding,
                    int64_t dilation) {
  auto images = x.size(0), input = x.size(1), height = x.size(2), width = x.size(3);
  auto rows = height + 2 * padding - 2 * dilation, columns = width + 2 * padding - 2 * dilation;
  auto y = at::empty({images, output, rows, columns}, x.options(), at::MemoryFormat::ChannelsLast);
  auto tiles = tiles_of(images, rows, columns, dilation);
  std::vector<float> zeros(std::max(input, output));
  Map<const float> from{x.const_data_ptr<float>(), input, height, width};
  Map<float> to{y.data_ptr<float>(), output, rows, columns};
  const float *weights = transformed.const_data_ptr<float>(), *shift = bias == nullptr ? zeros.data() : bias;
  // Few enough for a core's own cache, and, where their number can't change a sum, for all threads: MKL may add up in another order.
  int64_t count = tiles.size(), share = count / (2 * at::get_num_threads());
  int64_t each = has_block_kernels() ? std::clamp<int64_t>(share / 16 * 16, 16, 64) : 64;
  // Allocated here, as other threads would get fresh pages from the kernel each time.
  auto needed = 16 * each * (input + output) + output;
  auto scratch = at::empty({at::get_num_threads(), needed}, x.options());
  at::parallel_for(0, at::divup(count, each), 1, [&](int64_t begin, int64_t end) {
    float *inputs = scratch.data_ptr<float>() + at::get_thread_num() * needed, *products = inputs + 16 * each * input,
          *unused = products + 16 * each * output;
    for (auto first = begin * each; first < std::min(end * each, count); first += each) {
      auto of_these = std::min(each, count - first);
      for (int64_t tile = 0; tile < of_these; ++tile) {
        auto [image, row, column] = tiles[first + tile];
        const float *places[16];
        from.around({image, row - padding, column - padding}, 4, dilation, zeros.data(), places);
        of_inputs(places, inputs + tile * input, each * input, input);
      }
      // Weights of more channels than that don't stay in the cache while they are used.
      constexpr int64_t CHANNELS = 128;
      for (int64_t place = 0; place < 16; ++place)
        for (int64_t o = 0; o < output; o += CHANNELS)
          product(of_these, std::min(CHANNELS, output - o), input, {inputs + place * each * input, input},
                  {weights + place * input * output + o, output}, products + place * each * output + o, output, false);
      for (int64_t tile = 0; tile < of_these; ++tile) {
        float *places[4];
        to.around(tiles[first + tile], 2, dilation, unused, places);
        to_outputs(products + tile * output, each * output, places, shift, output);
      }
    }
  });
  return y;
}

// The gradient of the weights, O×3×3×I, from that of the result and the image that was convolved, both channels last.
at::Tensor winograd_of_weights(const at::Tensor &gradient, const at::Tensor &x, int64_t padding, int64_t dilation) {
  // So many tiles at a time, for a cache that cores share; outputs of a product, and channels of a transposed piece.
  constexpr int64_t TILES = 256, APART = TILES + BLOCK, OUTPUTS = 64, INPUTS = 256;
  auto images = x.size(0), input = x.size(1), output = gradient.size(1), apart = input * output;
  Map<const float> of_x{x.const_data_ptr<float>(), input, x.size(2), x.size(3)};
  Map<const float> of_gradient{gradient.const_data_ptr<float>(), output, gradient.size(2), gradient.size(3)};
  auto tiles = tiles_of(images, of_gradient.height, of_gradient.width, dilation);
  std::vector<float> zeros(std::max(input, output));
  auto inputs = at::empty({16, TILES, input}, x.options()), turned = at::empty({16, output, APART}, x.options());
  auto transformed = at::empty({16, apart}, x.options()), weight = at::empty({output, 3, 3, input}, x.options());
  auto pieces = at::empty({at::get_num_threads(), 16 * BLOCK * OUTPUTS}, x.options());
  float *inputs_ = inputs.data_ptr<float>(), *turned_ = turned.data_ptr<float>(), *transformed_ = transformed.data_ptr<float>();
  int64_t count = tiles.size(), down = at::divup(output, OUTPUTS);
  for (int64_t first = 0; first < count; first += TILES) {
    auto of_these = std::min(TILES, count - first);
    at::parallel_for(0, at::divup(of_these, BLOCK), 1, [&](int64_t begin, int64_t end) {
      float *piece = pieces.data_ptr<float>() + at::get_thread_num() * 16 * BLOCK * OUTPUTS;
      for (auto block = begin * BLOCK; block < std::min(end * BLOCK, of_these); block += BLOCK) {
        auto many = std::min(BLOCK, of_these - block);
        const float *places[16], *results[BLOCK][4];
        for (int64_t tile = 0; tile < many; ++tile) {
          auto [image, row, column] = tiles[first + block + tile];
          of_x.around({image, row - padding, column - padding}, 4, dilation, zeros.data(), places);
          of_inputs(places, inputs_ + (block + tile) * input, TILES * input, input);
          of_gradient.around(tiles[first + block + tile], 2, dilation, zeros.data(), results[tile]);
        }
        for (int64_t o = 0; o < output; o += OUTPUTS) {
          auto outputs = std::min(OUTPUTS, output - o);
          for (int64_t tile = 0; tile < many; ++tile) {
            const float *here[4];
            for (int i = 0; i < 4; ++i)
              here[i] = results[tile][i] == zeros.data() ? zeros.data() : results[tile][i] + o;
            of_outputs(here, piece + tile * OUTPUTS, BLOCK * OUTPUTS, outputs);
          }
          for (int64_t place = 0; place < 16; ++place)
            for (int64_t channel = 0; channel < outputs; channel += BLOCK)
              transpose(piece + place * BLOCK * OUTPUTS + channel, OUTPUTS, turned_ + (place * output + o + channel) * APART + block, APART,
                        many, std::min(BLOCK, outputs - channel));
        }
      }
    });
    at::parallel_for(0, 16 * down, 1, [&](int64_t begin, int64_t end) {
      for (auto task = begin; task < end; ++task) {
        auto place = task / down, o = task % down * OUTPUTS;
        for (int64_t i = 0; i < input; i += INPUTS)
          product(std::min(OUTPUTS, output - o), std::min(INPUTS, input - i), of_these, {turned_ + (place * output + o) * APART, APART},
                  {inputs_ + place * TILES * input + i, input}, transformed_ + place * apart + o * input + i, input, first > 0);
      }
    });
  }
  at::parallel_for(0, output, BLOCK, [&](int64_t begin, int64_t end) {
    for (auto o = begin; o < end; ++o)
      to_kernel(transformed_ + o * input, apart, weight.data_ptr<float>() + o * 9 * input, input, input);
  });
  return weight;
}

} // namespace
