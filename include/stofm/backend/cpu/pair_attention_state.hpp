// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What pair attention keeps: see ops/pair_attention.hpp for the formulas.
///
/// Everything works on blocks of 32 rows x groups of 32 columns. Listed bias values are stored per slot of
/// SparseRuns ("slots"), the order in which blocks want them. Element (head, row, column) of a dropout mask
/// is number
///   ((head * groups + column / 32) * 32 groups + row) * 32 + column % 32,
/// so that a 32 x 32 block is 128 blocks of the generator in a row.

#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "stofm/backend/cpu/sparse_runs.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

/// The listed pairs, in the order of the blocks.
struct PairBlocks {
  std::int64_t nodes = 0, entries = 0;
  SparseRuns runs;

  std::int64_t blocks() const { return (nodes + 31) / 32; }
  std::int64_t slots() const { return static_cast<std::int64_t>(runs.order.size()); }
};

/// Pairs asked for by number, in the order of the blocks (row block, then group); repeated pairs are fine.
struct AskedPairs {
  std::vector<std::int64_t> offsets;     ///< [blocks * groups + 1]
  std::vector<std::uint16_t> positions;  ///< row % 32 * 32 + column % 32
  std::vector<std::int64_t> order;       ///< the pair as the caller numbers them
};

inline AskedPairs make_asked_pairs(std::int64_t nodes, std::span<const std::int64_t> rows,
                                   std::span<const std::int64_t> columns) {
  const std::int64_t groups = (nodes + 31) / 32;
  AskedPairs list;
  list.offsets.assign(static_cast<std::size_t>(groups * groups + 1), 0);
  auto block_of = [&](std::size_t p) {
    return static_cast<std::size_t>(rows[p] / 32 * groups + columns[p] / 32);
  };
  for (std::size_t p = 0; p < rows.size(); ++p) ++list.offsets[block_of(p) + 1];
  for (std::size_t b = 1; b < list.offsets.size(); ++b) list.offsets[b] += list.offsets[b - 1];
  list.positions.resize(rows.size());
  list.order.resize(rows.size());
  std::vector<std::int64_t> next(list.offsets.begin(), list.offsets.end() - 1);
  for (std::size_t p = 0; p < rows.size(); ++p) {
    const auto at = static_cast<std::size_t>(next[block_of(p)]++);
    list.positions[at] = static_cast<std::uint16_t>(rows[p] % 32 * 32 + columns[p] % 32);
    list.order[at] = static_cast<std::int64_t>(p);
  }
  return list;
}

/// One layer's queries (times scale) and keys [nodes, heads * width], dense, rounded if the state is, and
/// their packed forms where the kernels want them (AMX: both as [heads][tiles][groups of width][3 KB, or 2 KB
/// in two parts]; vectors: keys as [heads][panels of pack_panels_transposed]; of rounded states:
/// bfloat16/attention.hpp).
template <class T>
struct PairLayer {
  Tensor<T> q, k;
  T scale = T(1);
  Tensor<std::uint8_t> packed_q, packed_k;
};

/// The logits up to a layer: S = slots + sum over layers of q k^T. Copies share everything.
/// O(nodes) per head and layer, O(entries) per head.
template <class T>
struct PairState {
  std::shared_ptr<const PairBlocks> pairs;
  std::int64_t heads = 0, width = 0;
  CpuKernels level = CpuKernels::generic;
  MatmulGrade grade = MatmulGrade::float32;  ///< of products, unless `two_parts`
  bool two_parts = false;                    ///< with gradients: on AMX, products in two parts
  Tensor<T> slots;                           ///< [heads, slots]
  std::vector<std::shared_ptr<const PairLayer<T>>> layers;

  std::int64_t nodes() const { return pairs->nodes; }
  /// Whether operands are rounded to bfloat16. Doubles have one grade, and so have gradients.
  bool rounded() const { return std::is_same_v<T, float> && grade == MatmulGrade::bfloat16 && !two_parts; }
};

/// Where gradients are added; a null pointer is not wanted. [nodes, heads * width] dense; slots: [heads,
/// slots].
template <class T>
struct PairGradients {
  std::vector<T*> q, k;  ///< per layer of the state, of the queries before scaling
  T* v = nullptr;
  T* slots = nullptr;
};

}  // namespace stofm::backend
