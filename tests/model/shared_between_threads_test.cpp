// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cstring>
#include <thread>

#include "stofm/model/cell_encoder.hpp"
#include "stofm/model/se2_encoder.hpp"
#include "tests/model/random_model.hpp"

using namespace stofm;

namespace {
model::Se2Config small_se2() {
  model::Se2Config config;
  config.input_dim = 16;
  config.embedding_dim = 32;
  config.ffn_embedding_dim = 48;
  config.num_attention_heads = 4;
  config.num_hidden_layers = 2;
  config.gaussian_hidden_dim = 8;
  return config;
}

bool same_bits(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.numel()) * sizeof(float)) == 0;
}
}  // namespace

// Run under ThreadSanitizer too: tests/packaging/thread_sanitizer.sh.
TEST_CASE("C11: two models on two threads at once, and one const model shared, give the bits of one thread") {
  const auto config = small_se2();
  const model::Se2Encoder<float> first(config, test::random_parameters(config, 1));
  const model::Se2Encoder<float> second(config, test::random_parameters(config, 2));
  const auto slice = test::random_sub_slice(120, 5, 16, 3, 20);
  const auto run = [&](const model::Se2Encoder<float>& encoder) {
    return encoder.forward(slice.embeddings.view(), slice.distances, slice.types).last_hidden_state;
  };
  const auto expected_first = run(first), expected_second = run(second);
  for (int repeat = 0; repeat < 5; ++repeat) {
    Tensor<float> of_first, of_second, of_shared;
    std::thread a([&] { of_first = run(first); });
    std::thread b([&] { of_second = run(second); });
    std::thread c([&] { of_shared = run(first); });
    a.join();
    b.join();
    c.join();
    CHECK(same_bits(of_first, expected_first));
    CHECK(same_bits(of_second, expected_second));
    CHECK(same_bits(of_shared, expected_first));
  }
}
