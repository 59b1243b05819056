// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The matrix products of the cell encoder by cuBLAS alone: the rate that the encoder is measured against.

#include <cstdint>
#include <memory>

namespace stofm::bench {

/// Per full layer [tokens, W] x [3 W, W], x [W, W], x [F, W] and [tokens, F] x [W, F], bfloat16, float32
/// sums.
class LayerProducts {
 public:
  LayerProducts(std::int64_t tokens, std::int64_t width, std::int64_t wide, void* stream);
  ~LayerProducts();
  LayerProducts(const LayerProducts&) = delete;
  LayerProducts& operator=(const LayerProducts&) = delete;
  /// Queues the products of one layer.
  void layer();
  double flop() const;

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace stofm::bench
