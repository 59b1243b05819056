// SPDX-License-Identifier: MIT
// The SE(2) Transformer on a device: what the emulated test checks, and all golden cases.
#include "tests/gpu/support/sizes.hpp"
#include "tests/kernels/se2_encoder_cases.hpp"

TEST_CASE("the published sizes, a batch of sub-slices of real size" *
          doctest::skip(stofm::test::only_small_sizes())) {
  auto config = test::small_se2_config(false, "gelu");
  config.input_dim = config.embedding_dim = config.ffn_embedding_dim = 256;
  config.num_attention_heads = 8;
  config.num_hidden_layers = 4;
  config.gaussian_hidden_dim = 128;
  const model::Se2Encoder<float> cpu(config,
                                     test::random_parameters(model::parameter_list(config), 12, 0.05));
  std::vector<pipeline::PieceInput> inputs;
  std::uint64_t seed = 31;
  for (const std::int64_t nodes : {1050, 513, 64}) inputs.push_back(test::random_piece(nodes, 256, seed++));
  for (const auto& [grade, limit] :
       {std::pair{Precision::float32, 1e-5}, {Precision::split_bf16, 2e-4}, {Precision::bf16, 5e-2}}) {
    const Precision precision = grade;  // bindings can not be captured
    const double bar = limit;
    CAPTURE(static_cast<int>(precision));
    pipeline::detail::CudaPieces pieces(cpu, device, {.precision = precision});
    CHECK(worst_error(cpu, pieces, inputs) <= bar);
  }
}
