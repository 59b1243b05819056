// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How much memory embedding takes, before any of it is asked for; and how much there is. Rows R11 and C15.

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "stofm/core/machine.hpp"
#include "stofm/core/memory.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/pipeline/embed_options.hpp"
#include "stofm/pipeline/model.hpp"

namespace stofm::pipeline {

/// Bytes of host memory this process can still get: the least of what the system calls available, the room
/// under RLIMIT_AS, and the room under the library's own cap.
inline std::int64_t free_memory() {
  std::int64_t room = available_physical_memory();
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    room = (std::min)(room, static_cast<std::int64_t>(limit.rlim_cur) - address_space_in_use());
  const MemoryState& state = memory_state();
  room = (std::min)(room, state.cap.load() - state.in_use.load());
  return (std::max<std::int64_t>)(room, 0);
}

namespace detail {

/// Pieces computed at the same time: one a thread once there are enough of them, else one with all threads
/// inside.
inline std::int64_t concurrent_pieces(std::int64_t pieces) {
  const std::int64_t threads = thread_count();
  return threads > 1 && pieces >= 2 * threads ? threads : 1;
}

/// Bytes of one piece in the SE(2) Transformer: states of a layer, queries and keys of all layers, listed
/// pairs with their bias. Of listed pairs a piece of 1,050 nodes has 14 % of all; the rest is arithmetic on
/// se2_encoder.hpp.
inline double piece_bytes(const model::Se2Config& config, double cells, double virtual_cells) {
  const double nodes = 1 + virtual_cells + cells;
  const double listed = (std::min)(nodes * nodes, nodes * 100 + 2 * nodes * (virtual_cells + 1));
  const auto e = static_cast<double>(config.embedding_dim),
             layers = static_cast<double>(config.num_hidden_layers);
  const double states = 4 * nodes *
                        (static_cast<double>(config.input_dim) + 8 * e +
                         static_cast<double>(config.ffn_embedding_dim) + 3 * layers * e);
  return states + listed * (24 + 12 * static_cast<double>(config.num_attention_heads));
}

/// Bytes on the host of one piece on its way through a device: features, hidden states, listed pairs.
inline double device_piece_bytes(const model::Se2Config& config, double cells, double virtual_cells) {
  const double nodes = 1 + virtual_cells + cells;
  const double listed = (std::min)(nodes * nodes, nodes * 100 + 2 * nodes * (virtual_cells + 1));
  return 8 * nodes * static_cast<double>(config.input_dim + config.embedding_dim) + 40 * listed;
}

/// Bytes at the peak of embed_slice, weights and the slice itself aside.
inline std::int64_t estimate_bytes(std::int64_t cells, std::int64_t largest_piece, std::int64_t pieces,
                                   const Model& model, const EmbedOptions& options) {
  const auto n = static_cast<double>(cells);
  const bool given = options.cell_embeddings.numel() > 0;
  double held = given ? 0 : 4 * n * static_cast<double>(model.cell_width());
  double stage = 0;
  if (!given && model.cell_encoder) {
    const auto& c = model.cell_encoder->config();
    const double tokens = 4096;
    stage = 4 * tokens * (6 * static_cast<double>(c.hidden_size) + static_cast<double>(c.intermediate_size)) +
            64e6;
  }
  if (options.target == EmbedTarget::slice && model.se2) {
    const auto& s = model.se2->config();
    if (given || s.embedding_dim != s.input_dim) held += 4 * n * static_cast<double>(s.embedding_dim);
    // Coordinates, labels, pieces: 16 + 16 + 16 bytes a cell. Graph of 10 neighbours with its clusters: about
    // 600.
    held += 48 * n;
    stage = (std::max)(stage, 600 * n);
    const double virtual_cells = std::clamp(std::sqrt(n), 1.0, 200.0);
    const auto largest = static_cast<double>(largest_piece);
    const bool on_device = model.device && model.device->pieces;
    const double held_pieces = static_cast<double>(
        on_device ? 2 * (std::min)(pieces, model.device->pieces.most_pieces) : concurrent_pieces(pieces));
    stage = (std::max)(stage, held_pieces * (on_device ? device_piece_bytes(s, largest, virtual_cells)
                                                       : piece_bytes(s, largest, virtual_cells)));
  }
  const double total = held + stage + 16e6;
  return total < 9e18 ? static_cast<std::int64_t>(total) : (std::numeric_limits<std::int64_t>::max)();
}

}  // namespace detail
}  // namespace stofm::pipeline
