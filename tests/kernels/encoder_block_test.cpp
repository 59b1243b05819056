// SPDX-License-Identifier: MIT
// The row kernels of the cell encoder, attention of first rows and of packed views, run on the host against
// the CPU.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/backend/cpu/activation.hpp"
#include "stofm/backend/cpu/layer_norm.hpp"
#include "stofm/kernels/encoder_block/convert.cuh"
#include "stofm/kernels/encoder_block/row_norm.cuh"
#include "stofm/kernels/encoder_block/unit_rows.cuh"
#include "stofm/kernels/sequence_attention/first_row.cuh"
#include "stofm/kernels/sequence_attention/launch.cuh"
#include "tests/kernels/support/device_array.hpp"

using namespace stofm;
using emulator::Matrix;
using kernels::OperandForm;

namespace {

/// As in layer_norm_test.cpp: float sums in a tree against double, on spiky rows.
constexpr double norm_tolerance = 2e-5;

/// What an operand means, read back.
Matrix<float> read_operand(const std::vector<unsigned char>& bytes, OperandForm form, std::int64_t rows,
                           std::int64_t columns) {
  Matrix<float> result(rows, columns);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) {
      if (form == OperandForm::float32) {
        result.at(i, j) = reinterpret_cast<const float*>(bytes.data())[i * columns + j];
        continue;
      }
      const auto* const at =
          reinterpret_cast<const bfloat16*>(bytes.data()) + i * kernels::operand_row(form, columns) + j;
      result.at(i, j) = static_cast<float>(at[0]);
      if (form == OperandForm::split_left) {
        result.at(i, j) += static_cast<float>(at[columns]);
        CHECK(at[2 * columns].bits == at[0].bits);
      }
    }
  return result;
}
double form_tolerance(OperandForm form) {
  return form == OperandForm::float32 ? norm_tolerance : form == OperandForm::bfloat16 ? 0x1p-7 : 4e-5;
}
constexpr OperandForm left_forms[] = {OperandForm::float32, OperandForm::bfloat16, OperandForm::split_left};

}  // namespace

TEST_CASE("embeddings are summed and normalised") {
  for (const std::int64_t width : {4, 48, 132, 260, 516})
    for (const OperandForm form : left_forms) {
      const std::int64_t rows = 11;
      const auto words = Matrix<float>(9, width).random(1), positions = Matrix<float>(6, width).random(2),
                 type = Matrix<float>(1, width).random(3), gamma = Matrix<float>(1, width).random(4),
                 beta = Matrix<float>(1, width).random(5);
      std::vector<std::int32_t> tokens, places;
      Matrix<float> sum(rows, width), expected(rows, width);
      for (std::int64_t i = 0; i < rows; ++i) {
        tokens.push_back(static_cast<std::int32_t>(i * 5 % 9));
        places.push_back(static_cast<std::int32_t>(i % 6));
        for (std::int64_t j = 0; j < width; ++j)
          sum.at(i, j) = (words.at(tokens.back(), j) + type.at(0, j)) + positions.at(places.back(), j);
      }
      backend::layer_norm<float>(Cpu{}, expected.view(), sum.view(), {}, gamma.data(), beta.data(), 1e-12);
      Matrix<float> y(rows, width);
      std::vector<unsigned char> operand(static_cast<std::size_t>(kernels::operand_bytes(form, rows, width)));
      kernels::EmbeddingNormParams p{tokens.data(),    places.data(), words.data(),
                                     positions.data(), type.data(),   {}};
      p.out = {gamma.data(), beta.data(), 1e-12F, y.data(), operand.data(), nullptr, rows, width};
      kernels::launch_embedding_norm(form, p, {});
      CHECK(y.intact());
      CHECK(emulator::worst_ratio(y, expected, norm_tolerance, norm_tolerance) <= 1.0);
      CHECK(emulator::worst_ratio(read_operand(operand, form, rows, width), expected, norm_tolerance,
                                  form_tolerance(form)) <= 1.0);
    }
}

TEST_CASE("bias, dropout and residual are added before the norm, and the sum is kept") {
  const std::int64_t rows = 9, width = 132;
  const auto x = Matrix<float>(rows, width).random(1), bias = Matrix<float>(1, width).random(3),
             gamma = Matrix<float>(1, width).random(4), beta = Matrix<float>(1, width).random(5);
  const DropoutMask mask({1, 2, 3}, 16384U);
  for (const bool drops : {false, true}) {
    auto residual = Matrix<float>(rows, width).random(2);
    Matrix<float> sum(rows, width), expected(rows, width), kept(rows, width);
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < width; ++j) {
        float z = x.at(i, j) + bias.at(0, j);
        if (drops) z = mask.keeps(static_cast<std::uint64_t>(i * width + j)) ? z * (4.0F / 3.0F) : 0.0F;
        sum.at(i, j) = z + residual.at(i, j);
      }
    backend::layer_norm<float>(Cpu{}, expected.view(), sum.view(), {}, gamma.data(), beta.data(), 1e-12);
    kernels::ResidualNormParams<float> p;
    p.x = x.data();
    p.bias = bias.data();
    p.residual = residual.data();
    if (drops) p.dropout = kernels::dropout_params(mask, 4.0 / 3.0);
    p.out = {gamma.data(), beta.data(), 1e-12F, residual.data(), nullptr, kept.data(), rows, width};
    kernels::launch_residual_norm(OperandForm::float32, p, {});
    CHECK(residual.intact());
    CHECK(emulator::worst_ratio(kept, sum, 1e-6, 1e-6) <= 1.0);
    CHECK(emulator::worst_ratio(residual, expected, norm_tolerance, norm_tolerance) <= 1.0);
  }
}

TEST_CASE("activations, gathered rows and forms in one pass") {
  const auto x = Matrix<float>(6, 20, 4).random(1), bias = Matrix<float>(1, 20).random(2);
  const std::vector<std::int64_t> rows{5, 0, 0};
  for (const Activation activation : {Activation::identity, Activation::relu, Activation::gelu})
    for (const OperandForm form : left_forms) {
      Matrix<float> expected(3, 20);
      for (std::int64_t i = 0; i < 3; ++i)
        for (std::int64_t j = 0; j < 20; ++j)
          expected.at(i, j) =
              backend::activate(x.at(rows[static_cast<std::size_t>(i)], j) + bias.at(0, j), activation);
      std::vector<unsigned char> out(static_cast<std::size_t>(kernels::operand_bytes(form, 3, 20)));
      kernels::launch_convert(
          form, activation,
          kernels::ConvertParams<float>{x.data(), x.stride(), rows.data(), bias.data(), out.data(), 3, 20},
          {});
      CHECK(emulator::worst_ratio(read_operand(out, form, 3, 20), expected, 1e-6, form_tolerance(form)) <=
            1.0);
    }
}

TEST_CASE("one query a head sees whole tokens") {
  for (const std::int64_t width : {12, 64, 132, 260, 516})
    for (const std::int64_t heads : {1, 4, 5}) {
      const std::vector<std::int64_t> offsets{0, 1, 20, 22};
      const auto x = Matrix<float>(22, width).random(1),
                 queries = Matrix<float>(3, heads * width).random(2, 0.05);
      Matrix<float> expected(3, heads * width), means(3, heads * width);
      for (std::int64_t s = 0; s < 3; ++s)
        for (std::int64_t h = 0; h < heads; ++h) {
          const auto begin = offsets[static_cast<std::size_t>(s)],
                     end = offsets[static_cast<std::size_t>(s) + 1];
          std::vector<double> weights;
          double largest = -1e300, sum = 0;
          for (std::int64_t t = begin; t < end; ++t) {
            double score = 0;
            for (std::int64_t j = 0; j < width; ++j)
              score += static_cast<double>(queries.at(s, h * width + j)) * static_cast<double>(x.at(t, j));
            weights.push_back(0.25 * score);
            largest = (std::max)(largest, weights.back());
          }
          for (double& weight : weights) sum += weight = std::exp(weight - largest);
          for (std::int64_t j = 0; j < width; ++j) {
            double mean = 0;
            for (std::int64_t t = begin; t < end; ++t)
              mean += weights[static_cast<std::size_t>(t - begin)] / sum * static_cast<double>(x.at(t, j));
            expected.at(s, h * width + j) = static_cast<float>(mean);
          }
        }
      emulator::for_each_schedule([&] {
        means.fill(-1.0F);
        kernels::launch_first_row({x.data(), queries.data(), offsets.data(), means.data(), 3, heads, width,
                                   static_cast<float>(0.25 * std::numbers::log2e)},
                                  {});
        CHECK(means.intact());
        // Scores of up to 100 have an error of 2^-24 * 100 * 8; so have weights, relatively; tokens are up
        // to 90.
        CHECK(emulator::worst_ratio(means, expected, 2e-3, 1e-4) <= 1.0);
      });
    }
}

TEST_CASE("rows of length 1 neither overflow nor hide a NaN") {
  Matrix<float> x(5, 40);
  x.random(1);
  for (std::int64_t j = 0; j < 40; ++j) {
    x.at(1, j) = 0.0F;
    x.at(2, j) = 3e38F;
    x.at(3, j) = 1e-30F;
  }
  x.at(4, 39) = NAN;
  kernels::launch_unit_rows({x.data(), x.data(), 5, 40}, {});
  for (std::int64_t i = 0; i < 4; ++i) {
    double sum = 0;
    for (std::int64_t j = 0; j < 40; ++j)
      sum += static_cast<double>(x.at(i, j)) * static_cast<double>(x.at(i, j));
    CHECK(sum == doctest::Approx(i == 1 ? 0.0 : 1.0).epsilon(1e-6));
  }
  for (std::int64_t j = 0; j < 40; ++j) CHECK(std::isnan(x.at(4, j)));
}

TEST_CASE("widths without a kernel are refused") {
  kernels::ResidualNormParams<float> p;
  p.out.columns = 1028;
  CHECK_THROWS_AS(kernels::launch_residual_norm(OperandForm::float32, p, {}), UsageError);
  kernels::AttentionForward request;
  request.head_dim = 68;
  CHECK_THROWS_AS(kernels::attention_forward_float32(request, {}), UsageError);
}
