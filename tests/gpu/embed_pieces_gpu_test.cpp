// SPDX-License-Identifier: MIT
// Pieces of a slice built and computed on a device.
#include "tests/gpu/support/sizes.hpp"
#include "tests/kernels/embed_pieces_cases.hpp"

using namespace embed_pieces_cases;

TEST_CASE("a slice of real pieces and the published sizes" * doctest::skip(stofm::test::only_small_sizes())) {
  auto config = test::small_se2_config(false, "gelu");
  config.input_dim = config.embedding_dim = config.ffn_embedding_dim = 256;
  config.num_attention_heads = 8;
  config.num_hidden_layers = 4;
  config.gaussian_hidden_dim = 128;
  const Slice slice(6000, 49, 1000, 256);
  check_slice(config, slice, 3, {}, Precision::split_bf16, 2e-4);
  check_slice(config, slice, 3, {.geometry = pipeline::Geometry::stable}, Precision::float32, 1e-5);
}
