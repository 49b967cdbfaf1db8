// Bilinear interpolation of maps whose rows are contiguous, for upsample.rs, which says why.
#include "guarded.h"
#include "widest.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/upsample_bilinear2d_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Where an index of the larger side lies on the smaller: between two of its indices, with a weight each.
template <typename T> struct Place {
  int64_t before, after;
  T of_before, of_after;
};

// As ATen's area_pixel_compute_source_index and guard_index_and_lambda.
template <typename T> std::vector<Place<T>> places(int64_t small, int64_t large, bool corners) {
  auto divided = [](int64_t a, int64_t b) { return b > 0 ? static_cast<T>(a) / static_cast<T>(b) : T(0); };
  T scale = corners ? divided(small - 1, large - 1) : divided(small, large);
  std::vector<Place<T>> all(large);
  for (int64_t i = 0; i < large; ++i) {
    T at = corners ? scale * i : std::max(T(0), scale * (i + T(0.5)) - T(0.5));
    auto before = std::min(static_cast<int64_t>(at), small - 1);
    T of_after = std::min(std::max(at - before, T(0)), T(1));
    all[i] = {before, before + (before < small - 1), T(1) - of_after, of_after};
  }
  return all;
}

// Adds a row of the gradient to the two rows that it was made of.
WIDEST void spread(const float *row, float *before, float *after, float of_before, float of_after, int64_t width) {
  for (int64_t x = 0; x < width; ++x) {
    before[x] += of_before * row[x];
    after[x] += of_after * row[x];
  }
}
WIDEST void spread(const double *row, double *before, double *after, double of_before, double of_after, int64_t width) {
  for (int64_t x = 0; x < width; ++x) {
    before[x] += of_before * row[x];
    after[x] += of_after * row[x];
  }
}

// A row between two others.
WIDEST void between(const float *before, const float *after, float of_before, float of_after, float *row, int64_t width) {
  for (int64_t x = 0; x < width; ++x)
    row[x] = of_before * before[x] + of_after * after[x];
}
WIDEST void between(const double *before, const double *after, double of_before, double of_after, double *row, int64_t width) {
  for (int64_t x = 0; x < width; ++x)
    row[x] = of_before * before[x] + of_after * after[x];
}

// Columns first, once for each row of the smaller map; then rows, many numbers at once.
template <typename T> void widen(const T *small, T *large, int64_t count, at::IntArrayRef from, at::IntArrayRef to, bool corners) {
  auto height = from[0], width = from[1], rows = to[0], columns = to[1];
  auto down = places<T>(height, rows, corners), along = places<T>(width, columns, corners);
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> two(2 * columns);
    for (int64_t plane = begin; plane < end; ++plane) {
      // The widened rows `row` and `row + 1`, once they are asked for.
      T *here = two.data(), *next = here + columns;
      int64_t row = -2;
      auto widened = [&](int64_t of, T *line) {
        const auto *given = small + (plane * height + of) * width;
        for (int64_t x = 0; x < columns; ++x)
          line[x] = along[x].of_before * given[along[x].before] + along[x].of_after * given[along[x].after];
      };
      for (int64_t y = 0; y < rows; ++y) {
        const auto &place = down[y];
        if (place.before != row) {
          if (place.before == row + 1)
            std::swap(here, next);
          else
            widened(place.before, here);
          row = place.before;
          if (place.after != row)
            widened(place.after, next);
        }
        const auto *after = place.after == row ? here : next;
        between(here, after, place.of_before, place.of_after, large + (plane * rows + y) * columns, columns);
      }
    }
  });
}

// Rows first, a row of a channel at a time and many numbers at once; then, of each row of the smaller map, once, columns.
template <typename T> void planes(const T *large, T *small, int64_t count, at::IntArrayRef from, at::IntArrayRef to, bool corners) {
  auto height = from[0], width = from[1], rows = to[0], columns = to[1];
  auto down = places<T>(height, rows, corners), along = places<T>(width, columns, corners);
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> two(2 * columns);
    for (int64_t plane = begin; plane < end; ++plane) {
      auto *result = small + plane * height * width;
      std::fill(result, result + height * width, T(0));
      std::fill(two.begin(), two.end(), T(0));
      T *here = two.data(), *next = here + columns;
      int64_t row = 0;
      // The row `row` is complete.
      auto finish = [&] {
        auto *line = result + row * width;
        for (int64_t x = 0; x < columns; ++x) {
          line[along[x].before] += along[x].of_before * here[x];
          line[along[x].after] += along[x].of_after * here[x];
        }
        std::fill(here, here + columns, T(0));
        std::swap(here, next);
        ++row;
      };
      for (int64_t y = 0; y < rows; ++y) {
        while (row < down[y].before)
          finish();
        auto *after = down[y].after > row ? next : here;
        spread(large + (plane * rows + y) * columns, here, after, down[y].of_before, down[y].of_after, columns);
      }
      while (row < height)
        finish();
    }
  });
}

// Whether it is on this machine and of a kind that the loops above take.
bool is_known(const Tensor &x) { return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble); }

struct Upsample : torch::autograd::Function<Upsample> {
  static Tensor forward(AutogradContext *context, const Tensor &x, int64_t height, int64_t width, bool corners) {
    context->saved_data["size"] = x.sizes().vec();
    context->saved_data["corners"] = corners;
    // ATen's own is quick where channels are adjacent, and says what else it can't take.
    if (!is_known(x) || x.dim() != 4 || !x.is_contiguous() || x.numel() == 0 || height < 1 || width < 1)
      return at::upsample_bilinear2d(x, {height, width}, corners);
    auto result = at::empty({x.size(0), x.size(1), height, width}, x.options());
    auto from = x.sizes().slice(2), to = result.sizes().slice(2);
    auto count = x.size(0) * x.size(1);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "bilinear", [&] {
      widen(x.const_data_ptr<scalar_t>(), result.mutable_data_ptr<scalar_t>(), count, from, to, corners);
    });
    return result;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto size = context->saved_data["size"].toIntVector();
    auto corners = context->saved_data["corners"].toBool();
    const auto &given = gradients[0];
    auto to = given.sizes().slice(2);
    // ATen's own is quick where channels are adjacent.
    if (!is_known(given) || given.is_contiguous(at::MemoryFormat::ChannelsLast) && !given.is_contiguous())
      return {at::upsample_bilinear2d_backward(given, to, size, corners), Tensor(), Tensor(), Tensor()};
    auto gradient = given.contiguous();
    auto result = at::empty(size, gradient.options());
    auto from = at::IntArrayRef(size).slice(2);
    auto count = size[0] * size[1];
    AT_DISPATCH_FLOATING_TYPES(gradient.scalar_type(), "bilinear", [&] {
      planes(gradient.const_data_ptr<scalar_t>(), result.mutable_data_ptr<scalar_t>(), count, from, to, corners);
    });
    return {result, Tensor(), Tensor(), Tensor()};
  }
};

} // namespace

extern "C" char *intrada_shim_upsample(const Tensor *x, int64_t height, int64_t width, bool corners, Tensor **result) {
  return guarded([&] { *result = new Tensor(Upsample::apply(*x, height, width, corners)); });
}
