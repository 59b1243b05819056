// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention with a pairwise state carried through the layers, never stored:
///   S_l = B + sum_{j <= l} Q_j K_j^T,  y_l = softmax(S_l) V_l   per head,
/// with Q_j already scaled and B one constant per head except at listed pairs.
/// Source: SPEC section 5 (P_l), identities 1 and 3: the sum over layers is one product of concatenated
/// queries and keys, and a constant per row does not change a softmax.

#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cpu/pair_attention.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

using stofm::SparsePairBias;

struct PairAttentionOptions {
  MatmulGrade grade = MatmulGrade::float32;
};

/// *Memory* O(nodes * heads * head_dim * layers) + O(entries * heads), scratch O(block * nodes) per thread;
/// never [nodes, nodes]. *Deterministic* yes, for any number of threads. Not to be used from two threads at
/// once.
template <Computed T>
class PairAttention {
 public:
  /// Copies the bias. \throws ShapeError if a size does not fit or the columns of a row do not ascend in [0,
  /// nodes).
  PairAttention(std::int64_t nodes, std::int64_t heads, std::int64_t head_dim, const SparsePairBias<T>& bias,
                PairAttentionOptions options = {}) {
    const char* op = "PairAttention";
    if (nodes < 0 || heads < 1 || head_dim < 1)
      detail::refuse(op, concat(nodes, " nodes, ", heads, " heads of ", head_dim), "positive sizes",
                     "STOFM-1105");
    const auto entries = static_cast<std::int64_t>(bias.columns.size());
    if (bias.nodes != nodes)
      detail::refuse(op, concat("a bias of ", bias.nodes, " nodes"), concat(nodes, " nodes"));
    detail::require_shape(op, "bias.values", bias.values.view(), Shape{heads, entries}, "heads, entries");
    if (static_cast<std::int64_t>(bias.background.size()) != heads)
      detail::refuse(op, concat(bias.background.size(), " background values"),
                     concat(heads, ", one per head"));
    bool valid = static_cast<std::int64_t>(bias.row_offsets.size()) == nodes + 1 &&
                 bias.row_offsets.front() == 0 && bias.row_offsets.back() == entries;
    for (std::size_t i = 0; valid && i + 1 < bias.row_offsets.size(); ++i)
      valid = bias.row_offsets[i] <= bias.row_offsets[i + 1];
    if (!valid)
      detail::refuse(op, concat("row offsets of ", bias.row_offsets.size(), " values"),
                     concat(nodes + 1, " ascending values from 0 to ", entries), "STOFM-1104",
                     "Check the offsets.");
    for (std::int64_t i = 0; i < nodes; ++i)
      for (std::int64_t e = bias.row_offsets[static_cast<std::size_t>(i)];
           e < bias.row_offsets[static_cast<std::size_t>(i) + 1]; ++e) {
        const std::int64_t column = bias.columns[static_cast<std::size_t>(e)];
        const std::int64_t least = e == bias.row_offsets[static_cast<std::size_t>(i)]
                                       ? 0
                                       : bias.columns[static_cast<std::size_t>(e) - 1] + std::int64_t{1};
        if (column < least || column >= nodes)
          detail::refuse(op, concat("column ", column, " in row ", i),
                         concat(least, " to ", nodes - 1, ", ascending within a row"), "STOFM-1103",
                         "Check the columns.");
      }
    state_ = backend::pair_state<T>(Cpu{}, nodes, heads, head_dim, bias, options.grade);
  }

  std::int64_t nodes() const { return state_.nodes; }
  std::int64_t heads() const { return state_.heads; }
  std::int64_t head_dim() const { return state_.width; }
  /// Layers appended so far.
  std::int64_t layers() const { return state_.layer_count; }

  /// Adds one layer's scaled queries and keys (copied). *Shapes* q, k: [nodes, heads * head_dim], rows dense.
  /// \throws ShapeError. *Cost* O(nodes * heads * head_dim).
  void append(Input<T> q, Input<T> k) {
    require_nodes("append", "q", q);
    require_nodes("append", "k", k);
    backend::pair_append(Cpu{}, state_, TensorView<const T>(q), TensorView<const T>(k));
  }

  /// y = softmax(B + sum_j Q_j K_j^T) v over the layers so far. *Shapes* y, v: [nodes, heads * head_dim],
  /// rows dense, y apart from v. \throws ShapeError. *Cost* 2 nodes^2 heads head_dim (layers + 1).
  void attend_into(TensorView<T> y, Input<T> v) const {
    require_nodes("attend", "y", TensorView<const T>(y));
    require_nodes("attend", "v", v);
    if (y.numel() > 0) backend::pair_attend(Cpu{}, state_, y, TensorView<const T>(v));
  }

  /// P of the given rows, background included: [rows, nodes, heads]. *Cost* 2 rows nodes heads head_dim
  /// layers. \throws ShapeError for a row outside [0, nodes).
  Tensor<T> pair_rows(std::span<const std::int64_t> rows) const {
    for (const std::int64_t row : rows)
      if (row < 0 || row >= nodes())
        detail::refuse("pair_rows", concat("row ", row), concat("0 to ", nodes() - 1), "STOFM-1103",
                       "Check the rows.");
    Tensor<T> result(Shape{static_cast<std::int64_t>(rows.size()), nodes(), heads()});
    backend::pair_rows(Cpu{}, state_, result.view(), rows);
    return result;
  }

  /// Forgets the layers, keeps the bias (configurations without a carried state: one layer at a time).
  void reset() { backend::pair_reset(Cpu{}, state_); }

 private:
  void require_nodes(const char* what, const char* name, const TensorView<const T>& a) const {
    const std::string op = concat("PairAttention.", what);
    detail::require_rank(op, name, a, 2);
    detail::require_shape(op, name, a, Shape{nodes(), heads() * head_dim()}, "nodes, heads * head_dim");
    detail::require_dense_rows(op, name, a);
  }

  backend::PairState<T> state_;
};

}  // namespace stofm::ops
