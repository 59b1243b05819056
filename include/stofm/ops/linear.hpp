// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Linear layer: y = activation(scale * (x w^T + b)).
///
/// On a CPU with AMX, float products are computed from operands split in three bfloat16 each (six products of
/// parts, float32 sums): relative to sum_k |x_k w_k| the error of one element is at most 2^-24 (K + 8), as in
/// float32. There, products of denormal parts count as zero and an infinite operand gives NaN. With
/// MatmulGrade::bfloat16 the error is at most 2^-8 + 2^-18 + 2^-24 (K + 2) of that sum.

#include <optional>
#include <utility>

#include "stofm/backend/cpu/linear.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

using stofm::Activation;
using stofm::LinearOptions;
using stofm::MatmulGrade;

namespace detail {
template <Computed T>
void check_linear(const TensorView<T>& y, const TensorView<const T>& x, const TensorView<const T>& w,
                  const TensorView<const T>& b) {
  require_rank("linear", "y", y, 2);
  require_rank("linear", "x", x, 2);
  require_rank("linear", "w", w, 2);
  if (x.dim(1) != w.dim(1))
    refuse("linear", concat("x ", to_string(x.shape), ", w ", to_string(w.shape)), "x [M, K] and w [N, K]");
  require_shape("linear", "y", y, Shape{x.dim(0), w.dim(0)}, "rows of x, rows of w");
  if (b.data != nullptr) require_shape("linear", "b", b, Shape{w.dim(0)}, "one bias per row of w");
  require_dense_rows("linear", "y", y);
  require_dense_rows("linear", "x", x);
  require_dense_rows("linear", "w", w);
  if (b.data != nullptr) require_dense_rows("linear", "b", b);
}
}  // namespace detail

/// *Shapes* y: [M, N], x: [M, K], w: [N, K] (row-major, as in torch), b: [N] or a view without data; rows
/// dense, any distance between rows. y must not overlap x, w, b. \throws ShapeError. *Cost* 2 M N K.
/// *Deterministic* yes, for any number of threads.
template <Computed T>
void linear_into(TensorView<T> y, Input<T> x, Input<T> w, Input<T> b = {}, LinearOptions options = {}) {
  detail::check_linear<T>(y, x, w, b);
  backend::linear(Cpu{}, y, x, w, b.data, options);
}

/// The same into a new tensor. An empty `b` (default constructed) means no bias.
template <Computed T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& b = {},
                 LinearOptions options = {}) {
  detail::require_rank("linear", "x", x.view(), 2);
  detail::require_rank("linear", "w", w.view(), 2);
  Tensor<T> y(Shape{x.dim(0), w.dim(0)});
  linear_into(y.view(), x.view(), w.view(), b.view(), options);
  return y;
}

/// A linear layer whose weights were put into the order of the kernels once: use it where the same weights
/// meet many inputs. Shares w and b (do not change them afterwards).
template <Computed T>
class PackedLinear {
 public:
  PackedLinear() = default;
  /// w: [N, K], b: [N] or default constructed for none; `grade`: what most calls will ask for (the others
  /// pack anew). \throws ShapeError, ResourceError. *Memory* one more copy of w (half of one for bfloat16)
  /// where kernels of ours are used.
  explicit PackedLinear(Tensor<T> w, Tensor<T> b = {}, MatmulGrade grade = MatmulGrade::float32)
      : w_(w.contiguous()), b_(b.contiguous()) {
    detail::require_rank("PackedLinear", "w", w_.view(), 2);
    if (b_.data() != nullptr)
      detail::require_shape("PackedLinear", "b", std::as_const(b_).view(), Shape{w_.dim(0)},
                            "one bias per row of w");
    packed_ = backend::pack_weights(Cpu{}, std::as_const(w_).view(), grade);
  }

  std::int64_t inputs() const { return w_.dim(1); }
  std::int64_t outputs() const { return w_.dim(0); }
  const Tensor<T>& weight() const { return w_; }
  const Tensor<T>& bias() const { return b_; }

  /// As `linear_into`, bit for bit.
  void apply_into(TensorView<T> y, Input<T> x, LinearOptions options = {}) const {
    detail::check_linear<T>(y, x, w_.view(), b_.view());
    backend::linear_packed<T>(Cpu{}, y, x, w_.view(), b_.data(), &packed_, options);
  }
  Tensor<T> operator()(const Tensor<T>& x, LinearOptions options = {}) const {
    detail::require_rank("linear", "x", x.view(), 2);
    Tensor<T> y(Shape{x.dim(0), outputs()});
    apply_into(y.view(), x.view(), options);
    return y;
  }

 private:
  Tensor<T> w_ = Tensor<T>(Shape{0, 0}), b_;
  backend::PackedWeights<T> packed_;
};

}  // namespace stofm::ops
