// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention with a pairwise state carried through the layers, never stored, and its gradient. Per head, for
/// layer l (1-based):
///   S_l = B + scale_1 Q_1 K_1^T + ... + scale_l Q_l K_l^T,  A = softmax(S_l),  y = (A o M) V_l,
/// B one background value except at listed pairs, M the keep mask of dropout over 1 - p (all ones without
/// dropout). With dA = (dy V^T) o M and G_l = A o (dA - rowsum(dA o A)), where rowsum(dA o A) = rowsum(dy o
/// y):
///   dV_l = (A o M)^T dy,  dQ_j += scale_j G_l K_j,  dK_j += scale_j G_l^T Q_j for all j <= l,  dB += G_l.
/// A is computed again from S and the saved log sum of exp of each row; no [nodes, nodes] array exists. Rows
/// of G_l sum to zero, so the background gets a gradient from `values` (P_L) only. *Source* SPEC section 5,
/// identities 1 and 3: the sum over layers is one product of concatenated queries and keys, and a constant
/// per row does not change a softmax; the recomputation is that of FlashAttention (Dao et al. 2022).

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cpu/pair_attention.hpp"
#include "stofm/core/pair_list.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

using stofm::PairList;
using stofm::SparsePairBias;
using stofm::backend::AskedPairs;
using stofm::backend::PairGradients;

struct PairAttentionOptions {
  MatmulGrade grade = MatmulGrade::float32;  ///< of `attend_into`, without gradients
  bool gradients = false;  ///< on AMX, products as the gradients have them: right to about 2^-16, and quicker
};

/// Result of one layer.
template <Computed T>
struct PairAttentionValue {
  Tensor<T> y;         ///< [nodes, heads * head_dim]
  Tensor<T> log_sums;  ///< [heads, nodes] log sum exp of each row of S without background, for the gradient
};

/// The logits up to a layer. A value: copies share their memory, `append` changes only this copy.
/// *Memory* O(nodes * heads * head_dim) per layer, O(entries * heads); scratch O(32 nodes) per thread; never
/// [nodes, nodes]. *Deterministic* yes, for any number of threads: a head of the gradient is summed by one
/// thread in the order of its blocks.
template <Computed T>
class PairAttention {
 public:
  /// Listed values are zeros at first. \throws ShapeError STOFM-1105 for sizes, and as PairList::validate.
  PairAttention(std::int64_t heads, std::int64_t head_dim, const PairList& pairs,
                PairAttentionOptions options = {}) {
    prepare(heads, head_dim, pairs, options);
    state_.slots = Tensor<T>::zeros(slots_shape());
  }
  /// The same with the bias of a sub-slice. \throws ShapeError too if its sizes do not fit.
  PairAttention(std::int64_t heads, std::int64_t head_dim, const SparsePairBias<T>& bias,
                PairAttentionOptions options = {}) {
    prepare(heads, head_dim, bias.pairs, options);
    if (static_cast<std::int64_t>(bias.background.size()) != heads)
      detail::refuse("PairAttention", concat(bias.background.size(), " background values"),
                     concat(heads, ", one per head"));
    background_ = bias.background;
    state_.slots = to_slots(bias.values);
  }

  std::int64_t nodes() const { return state_.nodes(); }
  std::int64_t heads() const { return state_.heads; }
  std::int64_t head_dim() const { return state_.width; }
  std::int64_t entries() const { return state_.pairs->entries; }
  /// Layers appended so far.
  std::int64_t layers() const { return static_cast<std::int64_t>(state_.layers.size()); }
  /// [heads, slots]: the order in which the blocks want the listed values.
  Shape slots_shape() const { return {heads(), state_.pairs->slots()}; }

  /// [heads, entries] in the order of the list -> [heads, slots].
  Tensor<T> to_slots(const Tensor<T>& values) const {
    detail::require_shape("PairAttention", "bias_values", values.view(), Shape{heads(), entries()},
                          "heads, entries");
    const auto& order = state_.pairs->runs.order;
    const auto slots = static_cast<std::int64_t>(order.size());
    const auto from = values.view();
    Tensor<T> result(Shape{heads(), slots});
    parallel_for(heads(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t h = begin; h < end; ++h) {
        const T* in = from.row(h);
        const std::int64_t step = from.stride(1);
        std::transform(order.begin(), order.end(), result.data() + h * slots,
                       [in, step](std::int64_t e) { return e < 0 ? T(0) : in[e * step]; });
      }
    });
    return result;
  }
  /// The way back, for a gradient.
  Tensor<T> from_slots(const Tensor<T>& slot_values) const {
    const auto& order = state_.pairs->runs.order;
    const auto slots = static_cast<std::int64_t>(order.size());
    const T* from = slot_values.data();
    Tensor<T> result(Shape{heads(), entries()});
    parallel_for(heads(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t h = begin; h < end; ++h)
        for (std::int64_t s = 0; s < slots; ++s)
          if (order[static_cast<std::size_t>(s)] >= 0)
            result.data()[h * entries() + order[static_cast<std::size_t>(s)]] = from[h * slots + s];
    });
    return result;
  }
  /// Uses these values from now on (shared, not copied). Zeros at first.
  void set_slots(Tensor<T> slots) {
    detail::require_shape("PairAttention", "slots", std::as_const(slots).view(), slots_shape(),
                          "heads, slots");
    state_.slots = slots.contiguous();
  }

  /// Adds one layer's queries and keys (copied). *Shapes* [nodes, heads * head_dim], rows dense. \throws
  /// ShapeError. *Cost* O(nodes * heads * head_dim).
  void append(Input<T> q, Input<T> k, double scale = 1.0) {
    require_nodes("append", "q", q);
    require_nodes("append", "k", k);
    state_.layers.push_back(
        backend::pair_layer<T>(Cpu{}, state_, TensorView<const T>(q), TensorView<const T>(k), scale));
  }

  /// y = softmax(S) v of the layers so far. *Shapes* y, v: [nodes, heads * head_dim], rows dense, y apart
  /// from v. \throws ShapeError. *Cost* 2 nodes^2 heads head_dim (layers + 1).
  void attend_into(TensorView<T> y, Input<T> v) const {
    require_nodes("attend", "y", TensorView<const T>(y));
    require_nodes("attend", "v", v);
    if (y.numel() > 0) backend::pair_forward<T>(Cpu{}, state_, y, TensorView<const T>(v), {}, nullptr);
  }
  /// The same with dropped weights, and with what its gradient needs. Of no state of the grade bfloat16,
  /// which has no gradients.
  PairAttentionValue<T> attend(Input<T> v, const WeightDropout& dropout = {}) const {
    if (state_.rounded()) require_gradients("attend");
    require_nodes("attend", "v", v);
    PairAttentionValue<T> result{Tensor<T>(v.shape), Tensor<T>(Shape{heads(), nodes()})};
    if (result.y.numel() > 0)
      backend::pair_forward<T>(Cpu{}, state_, result.y.view(), TensorView<const T>(v), dropout,
                               result.log_sums.data());
    return result;
  }
  /// Adds its gradients. *Cost* 2 nodes^2 heads head_dim (3 layers + 2). \throws ShapeError.
  void attend_backward(Input<T> v, const WeightDropout& dropout, const PairAttentionValue<T>& value,
                       const Tensor<T>& grad_y, const PairGradients<T>& into) const {
    require_gradients("attend_backward");
    detail::require_same_shape("PairAttention", "grad_y", grad_y.view(), "y", value.y.view());
    const Tensor<T> grad = grad_y.contiguous();
    if (grad.numel() > 0)
      backend::pair_backward<T>(Cpu{}, state_, TensorView<const T>(v), dropout, value.y.data(),
                                value.log_sums.data(), grad.data(), into);
  }

  /// P of the asked pairs, [pairs, heads]: S with the background. *Cost* as the logits of one layer, or
  /// less.
  Tensor<T> values(const AskedPairs& asked, const Tensor<T>& background) const {
    require_gradients("values");
    detail::require_shape("PairAttention", "background", background.view(), Shape{heads()}, "heads");
    const Tensor<T> dense = background.contiguous();
    Tensor<T> result(Shape{static_cast<std::int64_t>(asked.order.size()), heads()});
    if (result.numel() > 0) backend::pair_values<T>(Cpu{}, state_, asked, dense.data(), result.data());
    return result;
  }
  /// Adds its gradients, but that of the background, which is the sum over pairs of `grad`.
  void values_backward(const AskedPairs& asked, const Tensor<T>& grad, const PairGradients<T>& into) const {
    require_gradients("values_backward");
    const Tensor<T> dense = grad.contiguous();
    if (dense.numel() > 0) backend::pair_values_backward<T>(Cpu{}, state_, asked, dense.data(), into);
  }
  /// \throws ShapeError STOFM-1103 for a pair outside [0, nodes), 1101 if the numbers differ.
  AskedPairs ask(std::span<const std::int64_t> rows, std::span<const std::int64_t> columns) const {
    const char* op = "PairAttention.values";
    if (rows.size() != columns.size())
      detail::refuse(op, concat(rows.size(), " rows, ", columns.size(), " columns"), "one column per row");
    require_inside(op, rows);
    require_inside(op, columns);
    return backend::make_asked_pairs(nodes(), rows, columns);
  }

  /// P of the given rows with the background of the bias: [rows, nodes, heads]. *Cost* 2 rows nodes heads
  /// head_dim layers. \throws ShapeError for a row outside [0, nodes).
  Tensor<T> pair_rows(std::span<const std::int64_t> rows) const {
    require_inside("pair_rows", rows);
    Tensor<T> result(Shape{static_cast<std::int64_t>(rows.size()), nodes(), heads()});
    backend::pair_rows(Cpu{}, state_, result.view(), rows);
    for (std::int64_t i = 0; i < result.numel() && !background_.empty(); ++i)
      result.data()[i] += background_[static_cast<std::size_t>(i % heads())];
    return result;
  }

  /// Forgets the layers, keeps the listed values (configurations without a carried state: one layer at a
  /// time).
  void reset() { state_.layers.clear(); }

 private:
  void prepare(std::int64_t heads, std::int64_t head_dim, const PairList& pairs,
               const PairAttentionOptions& options) {
    const char* op = "PairAttention";
    if (heads < 1 || head_dim < 1)
      detail::refuse(op, concat(heads, " heads of ", head_dim), "positive sizes", "STOFM-1105");
    pairs.validate(op);
    auto prepared = std::make_shared<backend::PairBlocks>();
    prepared->nodes = pairs.nodes;
    prepared->entries = pairs.entries();
    prepared->runs = backend::make_sparse_runs(pairs.nodes, pairs.row_offsets, pairs.columns);
    state_.pairs = std::move(prepared);
    state_.heads = heads;
    state_.width = head_dim;
    state_.grade = options.grade;
    state_.two_parts = options.gradients;
    if constexpr (std::is_same_v<T, float>) state_.level = cpu_kernels();
  }
  void require_nodes(const char* what, const char* name, const TensorView<const T>& a) const {
    const std::string op = concat("PairAttention.", what);
    detail::require_rank(op, name, a, 2);
    detail::require_shape(op, name, a, Shape{nodes(), heads() * head_dim()}, "nodes, heads * head_dim");
    detail::require_dense_rows(op, name, a);
  }
  void require_inside(const char* op, std::span<const std::int64_t> some) const {
    for (const std::int64_t i : some)
      if (i < 0 || i >= nodes())
        detail::refuse(op, concat("node ", i), concat("0 to ", nodes() - 1), "STOFM-1103",
                       "Check the nodes.");
  }
  void require_gradients(const char* what) const {
    if (!state_.two_parts)
      throw UsageError({"STOFM-1106", "", concat("[PairAttention.", what, "]"), "a state without gradients",
                        "one with PairAttentionOptions::gradients", "Set it before the first layer."});
  }

  backend::PairState<T> state_;
  std::vector<T> background_;
};

}  // namespace stofm::ops
