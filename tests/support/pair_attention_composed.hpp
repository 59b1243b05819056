// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The pair attention of autograd/rules/pair_attention.hpp from elementary dense steps, with the pair state
/// P_l [heads, nodes, nodes] carried as a variable: the reference of the tests and the "before" of the
/// benchmark. Same interface.
///   P_0 = background + listed values;  P_l = P_(l-1) + scale Q_l K_l^T;  A = softmax(P_l) o M;  y_l = A V_l.

#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "stofm/autograd/rules/pair_attention.hpp"
#include "stofm/autograd/rules/softmax.hpp"
#include "stofm/backend/cpu/matrix.hpp"

namespace stofm::autograd {

namespace detail {
/// Head h of a matrix [nodes, heads * width].
template <class T>
auto head_of(T* data, std::int64_t nodes, std::int64_t heads, std::int64_t width, std::int64_t h) {
  return backend::eigen_rows(data + h * width, nodes, width, heads * width);
}

/// P_0 [heads, nodes, nodes]. grad_values: the listed elements; grad_background: the sum of all elements of a
/// head.
template <ops::Computed T>
Variable<T> dense_pair_bias(const PairList& pattern, const Variable<T>& values,
                            const Variable<T>& background) {
  const std::int64_t heads = values.value().dim(0), n = pattern.nodes, size = n * n;
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < n; ++i)
    for (auto e = pattern.row_offsets[static_cast<std::size_t>(i)];
         e < pattern.row_offsets[static_cast<std::size_t>(i) + 1]; ++e)
      places.push_back(i * n + pattern.columns[static_cast<std::size_t>(e)]);
  Tensor<T> p(Shape{heads, n, n});
  for (std::int64_t h = 0; h < heads; ++h) {
    std::fill_n(p.data() + h * size, size, background.value()(h));
    for (std::size_t e = 0; e < places.size(); ++e)
      p.data()[h * size + places[e]] += values.value()(h, static_cast<std::int64_t>(e));
  }
  return record<T>("dense_pair_bias", p, {values, background},
                   [=](const Tensor<T>& grad, Gradients<T>& into) {
                     for (std::int64_t h = 0; h < heads; ++h) {
                       const T* g = grad.data() + h * size;
                       if (into.wanted(0))
                         for (std::size_t e = 0; e < places.size(); ++e)
                           into.accumulator(0)(h, static_cast<std::int64_t>(e)) += g[places[e]];
                       if (into.wanted(1))
                         for (std::int64_t k = 0; k < size; ++k) into.accumulator(1)(h) += g[k];
                     }
                   });
}

/// P + scale q k^T per head. grad_P = G, grad_q = scale G k, grad_k = scale G^T q.
template <ops::Computed T>
Variable<T> add_pair_products(const Variable<T>& p, const Variable<T>& q, const Variable<T>& k,
                              double scale) {
  const std::int64_t heads = p.value().dim(0), n = p.value().dim(1), width = q.value().dim(1) / heads;
  const Tensor<T> qs = q.value().contiguous(), ks = k.value().contiguous();
  const T factor = static_cast<T>(scale);
  Tensor<T> s = p.value().clone();
  for (std::int64_t h = 0; h < heads; ++h)
    backend::eigen_rows(s.data() + h * n * n, n, n, n).noalias() +=
        factor *
        (head_of(qs.data(), n, heads, width, h) * head_of(ks.data(), n, heads, width, h).transpose());
  return record<T>("add_pair_products", s, {p, q, k}, [=](const Tensor<T>& grad, Gradients<T>& into) {
    into.add(0, grad);
    for (std::int64_t h = 0; h < heads; ++h) {
      const auto g = backend::eigen_rows(grad.data() + h * n * n, n, n, n);
      if (into.wanted(1))
        head_of(into.accumulator(1).data(), n, heads, width, h) +=
            factor * (g * head_of(ks.data(), n, heads, width, h));
      if (into.wanted(2))
        head_of(into.accumulator(2).data(), n, heads, width, h) +=
            factor * (g.transpose() * head_of(qs.data(), n, heads, width, h));
    }
  });
}

/// The mask of `key` over 1 - p. grad_x = G o M.
template <ops::Computed T>
Variable<T> drop_pairs(const Variable<T>& x, double probability, const RandomKey& key) {
  const DropoutRate rate = DropoutRate::of(probability);
  if (!rate.drops()) return x;
  const std::int64_t heads = x.value().dim(0), n = x.value().dim(1), groups = (n + 31) / 32;
  const DropoutMask mask(key, rate.threshold);
  Tensor<T> factors(x.shape());
  for (std::int64_t h = 0, at = 0; h < heads; ++h)
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j, ++at)
        factors.data()[at] =
            mask.keeps(static_cast<std::uint64_t>(((h * groups + j / 32) * 32 * groups + i) * 32 + j % 32))
                ? static_cast<T>(rate.factor)
                : T(0);
  auto times = [factors](const Tensor<T>& a) {
    Tensor<T> result(a.shape());
    for (std::int64_t k = 0; k < a.numel(); ++k) result.data()[k] = a.data()[k] * factors.data()[k];
    return result;
  };
  return record<T>("drop_pairs", times(x.value()), {x},
                   [times](const Tensor<T>& grad, Gradients<T>& into) { into.add_owned(0, times(grad)); });
}

/// y = A v per head. grad_A = G v^T, grad_v = A^T G.
template <ops::Computed T>
Variable<T> weigh_values(const Variable<T>& a, const Variable<T>& v) {
  const std::int64_t heads = a.value().dim(0), n = a.value().dim(1), width = v.value().dim(1) / heads;
  const Tensor<T> weights = a.value(), vs = v.value().contiguous();
  Tensor<T> y(v.shape());
  for (std::int64_t h = 0; h < heads; ++h)
    head_of(y.data(), n, heads, width, h) =
        backend::eigen_rows(weights.data() + h * n * n, n, n, n) * head_of(vs.data(), n, heads, width, h);
  return record<T>("weigh_values", y, {a, v}, [=](const Tensor<T>& grad, Gradients<T>& into) {
    for (std::int64_t h = 0; h < heads; ++h) {
      const auto g = head_of(grad.data(), n, heads, width, h);
      if (into.wanted(0))
        backend::eigen_rows(into.accumulator(0).data() + h * n * n, n, n, n) +=
            g * head_of(vs.data(), n, heads, width, h).transpose();
      if (into.wanted(1))
        head_of(into.accumulator(1).data(), n, heads, width, h) +=
            backend::eigen_rows(weights.data() + h * n * n, n, n, n).transpose() * g;
    }
  });
}

/// x [heads, nodes, nodes] at pairs: [pairs, heads].
template <ops::Computed T>
Variable<T> pick_pairs(const Variable<T>& x, const std::vector<std::int64_t>& rows,
                       const std::vector<std::int64_t>& columns) {
  const std::int64_t heads = x.value().dim(0), pairs = static_cast<std::int64_t>(rows.size());
  Tensor<T> y(Shape{pairs, heads});
  for (std::int64_t p = 0; p < pairs; ++p)
    for (std::int64_t h = 0; h < heads; ++h)
      y(p, h) = x.value()(h, rows[static_cast<std::size_t>(p)], columns[static_cast<std::size_t>(p)]);
  return record<T>("pick_pairs", y, {x}, [=](const Tensor<T>& grad, Gradients<T>& into) {
    Tensor<T>& sum = into.accumulator(0);
    for (std::int64_t p = 0; p < pairs; ++p)
      for (std::int64_t h = 0; h < heads; ++h)
        sum(h, rows[static_cast<std::size_t>(p)], columns[static_cast<std::size_t>(p)]) += grad(p, h);
  });
}
}  // namespace detail

/// *Memory* O(heads * nodes^2) per layer. One thread.
template <ops::Computed T>
class PairAttentionComposed {
 public:
  PairAttentionComposed(std::int64_t heads, std::int64_t head_dim, const PairList& pattern,
                        const Variable<T>& bias_values, const Variable<T>& background)
      : width_(heads * head_dim), p_(detail::dense_pair_bias(pattern, bias_values, background)) {}

  Variable<T> attend(const Variable<T>& q, const Variable<T>& k, const Variable<T>& v,
                     const PairAttentionOptions& options = {}) {
    ops::detail::require_shape("PairAttentionComposed", "q", q.value().view(),
                               Shape{p_.value().dim(1), width_}, "nodes, heads * head_dim");
    p_ = detail::add_pair_products(p_, q, k, options.scale);
    return detail::weigh_values(detail::drop_pairs(autograd::softmax(p_), options.dropout, options.key), v);
  }

  Variable<T> pair_values(const std::vector<std::int64_t>& rows,
                          const std::vector<std::int64_t>& columns) const {
    return detail::pick_pairs(p_, rows, columns);
  }

 private:
  std::int64_t width_;
  Variable<T> p_;
};

}  // namespace stofm::autograd
