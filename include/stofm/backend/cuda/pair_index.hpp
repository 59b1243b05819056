// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The strips of listed pairs made on a CUDA device from rows that lie there: the bits that PairBatchPlan
/// writes on the host (backend/cuda/pair_batch.hpp). Defined in the kernel library.

#include <cstdint>

#include "stofm/backend/cuda/pair_batch.hpp"
#include "stofm/backend/cuda/stream.hpp"

namespace stofm::backend {

/// Listed pairs of all slices of a batch. Device pointers.
struct ListedPairs {
  const std::int64_t* row_offsets = nullptr;  ///< [nodes + 1] into `columns`, from 0, over all slices
  const std::int32_t* columns = nullptr;      ///< [entries] within the slice, strictly ascending in a row
};

/// Where the strips go. Device pointers.
struct PairStripSpace {
  std::int64_t* offsets = nullptr;     ///< [strips + 1]
  std::uint16_t* positions = nullptr;  ///< [entries]
  std::int32_t* entries = nullptr;     ///< [entries]

  PairStrips strips() const { return {offsets, positions, entries}; }
};

/// Queues the strips by row, and by column. `batch`: nodes, slices and tiles, as PairBatchPlan::add_nodes
/// leaves them, at least one node; entries and pairs are not read. *Cost* one launch; five, for which
/// `workspace` has pair_strip_workspace(strips) numbers. No host sync. *Deterministic* yes.
void pair_strips_by_row(CudaStream stream, const PairBatch& batch, const ListedPairs& pairs,
                        const PairStripSpace& to);
void pair_strips_by_column(CudaStream stream, const PairBatch& batch, std::int64_t strips,
                           const ListedPairs& pairs, const PairStripSpace& to, std::int64_t* workspace);
std::int64_t pair_strip_workspace(std::int64_t strips);

}  // namespace stofm::backend
