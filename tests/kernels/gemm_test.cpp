// SPDX-License-Identifier: MIT
// Products of operands in every form, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/encoder_block/convert.cuh"
#include "stofm/kernels/gemm/gemm.cuh"
#include "stofm/kernels/model/launch.cuh"
#include "tests/kernels/support/operand_parts.hpp"

using namespace stofm;
using emulator::Matrix;
using kernels::GemmForm;
using kernels::OperandForm;
using test::parts_of;

namespace {

/// Largest difference from double loops, relative to the largest sum of magnitudes.
double worst(const Matrix<float>& d, const Matrix<float>& a, const Matrix<float>& b, GemmForm form,
             double before) {
  double most = 0, largest = 0;
  const std::int64_t depth = form == GemmForm::tn ? a.rows() : a.columns();
  for (std::int64_t i = 0; i < d.rows(); ++i)
    for (std::int64_t j = 0; j < d.columns(); ++j) {
      double sum = before, magnitude = 0;
      for (std::int64_t l = 0; l < depth; ++l) {
        const double x = static_cast<double>(form == GemmForm::tn ? a.at(l, i) : a.at(i, l)),
                     y = static_cast<double>(form == GemmForm::nt ? b.at(j, l) : b.at(l, j));
        sum += x * y;
        magnitude += std::abs(x * y);
      }
      most = (std::max)(most, std::abs(static_cast<double>(d.at(i, j)) - sum));
      largest = (std::max)(largest, magnitude);
    }
  return most / largest;
}

}  // namespace

TEST_CASE("split operands give products to 16 bits, rounded ones to 8, in every form") {
  const std::int64_t m = 5, n = 12, k = 20;
  for (const GemmForm form : {GemmForm::nt, GemmForm::nn, GemmForm::tn}) {
    CAPTURE(static_cast<int>(form));
    const auto a = form == GemmForm::tn ? Matrix<float>(k, 8).random(1) : Matrix<float>(m, k).random(1);
    const auto b = form == GemmForm::nt ? Matrix<float>(n, k).random(2) : Matrix<float>(k, n).random(2);
    for (const bool split : {true, false})
      for (const bool accumulate : {false, true}) {
        const OperandForm left = split ? OperandForm::split_left : OperandForm::bfloat16,
                          right = split ? OperandForm::split_right : OperandForm::bfloat16;
        const auto parts_a = parts_of(a, left), parts_b = parts_of(b, right);
        Matrix<float> d(form == GemmForm::tn ? a.columns() : m, n, 3);
        if (accumulate) d.fill(2.0F);
        kernels::Gemm gemm{Cuda{}};
        kernels::linear_product(gemm, {},
                                {.form = form,
                                 .a = kernels::dense_operand(parts_a.data(), a.rows(), a.columns(), left),
                                 .b = kernels::dense_operand(parts_b.data(), b.rows(), b.columns(), right),
                                 .d = d.data(),
                                 .stride_d = d.stride(),
                                 .accumulate = accumulate});
        CHECK(d.intact());
        // Two operands of relative error 2^-17 (what is left out: lo lo, 2^-18), or 2^-9.
        CHECK(worst(d, a, b, form, accumulate ? 2.0 : 0.0) <= (split ? 0x1p-15 : 0x1p-7));
      }
  }
}

TEST_CASE("gradients and weights that lie for it are one product, to 16 bits") {
  const std::int64_t rows = 7, out = 12, in = 20;
  const auto grad = Matrix<float>(rows, out).random(1), x = Matrix<float>(rows, in).random(2),
             weight = Matrix<float>(out, in).random(3);
  const auto grad_parts = parts_of(grad, OperandForm::split_right),
             x_parts = parts_of(x, OperandForm::split_left);
  // Stacked weights come from the kernel that packs all weights, with the form of forward beside them.
  const std::int64_t bytes = kernels::operand_bytes(OperandForm::split_right, out, in);
  std::vector<std::byte> packed(static_cast<std::size_t>(2 * bytes));
  const kernels::se2::PackedLinear linear{
      .weight = 0, .operand = bytes, .stacked = 0, .rows = out, .columns = in};
  kernels::se2::launch_pack_weights({}, stofm::backend::Precision::split_bf16, 1, out * in,
                                    {&linear, weight.data(), packed.data()});
  CHECK(std::memcmp(packed.data() + bytes, parts_of(weight, OperandForm::split_right).data(),
                    static_cast<std::size_t>(bytes)) == 0);
  kernels::Gemm gemm{Cuda{}};
  const auto a = kernels::dense_operand(grad_parts.data(), rows, out, OperandForm::split_right);
  const auto run = [&](GemmForm form, const kernels::Operand& b, Matrix<float>& d) {
    const std::int64_t before = emulator::products();
    kernels::linear_product(gemm, {}, {.form = form, .a = a, .b = b, .d = d.data(), .stride_d = d.stride()});
    CHECK(emulator::products() == before + 1);
    CHECK(d.intact());
  };
  Matrix<float> of_input(rows, in, 3), of_weight(out, in, 3);
  run(GemmForm::nn, kernels::dense_operand(packed.data(), out, in, OperandForm::split_stack), of_input);
  run(GemmForm::tn, kernels::dense_operand(x_parts.data(), rows, in, OperandForm::split_left), of_weight);
  CHECK(worst(of_input, grad, weight, GemmForm::nn, 0.0) <= 0x1p-15);
  CHECK(worst(of_weight, grad, x, GemmForm::tn, 0.0) <= 0x1p-15);
}

TEST_CASE("operands of the tensor cores are rounded as they round them") {
  CHECK(kernels::round_to_tf32(1.0F + 0x1p-11F) == 1.0F + 0x1p-10F);
  CHECK(kernels::round_to_tf32(1.0F + 0x1p-12F) == 1.0F);
  CHECK(kernels::round_to_tf32(-1.0F - 0x1p-11F) == -1.0F - 0x1p-10F);
  CHECK(std::isinf(kernels::round_to_tf32(INFINITY)));
}

TEST_CASE("parts of a split number add up to it") {
  const auto x = Matrix<float>(3, 8).random(5);
  for (const OperandForm form :
       {OperandForm::split_left, OperandForm::split_right, OperandForm::split_pair}) {
    const auto parts = parts_of(x, form);
    const std::int64_t row = kernels::operand_row(form, 8), low = form == OperandForm::split_right ? 16 : 8;
    for (std::int64_t i = 0; i < 3; ++i)
      for (std::int64_t j = 0; j < 8; ++j) {
        const bfloat16 high = parts[static_cast<std::size_t>(i * row + j)],
                       rest = parts[static_cast<std::size_t>(i * row + low + j)];
        CHECK(high.bits == bfloat16(x.at(i, j)).bits);
        CHECK(rest.bits == bfloat16(x.at(i, j) - static_cast<float>(high)).bits);
        if (form != OperandForm::split_pair)
          CHECK(parts[static_cast<std::size_t>(i * row + (24 - low) + j)].bits == high.bits);
      }
  }
}

TEST_CASE("rows are converted to the forms of activations only") {
  const auto x = Matrix<float>(2, 4).random(1);
  std::vector<unsigned char> out(
      static_cast<std::size_t>(kernels::operand_bytes(OperandForm::split_right, 2, 4)));
  const kernels::se2::ConvertRowsParams p{x.data(), x.stride(), nullptr, out.data(), 2, 4};
  for (const OperandForm form : {OperandForm::split_right, OperandForm::split_stack, OperandForm::split_pair})
    CHECK_THROWS_AS(kernels::se2::launch_convert_rows({}, form, p), UsageError);
  CHECK_NOTHROW(kernels::se2::launch_convert_rows({}, OperandForm::split_left, p));
}
