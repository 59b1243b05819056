// SPDX-License-Identifier: MIT
// Pair attention with 128 own rows a block, run on the host, against the dense composition in double.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/pair_attention/launch.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "tests/kernels/pair_attention_case.hpp"

using namespace pair_test;
using stofm::kernels::PairBlockPolicy;
using stofm::kernels::PairSide;

namespace {

struct Rows128 {
  static void forward(stofm::backend::CudaStream stream, const stofm::backend::PairAttentionSizes& sizes,
                      const stofm::backend::PairAttentionForward& args) {
    stofm::kernels::launch_pair_forward<PairBlockPolicy<8>>(stream, sizes, args);
  }
  static void backward(stofm::backend::CudaStream stream, const stofm::backend::PairAttentionSizes& sizes,
                       const stofm::backend::PairAttentionBackward& args) {
    using namespace stofm::backend;
    const PairPack grad_y{PairOperand::value, args.grad_y, args.grad_y_stride, args.workspace};
    pair_attention_pack(stream, sizes, args.layer.batch.nodes, {&grad_y, 1});
    stofm::kernels::launch_pair_row_products(stream, sizes, args);
    stofm::kernels::launch_pair_backward_pass<PairSide::queries, PairBlockPolicy<8>>(stream, sizes, args);
    stofm::kernels::launch_pair_backward_pass<PairSide::keys, PairBlockPolicy<8>>(stream, sizes, args);
  }
};

}  // namespace

TEST_CASE("128 own rows a block give what 64 give, to the bit") {
  // The same warps do the same sums; only who loads the chunks differs.
  const std::int64_t layers_that_stream = 12;
  for (const Case& c : {Case{{make_slice(1), make_slice(64), make_slice(0), make_slice(65, Listed::some, 20),
                              make_slice(129)},
                             2,
                             8,
                             2,
                             0.1,
                             Precision::split_bf16},
                        Case{{make_slice(200, Listed::some, 30)}, 1, 24, 2, 0, Precision::bf16},
                        Case{{make_slice(150)}, 1, 16, 1, 0.1, Precision::float32},
                        Case{{make_slice(70)}, 1, 64, layers_that_stream, 0, Precision::bf16, false}}) {
    std::string where;
    const Inputs inputs(c);
    const Results expected = device(c, inputs), found = device<Rows128>(c, inputs);
    REQUIRE(expected.names == found.names);
    for (std::size_t i = 0; i < found.names.size(); ++i) {
      CAPTURE(found.names[i]);
      CHECK(found.values[i] == expected.values[i]);
    }
    CHECK(distance(found, dense_double(c, inputs), where) <= (c.precision == Precision::bf16 ? 5e-2 : 5e-4));
  }
  REQUIRE_FALSE(
      stofm::kernels::pair_forward_shared<PairBlockPolicy<8>>(Precision::bf16, 64, layers_that_stream)
          .resident);
}

TEST_CASE("shared memory of 128 own rows fits too") {
  using namespace stofm::kernels;
  for (const Precision precision : {Precision::float32, Precision::split_bf16, Precision::bf16})
    for (const int width : {16, 32, 64})
      for (std::int64_t layers = 1; layers <= stofm::backend::max_pair_layers; ++layers) {
        CHECK(pair_forward_shared<PairBlockPolicy<8>>(precision, width, layers).bytes <=
              PairBlockPolicy<8>::shared_limit);
        CHECK(pair_backward_shared<PairBlockPolicy<8>>(precision, width, layers).bytes <=
              PairBlockPolicy<8>::shared_limit);
      }
}
