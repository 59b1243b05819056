// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The pair attention of ops/pair_attention.hpp with what its gradient needs. Per head, for layer l
/// (1-based):
///   S_l = B + scale_1 Q_1 K_1^T + ... + scale_l Q_l K_l^T,  A = softmax(S_l),  y = (A o M) V_l,
/// B one background value except at listed pairs, M the keep mask of dropout over 1 - p (all ones without
/// dropout). With dA = (dy V^T) o M and G_l = A o (dA - rowsum(dA o A)), where rowsum(dA o A) = rowsum(dy o
/// y):
///   dV_l = (A o M)^T dy,  dQ_j += scale_j G_l K_j,  dK_j += scale_j G_l^T Q_j for all j <= l,  dB += G_l.
/// A is computed again from S and the saved log sum of exp of each row; no [nodes, nodes] array exists. Rows
/// of G_l sum to zero, so the background gets a gradient from `values` (P_L) only. Source: SPEC section 5,
/// identity 1; the recomputation is that of FlashAttention (Dao et al. 2022).

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cpu/pair_attention_training.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// Listed pairs as rows of columns (CSR) over [nodes, nodes]; columns ascend within a row.
struct PairPattern {
  std::int64_t nodes = 0;
  std::vector<std::int64_t> row_offsets{0};  ///< [nodes + 1]
  std::vector<std::int32_t> columns;         ///< [entries]

  std::int64_t entries() const { return static_cast<std::int64_t>(columns.size()); }
};

/// Result of one layer.
template <Computed T>
struct PairAttentionValue {
  Tensor<T> y;         ///< [nodes, heads * head_dim]
  Tensor<T> log_sums;  ///< [heads, nodes] log sum exp of each row of S without background, for the gradient
};

/// The logits up to a layer. A value: copies share their memory, `append` changes only this copy.
/// *Memory* O(nodes * heads * head_dim) per layer, O(entries * heads); scratch O(32 nodes) per thread.
/// *Deterministic* yes, for any number of threads: a head is summed by one thread in the order of its blocks.
template <Computed T>
class PairAttentionTraining {
 public:
  /// \throws ShapeError STOFM-1105 for sizes, 1104 for row offsets, 1103 for columns.
  PairAttentionTraining(std::int64_t heads, std::int64_t head_dim, const PairPattern& pattern) {
    const char* op = "PairAttentionTraining";
    if (pattern.nodes < 0 || heads < 1 || head_dim < 1)
      detail::refuse(op, concat(pattern.nodes, " nodes, ", heads, " heads of ", head_dim), "positive sizes",
                     "STOFM-1105");
    check_pattern(op, pattern);
    auto prepared = std::make_shared<backend::PairTrainingPattern>();
    prepared->nodes = pattern.nodes;
    prepared->entries = pattern.entries();
    prepared->runs = backend::make_sparse_runs(pattern.nodes, pattern.row_offsets, pattern.columns);
    state_.pattern = std::move(prepared);
    state_.heads = heads;
    state_.width = head_dim;
    if constexpr (std::is_same_v<T, float>) state_.level = cpu_kernels();
    state_.slots = Tensor<T>::zeros({heads, state_.pattern->slots()});
  }

  std::int64_t nodes() const { return state_.nodes(); }
  std::int64_t heads() const { return state_.heads; }
  std::int64_t head_dim() const { return state_.width; }
  std::int64_t entries() const { return state_.pattern->entries; }
  std::int64_t layers() const { return static_cast<std::int64_t>(state_.layers.size()); }
  /// [heads, slots]: the order in which the blocks want the listed values.
  Shape slots_shape() const { return state_.slots.shape(); }

  /// [heads, entries] in the order of the pattern -> [heads, slots].
  Tensor<T> to_slots(const Tensor<T>& values) const {
    detail::require_shape("PairAttentionTraining", "bias_values", values.view(), Shape{heads(), entries()},
                          "heads, entries");
    const auto& order = state_.pattern->runs.order;
    const auto slots = static_cast<std::int64_t>(order.size());
    const auto from = values.view();
    Tensor<T> result(Shape{heads(), slots});
    parallel_for(heads(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t h = begin; h < end; ++h)
        for (std::int64_t s = 0; s < slots; ++s) {
          const std::int64_t e = order[static_cast<std::size_t>(s)];
          result.data()[h * slots + s] = e < 0 ? T(0) : from.data[h * from.stride(0) + e * from.stride(1)];
        }
    });
    return result;
  }
  /// The way back, for a gradient.
  Tensor<T> from_slots(const Tensor<T>& slot_values) const {
    const auto& order = state_.pattern->runs.order;
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
    detail::require_shape("PairAttentionTraining", "slots", std::as_const(slots).view(), slots_shape(),
                          "heads, slots");
    state_.slots = slots.contiguous();
  }

  /// Adds one layer's queries and keys (copied). *Shapes* [nodes, heads * head_dim], rows dense. \throws
  /// ShapeError.
  void append(Input<T> q, Input<T> k, double scale) {
    require_nodes("append", "q", q);
    require_nodes("append", "k", k);
    state_.layers.push_back(backend::pair_training_layer<T>(Cpu{}, state_, TensorView<const T>(q),
                                                            TensorView<const T>(k), scale));
  }

  /// One layer. *Shapes* v: [nodes, heads * head_dim], rows dense. *Cost* 2 nodes^2 heads head_dim (layers +
  /// 1). \throws ShapeError.
  PairAttentionValue<T> attend(Input<T> v, const backend::PairDropout& dropout = {}) const {
    require_nodes("attend", "v", v);
    PairAttentionValue<T> result{Tensor<T>(v.shape), Tensor<T>(Shape{heads(), nodes()})};
    if (result.y.numel() > 0)
      backend::pair_training_forward<T>(Cpu{}, state_, TensorView<const T>(v), dropout, result.y.data(),
                                        result.log_sums.data());
    return result;
  }
  /// Adds its gradients. *Cost* 2 nodes^2 heads head_dim (3 layers + 2). \throws ShapeError.
  void attend_backward(Input<T> v, const backend::PairDropout& dropout, const PairAttentionValue<T>& value,
                       const Tensor<T>& grad_y, const backend::PairGradients<T>& into) const {
    detail::require_same_shape("PairAttentionTraining", "grad_y", grad_y.view(), "y", value.y.view());
    const Tensor<T> grad = grad_y.contiguous();
    if (grad.numel() > 0)
      backend::pair_training_backward<T>(Cpu{}, state_, TensorView<const T>(v), dropout, value.y.data(),
                                         value.log_sums.data(), grad.data(), into);
  }

  /// P of the listed pairs, [pairs, heads]: S with the background. *Cost* as the logits of one layer, or
  /// less.
  Tensor<T> values(const backend::PairList& list, const Tensor<T>& background) const {
    detail::require_shape("PairAttentionTraining", "background", background.view(), Shape{heads()}, "heads");
    const Tensor<T> dense = background.contiguous();
    Tensor<T> result(Shape{static_cast<std::int64_t>(list.order.size()), heads()});
    if (result.numel() > 0)
      backend::pair_training_values<T>(Cpu{}, state_, list, dense.data(), result.data());
    return result;
  }
  /// Adds its gradients, but that of the background, which is the sum over pairs of `grad`.
  void values_backward(const backend::PairList& list, const Tensor<T>& grad,
                       const backend::PairGradients<T>& into) const {
    const Tensor<T> dense = grad.contiguous();
    if (dense.numel() > 0) backend::pair_training_values_backward<T>(Cpu{}, state_, list, dense.data(), into);
  }
  /// \throws ShapeError STOFM-1103 for a pair outside [0, nodes), 1101 if the numbers differ.
  backend::PairList pair_list(std::span<const std::int64_t> rows,
                              std::span<const std::int64_t> columns) const {
    const char* op = "PairAttentionTraining.values";
    if (rows.size() != columns.size())
      detail::refuse(op, concat(rows.size(), " rows, ", columns.size(), " columns"), "one column per row");
    for (const auto& side : {rows, columns})
      for (const std::int64_t i : side)
        if (i < 0 || i >= nodes())
          detail::refuse(op, concat("node ", i), concat("0 to ", nodes() - 1), "STOFM-1103",
                         "Check the pairs.");
    return backend::make_pair_list(nodes(), rows, columns);
  }

 private:
  static void check_pattern(const char* op, const PairPattern& pattern) {
    const std::int64_t nodes = pattern.nodes, entries = pattern.entries();
    const auto& offsets = pattern.row_offsets;
    bool valid = static_cast<std::int64_t>(offsets.size()) == nodes + 1 && offsets.front() == 0 &&
                 offsets.back() == entries;
    for (std::size_t i = 0; valid && i + 1 < offsets.size(); ++i) valid = offsets[i] <= offsets[i + 1];
    if (!valid)
      detail::refuse(op, concat("row offsets of ", offsets.size(), " values"),
                     concat(nodes + 1, " ascending values from 0 to ", entries), "STOFM-1104",
                     "Check the offsets.");
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i)
      for (std::int64_t e = offsets[i], least = 0; e < offsets[i + 1]; ++e) {
        const std::int64_t column = pattern.columns[static_cast<std::size_t>(e)];
        if (column < least || column >= nodes)
          detail::refuse(op, concat("column ", column, " in row ", i),
                         concat(least, " to ", nodes - 1, ", ascending within a row"), "STOFM-1103",
                         "Check the columns.");
        least = column + 1;
      }
  }
  void require_nodes(const char* what, const char* name, const TensorView<const T>& a) const {
    const std::string op = concat("PairAttentionTraining.", what);
    detail::require_rank(op, name, a, 2);
    detail::require_shape(op, name, a, Shape{nodes(), heads() * head_dim()}, "nodes, heads * head_dim");
    detail::require_dense_rows(op, name, a);
  }

  backend::PairTrainingState<T> state_;
};

}  // namespace stofm::ops
