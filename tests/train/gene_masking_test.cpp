// SPDX-License-Identifier: MIT
#include "stofm/train/gene_masking.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/losses.hpp"
#include "stofm/train/gene_masking_head.hpp"

namespace {

using namespace stofm;

constexpr std::int32_t cls = 102;

/// `cells` cells of `genes` genes each, tokens from 2 to 101.
std::vector<std::int32_t> cells_of(std::int64_t cells, std::int64_t genes,
                                   std::vector<std::int64_t>& offsets) {
  Random random(3);
  std::vector<std::int32_t> tokens;
  offsets = {0};
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    std::vector<std::int32_t> all(100);
    std::iota(all.begin(), all.end(), 2);
    tokens.push_back(cls);
    for (std::size_t i = 0; i < static_cast<std::size_t>(genes); ++i) {
      std::swap(all[i], all[i + random.below(all.size() - i)]);
      tokens.push_back(all[i]);
    }
    offsets.push_back(static_cast<std::int64_t>(tokens.size()));
  }
  return tokens;
}

std::vector<std::int32_t> all_genes() {
  std::vector<std::int32_t> measured(100);
  std::iota(measured.begin(), measured.end(), 2);
  return measured;
}

}  // namespace

TEST_CASE("15 % of the genes are hidden, 80 % of them by <mask>, 10 % by another gene of the panel") {
  std::vector<std::int64_t> offsets;
  const auto tokens = cells_of(2000, 30, offsets);
  const auto panel = train::make_gene_panel(all_genes(), tokens, offsets, cls);
  const auto masked = train::mask_genes(tokens, offsets, panel, {1, 2, 3});
  // 2000 cells of 4 or 5 genes: exactly 4.5 on average, sd of the sum 22.
  CHECK(static_cast<double>(masked.size()) == doctest::Approx(9000).epsilon(0.01));
  REQUIRE(masked.tokens.size() == tokens.size());
  std::int64_t as_mask = 0, as_is = 0, other = 0, next = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool hidden =
        next < masked.size() && masked.places[static_cast<std::size_t>(next)] == static_cast<std::int64_t>(i);
    if (!hidden) {
      CHECK(masked.tokens[i] == tokens[i]);
      continue;
    }
    const auto at = static_cast<std::size_t>(next++);
    CHECK(tokens[i] != cls);
    CHECK(panel.tokens[static_cast<std::size_t>(masked.targets[at])] == tokens[i]);
    CHECK(masked.weights[at] == panel.weights[static_cast<std::size_t>(masked.targets[at])]);
    (masked.tokens[i] == pipeline::mask_token ? as_mask : masked.tokens[i] == tokens[i] ? as_is : other) += 1;
    CHECK(masked.tokens[i] != cls);
  }
  CHECK(next == masked.size());
  const auto share = [&](std::int64_t count) {
    return static_cast<double>(count) / static_cast<double>(masked.size());
  };
  CHECK(share(as_mask) == doctest::Approx(0.8).epsilon(0.02));
  CHECK(share(other) ==
        doctest::Approx(0.099).epsilon(0.1));  // one in a hundred random genes is the gene itself
  CHECK(share(as_is) == doctest::Approx(0.101).epsilon(0.1));
}

TEST_CASE("what is hidden in a cell depends on the key and its place alone") {
  std::vector<std::int64_t> offsets, fewer;
  const auto tokens = cells_of(20, 30, offsets);
  const auto panel = train::make_gene_panel(all_genes(), tokens, offsets, cls);
  const auto masked = train::mask_genes(tokens, offsets, panel, {1, 2, 3});
  fewer.assign(offsets.begin(), offsets.begin() + 8);
  const std::span<const std::int32_t> first(tokens.data(), static_cast<std::size_t>(fewer.back()));
  const auto part = train::mask_genes(first, fewer, panel, {1, 2, 3});
  CHECK(std::equal(part.tokens.begin(), part.tokens.end(), masked.tokens.begin()));
  CHECK(train::mask_genes(tokens, offsets, panel, {1, 2, 4}).tokens != masked.tokens);
  CHECK(train::mask_genes(tokens, offsets, panel, {2, 2, 3}).tokens != masked.tokens);
  // Cells without genes have nothing to hide.
  const std::vector<std::int32_t> bare{cls, cls};
  const std::vector<std::int64_t> bare_offsets{0, 1, 2};
  CHECK(train::mask_genes(bare, bare_offsets, panel, {}).size() == 0);
  const auto all =
      train::mask_genes(tokens, offsets, panel, {}, {.chosen = 1.0, .masked = 1.0, .random = 0.0});
  CHECK(all.size() == 600);
}

TEST_CASE("a panel weighs genes by the inverse square root of their frequency, up to the cap") {
  // Gene 2 in all four cells, 3 in one, 4 in none; 5 twice in one cell.
  const std::vector<std::int32_t> tokens{9, 2, 3, 9, 2, 5, 5, 9, 2, 9, 2}, measured{4, -1, 3, 2, 3, 5, 9};
  const std::vector<std::int64_t> offsets{0, 3, 7, 9, 11};
  const auto panel = train::make_gene_panel(measured, tokens, offsets, 9, {.largest_weight = 1.2});
  CHECK(panel.tokens == std::vector<std::int32_t>{2, 3, 4, 5});
  CHECK(panel.frequency == std::vector<double>{1.0, 0.25, 0.0, 0.25});
  CHECK(panel.weights[0] == doctest::Approx(std::sqrt(0.5)));
  CHECK(panel.weights[1] == doctest::Approx(1.2));
  CHECK(panel.weights[2] == doctest::Approx(1.2));
  CHECK(panel.index_of(4) == 2);
  CHECK(panel.index_of(9) == -1);
  const auto even = train::make_gene_panel(measured, tokens, offsets, 9, {.weight_exponent = 0});
  CHECK(even.weights == std::vector<float>{1, 1, 5, 1});
}

TEST_CASE("wrong shares and foreign genes are refused") {
  const std::vector<std::int32_t> tokens{9, 2}, measured{3}, none{9, -1, 0};
  const std::vector<std::int64_t> offsets{0, 2};
  CHECK_THROWS_AS(train::make_gene_panel(measured, tokens, offsets, 9), DataError);
  CHECK_THROWS_AS(train::make_gene_panel(none, tokens, offsets, 9), DataError);
  const train::GenePanel panel = train::make_gene_panel(measured, {}, std::vector<std::int64_t>{0}, 9);
  CHECK_THROWS_AS(train::mask_genes(tokens, offsets, panel, {}, {.chosen = 1.0}), DataError);
  CHECK_THROWS_AS(train::mask_genes(tokens, offsets, panel, {}, {.chosen = 1.5}), UsageError);
  CHECK_THROWS_AS(train::mask_genes(tokens, offsets, panel, {}, {.masked = 0.95}), UsageError);
}

TEST_CASE("the blockwise cross-entropy and its gradient are those of the rule for all logits at once") {
  Random random(4);
  const auto normal = [&](const Shape& shape) {
    Tensor<double> tensor(shape);
    for (double& value : tensor.span()) value = random.normal();
    return tensor;
  };
  // 65,536 candidates make blocks of 16 rows.
  for (const std::int64_t candidates : {7, 65536}) {
    const std::int64_t rows = 37, width = 5;
    const Tensor<double> x = normal({rows, width}), table = normal({candidates, width}),
                         bias = normal({candidates});
    std::vector<std::int64_t> targets;
    std::vector<float> weights;
    std::vector<double> same;
    for (std::int64_t i = 0; i < rows; ++i) {
      targets.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(candidates))));
      weights.push_back(static_cast<float>(0.5 + random.uniform()));
      same.push_back(static_cast<double>(weights.back()));
    }
    std::vector<Tensor<double>> gradients[2];
    double values[2];
    for (const int way : {0, 1}) {
      autograd::Tape<double> tape;
      const auto a = tape.input(x), b = tape.input(table), c = tape.input(bias);
      const auto loss = way == 0 ? train::gene_cross_entropy<double>(a, b, c, targets, weights).sum
                                 : autograd::cross_entropy<double>(autograd::linear(a, b, c), targets, same,
                                                                   autograd::Reduction::sum);
      tape.backward(autograd::scale(loss, 0.3));
      values[way] = *loss.value().data();
      gradients[way] = {tape.grad(a), tape.grad(b), tape.grad(c)};
    }
    CHECK(values[0] == doctest::Approx(values[1]).epsilon(1e-12));
    for (std::size_t i = 0; i < 3; ++i) {
      double worst = 0;
      for (std::int64_t j = 0; j < gradients[0][i].numel(); ++j)
        worst = (std::max)(worst, std::abs(gradients[0][i].data()[j] - gradients[1][i].data()[j]));
      CHECK(worst <= 1e-12);
    }
  }
}
