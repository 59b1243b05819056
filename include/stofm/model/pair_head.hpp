// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The pair head of pretraining and its loss in one pass over the labelled pairs:
///   z = W0 p + b0,  y = w2 . relu(z) + b2,  loss = sum (y - target)^2
///   e = 2 (y - target):  dw2 = e relu(z), dz = e w2 [z > 0], dW0 = dz p^T, dp = W0^T dz.
/// The gradients are computed with the loss, 16 pairs side by side, and only scaled in backward: the sole
/// thing that is as long as the pairs is dp, in the memory of the gradient that backward needs anyway.
/// *Source* SPEC section 6 (PDR).

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "stofm/autograd/tape.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/model/parameters.hpp"

namespace stofm::model {

/// pair_head.0 and pair_head.2 on a tape.
template <Real T>
struct PairHeadVariables {
  autograd::Variable<T> w0, b0;  ///< [H, H], [H]
  autograd::Variable<T> w2, b2;  ///< [1, H], [1]
};

/// Sum of squared differences between the head's predictions and `targets`. *Shapes* values: [P, H], targets:
/// [P]; result []. Sums are double. \throws ShapeError STOFM-1343. *Saved* d loss / d values. *Cost* 6 P H^2
/// FLOP. *Deterministic* yes, for any number of threads.
template <Real T>
autograd::Variable<T> pair_head_squared_error(const autograd::Variable<T>& values,
                                              const PairHeadVariables<T>& head,
                                              std::span<const float> targets);

namespace detail {

/// A chunk of pairs. Gradients are of the plain sum.
template <Real T>
struct PairHeadChunk {
  static constexpr std::int64_t lanes = 16;
  struct Arguments {
    const T *values, *w0, *b0, *w2;
    T b2;
    const float* targets;
    std::int64_t pairs, heads;
    T* grad_values;  // [pairs, heads], or null: the loss alone
    T* lane_sums;    // [2 heads + heads^2 + 1][lanes]: of b0, w2, W0 and b2; zeros at first
    T* work;         // [3 heads][lanes]
    double* loss;
  };

  [[gnu::always_inline]] static void run(const Arguments& a) {
    const std::int64_t h = a.heads;
    T *p = a.work, *active = p + h * lanes, *grad = active + h * lanes;
    T *sum_b0 = a.lane_sums, *sum_w2 = sum_b0 + h * lanes, *sum_w0 = sum_w2 + h * lanes,
      *sum_b2 = sum_w0 + h * h * lanes;
    double loss = 0;
    for (std::int64_t begin = 0; begin < a.pairs; begin += lanes) {
      const std::int64_t count = a.pairs - begin < lanes ? a.pairs - begin : lanes;
      for (std::int64_t i = 0; i < h; ++i)
        for (std::int64_t l = 0; l < lanes; ++l)
          p[i * lanes + l] = l < count ? a.values[(begin + l) * h + i] : T(0);
      T y[lanes], e[lanes];
      for (std::int64_t l = 0; l < lanes; ++l) y[l] = a.b2;
      for (std::int64_t j = 0; j < h; ++j) {
        T z[lanes];
        for (std::int64_t l = 0; l < lanes; ++l) z[l] = a.b0[j];
        for (std::int64_t i = 0; i < h; ++i)
          for (std::int64_t l = 0; l < lanes; ++l) z[l] += a.w0[j * h + i] * p[i * lanes + l];
        for (std::int64_t l = 0; l < lanes; ++l) {
          const T x = z[l] <= T(0) ? T(0) : z[l];  // NaN stays
          active[j * lanes + l] = x;
          y[l] += a.w2[j] * x;
        }
      }
      for (std::int64_t l = 0; l < lanes; ++l) {
        const T difference = l < count ? y[l] - static_cast<T>(a.targets[begin + (l < count ? l : 0)]) : T(0);
        e[l] = T(2) * difference;
        loss += static_cast<double>(difference) * static_cast<double>(difference);
      }
      if (a.grad_values == nullptr) continue;
      for (std::int64_t l = 0; l < lanes; ++l) sum_b2[l] += e[l];
      for (std::int64_t k = 0; k < h * lanes; ++k) grad[k] = T(0);
      for (std::int64_t j = 0; j < h; ++j) {
        T z[lanes];
        for (std::int64_t l = 0; l < lanes; ++l) {
          const T x = active[j * lanes + l];
          sum_w2[j * lanes + l] += e[l] * x;
          z[l] = x == T(0) ? T(0) : e[l] * a.w2[j];
          sum_b0[j * lanes + l] += z[l];
        }
        for (std::int64_t i = 0; i < h; ++i)
          for (std::int64_t l = 0; l < lanes; ++l) {
            sum_w0[(j * h + i) * lanes + l] += z[l] * p[i * lanes + l];
            grad[i * lanes + l] += z[l] * a.w0[j * h + i];
          }
      }
      for (std::int64_t l = 0; l < count; ++l)
        for (std::int64_t i = 0; i < h; ++i) a.grad_values[(begin + l) * h + i] = grad[i * lanes + l];
    }
    *a.loss = loss;
  }
#if defined(STOFM_X86_KERNELS)
  STOFM_TARGET_AVX2 static void run_avx2(const Arguments& a) { run(a); }
  STOFM_TARGET_AVX512 static void run_avx512(const Arguments& a) { run(a); }
#endif
  static void run_generic(const Arguments& a) { run(a); }
  static void run_best(const Arguments& a) {
#if defined(STOFM_X86_KERNELS)
    const CpuKernels level = cpu_kernels();
    if (level >= CpuKernels::avx512) return run_avx512(a);
    if (level == CpuKernels::avx2) return run_avx2(a);
#endif
    run_generic(a);
  }
};

/// The loss, and (if asked for) its gradients: of values [P, H] and of b0, w2, W0, b2 one after the other.
template <Real T>
struct PairHeadResult {
  double loss = 0;
  Tensor<T> grad_values;
  std::vector<double> grad_parameters;
};

template <Real T>
PairHeadResult<T> pair_head_pass(const Tensor<T>& values, const PairHeadVariables<T>& head,
                                 std::span<const float> targets, bool with_gradients) {
  using Chunk = PairHeadChunk<T>;
  constexpr std::int64_t grain = 4096;
  const std::int64_t pairs = values.dim(0), h = values.dim(1), sums = 2 * h + h * h + 1;
  const std::int64_t chunks = (pairs + grain - 1) / grain;
  PairHeadResult<T> result;
  if (with_gradients) result.grad_values = Tensor<T>(values.shape());
  std::vector<double> losses(static_cast<std::size_t>(chunks)),
      partial(static_cast<std::size_t>(with_gradients ? checked_mul(chunks, sums) : 0));
  parallel_for(pairs, grain, [&](std::int64_t begin, std::int64_t end) {
    std::vector<T> lane_sums(static_cast<std::size_t>(sums * Chunk::lanes)),
        work(static_cast<std::size_t>(3 * h * Chunk::lanes));
    const std::int64_t chunk = begin / grain;
    Chunk::run_best({values.data() + begin * h, head.w0.value().data(), head.b0.value().data(),
                     head.w2.value().data(), head.b2.value().data()[0], targets.data() + begin, end - begin,
                     h, with_gradients ? result.grad_values.data() + begin * h : nullptr, lane_sums.data(),
                     work.data(), &losses[static_cast<std::size_t>(chunk)]});
    for (std::int64_t i = 0; with_gradients && i < sums; ++i)
      for (std::int64_t l = 0; l < Chunk::lanes; ++l)
        partial[static_cast<std::size_t>(chunk * sums + i)] +=
            static_cast<double>(lane_sums[static_cast<std::size_t>(i * Chunk::lanes + l)]);
  });
  for (const double loss : losses) result.loss += loss;
  if (!with_gradients) return result;
  result.grad_parameters.resize(static_cast<std::size_t>(sums));
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    for (std::int64_t i = 0; i < sums; ++i)
      result.grad_parameters[static_cast<std::size_t>(i)] +=
          partial[static_cast<std::size_t>(chunk * sums + i)];
  return result;
}

}  // namespace detail

template <Real T>
autograd::Variable<T> pair_head_squared_error(const autograd::Variable<T>& values,
                                              const PairHeadVariables<T>& head,
                                              std::span<const float> targets) {
  const std::int64_t h = head.b0.value().numel();
  const auto require = [](const char* name, const Shape& found, const Shape& expected) {
    if (!(found == expected))
      throw ShapeError({"STOFM-1343", "", concat("[pair_head_squared_error] ", name), to_string(found),
                        to_string(expected), "Give one row of `heads` values and one target per pair."});
  };
  require("values", values.shape(), Shape{static_cast<std::int64_t>(targets.size()), h});
  require("w0", head.w0.shape(), Shape{h, h});
  require("w2", head.w2.shape(), Shape{1, h});
  require("b2", head.b2.shape(), Shape{1});
  const auto inputs = {values, head.w0, head.b0, head.w2, head.b2};
  bool recorded = false;
  for (const auto& input : inputs) recorded = recorded || (input.needs_grad() && input.tape()->recording());
  auto pass = detail::pair_head_pass(values.value().contiguous(), head, targets, recorded);
  return autograd::record<T>(
      "pair_head_squared_error", Tensor<T>::full(Shape{}, static_cast<T>(pass.loss)), inputs,
      [grad_values = std::move(pass.grad_values), sums = std::move(pass.grad_parameters), h](
          const Tensor<T>& grad, autograd::Gradients<T>& into) {
        const T factor = grad.data()[0];
        if (into.wanted(0)) into.add_owned(0, ops::scale(grad_values, factor));
        const auto put = [&](std::size_t input, std::int64_t from, std::int64_t count) {
          if (!into.wanted(input)) return;
          Tensor<T>& sum = into.accumulator(input);
          for (std::int64_t i = 0; i < count; ++i)
            sum.data()[i] +=
                static_cast<T>(static_cast<double>(factor) * sums[static_cast<std::size_t>(from + i)]);
        };
        put(1, 2 * h, h * h);
        put(2, 0, h);
        put(3, h, h);
        put(4, 2 * h + h * h, 1);
      });
}

}  // namespace stofm::model
