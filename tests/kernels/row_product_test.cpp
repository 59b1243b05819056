// SPDX-License-Identifier: MIT
// Products with an end of their own, run on the host, against double loops.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/encoder_block/convert.cuh"
#include "stofm/kernels/row_product/row_product.cuh"
#include "tests/kernels/support/operand_parts.hpp"

using namespace stofm;
using emulator::Matrix;
using kernels::OperandForm;

namespace {

/// Writes the sums times `factor`, and hands them on to the sums over rows.
template <int Parts>
struct StorePlain {
  static constexpr int parts = Parts;
  static constexpr bool sums = true;
  float* d = nullptr;
  std::int64_t stride = 0;
  float factor = 1.0F;

  __device__ kernels::Quad operator()(std::int64_t row, std::int64_t column, kernels::Quad q,
                                      bool valid) const {
    if (!valid) return {};
    for (float& x : q.v) x *= factor;
    kernels::store_quad(d + row * stride + column, q);
    return q;
  }
};

/// x in an operand form, split_stack too: the parts one below the other.
std::vector<bfloat16> operand_of(const Matrix<float>& x, OperandForm form) {
  if (form != OperandForm::split_stack) return test::parts_of(x, form);
  const auto rows = test::parts_of(x, OperandForm::split_left);
  std::vector<bfloat16> result(rows.size());
  for (std::int64_t i = 0; i < x.rows(); ++i)
    for (int part = 0; part < 3; ++part)
      std::copy_n(rows.data() + (3 * i + part) * x.columns(), x.columns(),
                  result.data() + (part * x.rows() + i) * x.columns());
  return result;
}

struct Outcome {
  Matrix<float> d;
  std::vector<float> partial;
};

template <int Parts, bool Turned>
Outcome product(const Matrix<float>& a, const Matrix<float>& b, OperandForm form_a, OperandForm form_b) {
  const auto left = operand_of(a, form_a), right = operand_of(b, form_b);
  const std::int64_t n = Turned ? b.columns() : b.rows();
  Outcome result{Matrix<float>(a.rows(), n, 4), {}};
  result.partial.resize(static_cast<std::size_t>(kernels::RowProductPolicy::row_tiles(a.rows()) * n));
  kernels::launch_row_product<Turned>({}, kernels::dense_operand(left.data(), a.rows(), a.columns(), form_a),
                                      kernels::dense_operand(right.data(), b.rows(), b.columns(), form_b),
                                      StorePlain<Parts>{result.d.data(), result.d.stride(), 0.5F},
                                      result.partial.data(), "row_product");
  return result;
}

/// Largest difference from double loops over the largest sum of magnitudes, of D and of the sums over rows.
template <bool Turned>
double worst(const Outcome& found, const Matrix<float>& a, const Matrix<float>& b) {
  double most = 0, largest = 0;
  const Matrix<float>& d = found.d;
  for (std::int64_t j = 0; j < d.columns(); ++j) {
    double total = 0, partial = 0;
    for (std::int64_t i = 0; i < d.rows(); ++i) {
      double sum = 0, magnitude = 0;
      for (std::int64_t l = 0; l < a.columns(); ++l) {
        const double term =
            0.5 * static_cast<double>(a.at(i, l)) * static_cast<double>(Turned ? b.at(l, j) : b.at(j, l));
        sum += term;
        magnitude += std::abs(term);
      }
      most = (std::max)(most, std::abs(static_cast<double>(d.at(i, j)) - sum));
      largest = (std::max)(largest, magnitude);
      total += sum;
    }
    for (std::size_t tile = 0; tile < found.partial.size(); tile += static_cast<std::size_t>(d.columns()))
      partial += static_cast<double>(found.partial[tile + static_cast<std::size_t>(j)]);
    most = (std::max)(most, std::abs(partial - total) / static_cast<double>(d.rows()));
  }
  return most / largest;
}

template <int Parts, bool Turned>
void check(std::int64_t m, std::int64_t n, std::int64_t k) {
  CAPTURE(Parts);
  CAPTURE(Turned);
  CAPTURE(m);
  CAPTURE(n);
  CAPTURE(k);
  const OperandForm form_a = Parts == 1 ? OperandForm::bfloat16
                             : Turned   ? OperandForm::split_right
                                        : OperandForm::split_left,
                    form_b = Parts == 1 ? OperandForm::bfloat16
                             : Turned   ? OperandForm::split_stack
                                        : OperandForm::split_right;
  CHECK(kernels::row_product_takes(form_a, k, n, Turned));
  const auto a = Matrix<float>(m, k).random(1);
  const auto b = Turned ? Matrix<float>(k, n).random(2) : Matrix<float>(n, k).random(2);
  const Outcome found = product<Parts, Turned>(a, b, form_a, form_b);
  CHECK(found.d.intact());
  // bf16 loses up to 2^-8 of each factor; two parts 2^-16, and 2^-16 for the product of the low ones; the
  // sums k 2^-24.
  CHECK(worst<Turned>(found, a, b) <= (Parts == 1 ? 0x1p-7 : 0x1p-14));
}

}  // namespace

TEST_CASE("row products are right to the precision of their parts, at every end of a tile") {
  for (const std::int64_t k : {8, 32, 104})
    for (const std::int64_t m : {1, 64, 70})
      for (const std::int64_t n : {8, 64, 72}) {
        check<1, false>(m, n, k);
        check<1, true>(m, n, k);
        check<2, false>(m, n, k);
        check<2, true>(m, n, k);
      }
  check<2, false>(3, 4, 16);  // four columns, where rows of B are along the terms
}

TEST_CASE("row products give the same bits under every schedule, and a row alone") {
  const auto a = Matrix<float>(70, 136).random(3), b = Matrix<float>(72, 136).random(4);
  std::vector<std::vector<float>> first;
  emulator::for_each_schedule([&] {
    const Outcome found = product<2, false>(a, b, OperandForm::split_left, OperandForm::split_right);
    std::vector<std::vector<float>> rows;
    for (std::int64_t i = 0; i < 70; ++i) rows.emplace_back(&found.d.at(i, 0), &found.d.at(i, 0) + 72);
    rows.push_back(found.partial);
    if (first.empty()) first = rows;
    CHECK(rows == first);
  });
  Matrix<float> last(1, 136);
  for (std::int64_t l = 0; l < 136; ++l) last.at(0, l) = a.at(69, l);
  const Outcome alone = product<2, false>(last, b, OperandForm::split_left, OperandForm::split_right);
  CHECK(std::equal(first[69].begin(), first[69].end(), &alone.d.at(0, 0)));
}

TEST_CASE("row products: no rows launch nothing; what they do not take") {
  const std::int64_t before = emulator::launches();
  const Matrix<float> none(0, 16), b(8, 16);
  product<1, false>(none, b, OperandForm::bfloat16, OperandForm::bfloat16);
  CHECK(emulator::launches() == before + 1);  // the conversion of b
  using kernels::row_product_takes;
  CHECK_FALSE(row_product_takes(OperandForm::float32, 16, 16, false));
  CHECK_FALSE(row_product_takes(OperandForm::bfloat16, 12, 16, false));
  CHECK(row_product_takes(OperandForm::bfloat16, 16, 12, false));
  CHECK_FALSE(row_product_takes(OperandForm::bfloat16, 16, 12, true));
}
