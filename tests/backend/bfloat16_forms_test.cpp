// SPDX-License-Identifier: MIT
// The forms of bfloat16 products beside each other: the level avx512 has two, and a machine takes one of
// them.
#include "stofm/backend/cpu/bfloat16/attention.hpp"

#include <doctest/doctest.h>

#include "tests/ops/op_test.hpp"

using namespace stofm;
using namespace stofm::test;

TEST_CASE("a level takes the form that its instructions make faster, and says whether it pays") {
  CHECK(!bfloat16_pays(CpuKernels::generic));
  CHECK(!bfloat16_pays(CpuKernels::avx2));
  CHECK(bfloat16_form(CpuKernels::avx2) == Bfloat16Form::rounded);
  if (has_cpu_kernels(CpuKernels::amx) && detail::bfloat16_instructions().present) {
    CHECK(bfloat16_form(CpuKernels::amx) == Bfloat16Form::tiles);
    CHECK(bfloat16_pays(CpuKernels::amx));
  }
}

#if defined(STOFM_X86_KERNELS)
namespace {
namespace rounded = backend::avx512_rounded;
namespace pairs = backend::avx512_bfloat16;

template <class Pack, class Linear>
Tensor<float> product(Pack pack, Linear linear, std::int64_t packed_floats, const Tensor<float>& x,
                      const Tensor<float>& w, const Tensor<float>& b) {
  Tensor<float> packed(Shape{packed_floats}), y(Shape{x.dim(0), w.dim(0)});
  pack(packed.data(), w.view());
  linear(y.view(), x.view(), packed.data(), b.data(), LinearOptions{.activation = Activation::gelu});
  return y;
}
}  // namespace

TEST_CASE("AVX-512: vdpbf16ps gives the bits of float32 products of rounded operands") {
  if (!has_cpu_kernels(CpuKernels::avx512) || !detail::bfloat16_instructions().present) {
    MESSAGE("skipped: this machine has no AVX-512-bf16");
    return;
  }
  for (const std::int64_t m : {1, 2, 29, 65})
    for (const std::int64_t n : {1, 33, 64, 257})
      for (const std::int64_t k : {1, 2, 31, 64, 257}) {
        CAPTURE(m);
        CAPTURE(n);
        CAPTURE(k);
        const auto x = spiky<float>({m, k}, 1), w = spiky<float>({n, k}, 2), b = spiky<float>({n}, 3);
        const auto one =
            product(rounded::pack_weights, rounded::linear, rounded::packed_weight_floats(n, k), x, w, b);
        const auto two =
            product(pairs::pack_weights, pairs::linear, pairs::packed_weight_floats(n, k), x, w, b);
        CHECK(std::ranges::equal(one.span(), two.span()));
        const auto v = spiky<float>({n, k}, 4);
        Tensor<float> y(Shape{m, k}), z(Shape{m, k});
        rounded::attend(y.data(), k, x.data(), k, m, w.data(), k, v.data(), k, n, k, 0.1F);
        pairs::attend(z.data(), k, x.data(), k, m, w.data(), k, v.data(), k, n, k, 0.1F);
        CHECK(std::ranges::equal(y.span(), z.span()));
      }
}
#endif
