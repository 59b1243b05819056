// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <memory>

#include "stofm/core/random.hpp"
#include "stofm/tasks/impute.hpp"
#include "tests/tasks/counts.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;

namespace impute_test {
/// Cells in a square; programs of `programs` hidden factors, smooth in space, drive the genes.
struct Made {
  std::vector<std::vector<double>> counts;  ///< [cells][genes]
  io::Slice slice;
};

std::string made_name(std::int64_t gene) { return "Gene" + std::to_string(gene); }

/// A slice of cells x genes [first, last); gene g follows factor g % 4, gene 10 and 11 are noise.
std::shared_ptr<Made> made_slice(std::int64_t side, std::uint64_t seed, std::vector<std::int64_t> genes,
                                 bool positions = true) {
  auto made = std::make_shared<Made>();
  Random random(seed);
  const std::int64_t cells = side * side;
  io::Slice& slice = made->slice;
  slice.path = "made" + std::to_string(seed) + ".h5ad";
  slice.cells = cells;
  if (positions) slice.coordinates_source = "given";
  slice.coordinates = Tensor<double>({cells, 2});
  for (const std::int64_t g : genes) slice.gene_ids.push_back(made_name(g));
  slice.gene_id_column = "index";
  for (std::int64_t i = 0; i < cells; ++i) {
    const double x = static_cast<double>(i % side), y = static_cast<double>(i / side);
    slice.coordinates.data()[2 * i] = x, slice.coordinates.data()[2 * i + 1] = y;
    double factor[4];
    for (int f = 0; f < 4; ++f)
      factor[f] = 1.5 * std::sin((f % 2 ? x : y) * 0.4 * (1 + f / 2) + static_cast<double>(seed)) +
                  0.5 * random.normal();
    std::vector<double> row;
    for (const std::int64_t g : genes) {
      const double level = g == 10 || g == 11 ? random.normal() : factor[g % 4];
      row.push_back(std::floor(std::exp(1.5 + level + 0.2 * random.normal())));
    }
    made->counts.push_back(std::move(row));
  }
  slice.read_counts = [data = made.get()](std::int64_t begin, std::int64_t end) {
    return counts_of(data->counts, begin, end);
  };
  return made;
}
std::vector<std::int64_t> gene_list(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> list;
  for (std::int64_t g = begin; g < end; ++g) list.push_back(g);
  return list;
}
tasks::ImputeOptions plain_options() {
  tasks::ImputeOptions options;
  options.surroundings = tasks::Surroundings::none;
  return options;
}
const tasks::ImputedGene& gene_of(const tasks::ImputeResult& result, const std::string& name) {
  for (const tasks::ImputedGene& gene : result.imputation.genes)
    if (result.genes.targets.shown[static_cast<std::size_t>(gene.target)] == name) return gene;
  FAIL("no gene " << name);
  return result.imputation.genes[0];
}
}  // namespace impute_test
using namespace impute_test;

TEST_CASE("genes that a slice lacks are predicted, noise is marked as what can't be told") {
  const auto reference = made_slice(24, 1, gene_list(0, 16)), other = made_slice(20, 2, gene_list(0, 16)),
             slice = made_slice(18, 3, gene_list(0, 8));
  const io::Slice* references[] = {&reference->slice, &other->slice};
  for (const auto method : {tasks::ImputeMethod::ridge, tasks::ImputeMethod::knn})
    for (const auto around : {tasks::Surroundings::none, tasks::Surroundings::neighbours}) {
      CAPTURE(static_cast<int>(method));
      CAPTURE(static_cast<int>(around));
      tasks::ImputeOptions options = plain_options();
      options.imputation.method = method;
      options.surroundings = around;
      const tasks::ImputeResult result = tasks::impute(slice->slice, references, nullptr, options);
      REQUIRE(result.imputation.genes.size() == 8);
      CHECK(result.genes.shared.size() == 8);
      CHECK(result.measured.empty());
      for (const tasks::ImputedGene& gene : result.imputation.genes) {
        const std::string& name = result.genes.targets.shown[static_cast<std::size_t>(gene.target)];
        CAPTURE(name);
        const bool noise = name == "Gene10" || name == "Gene11";
        CHECK(gene.told == !noise);
        CHECK((noise ? std::abs(gene.pearson) < 0.2 : gene.pearson > 0.5));
      }
    }
}

TEST_CASE("hidden genes are scored against what was measured, and are not learnt from") {
  const auto reference = made_slice(24, 1, gene_list(0, 12)), slice = made_slice(18, 3, gene_list(0, 12));
  const io::Slice* references[] = {&reference->slice};
  tasks::ImputeOptions options = plain_options();
  options.genes.hidden = {"gene5", "Gene10"};
  const tasks::ImputeResult result = tasks::impute(slice->slice, references, nullptr, options);
  REQUIRE(result.measured.size() == 2);
  CHECK(result.genes.shared.size() == 10);
  CHECK(result.measured[0].scores.pearson > 0.5);
  CHECK(std::abs(result.measured[1].scores.pearson) < 0.2);
  // The same numbers when the slice never had these genes.
  auto lacking = made_slice(18, 3, gene_list(0, 12));
  std::vector<std::uint8_t> keep(12, 1);
  keep[5] = keep[10] = 0;
  const io::Slice restricted = tasks::slice_with_genes(lacking->slice, keep);
  CHECK(restricted.genes() == 10);
  const tasks::ImputeResult without = tasks::impute(restricted, references, nullptr, plain_options());
  REQUIRE(without.imputation.genes.size() == 2);
  bool same = true;
  for (std::int64_t e = 0; e < without.imputation.values.numel(); ++e)
    same = same && without.imputation.values.data()[e] == result.imputation.values.data()[e];
  CHECK(same);
  // Asked for by name, in the order of the names.
  tasks::ImputeOptions asked = plain_options();
  asked.genes.genes = {"Gene7", "Gene2"};
  const tasks::ImputeResult named = tasks::impute(slice->slice, references, nullptr, asked);
  CHECK(named.genes.targets.shown == std::vector<std::string>{"Gene7", "Gene2"});
  CHECK(gene_of(named, "Gene7").target == 0);
}

TEST_CASE("imputation has the same bits at any thread count") {
  const auto reference = made_slice(24, 1, gene_list(0, 16)), slice = made_slice(18, 3, gene_list(0, 8));
  const io::Slice* references[] = {&reference->slice};
  const int before = thread_count();
  for (const auto method : {tasks::ImputeMethod::ridge, tasks::ImputeMethod::knn}) {
    std::vector<float> first;
    for (const int threads : {1, 2, 5}) {
      set_thread_count(threads);
      tasks::ImputeOptions options = plain_options();
      options.surroundings = tasks::Surroundings::neighbours;
      options.imputation.method = method;
      const auto result = tasks::impute(slice->slice, references, nullptr, options);
      const std::vector<float> values(result.imputation.values.data(),
                                      result.imputation.values.data() + result.imputation.values.numel());
      if (first.empty()) first = values;
      CHECK(values == first);
    }
  }
  set_thread_count(before);
}

TEST_CASE("references of different panels are fitted apart, those without positions use genes alone") {
  const auto first = made_slice(20, 1, gene_list(0, 12)),
             second = made_slice(20, 2, {0, 1, 2, 3, 4, 5, 6, 7, 12, 13}, false),
             slice = made_slice(16, 3, gene_list(0, 8));
  const io::Slice* references[] = {&first->slice, &second->slice};
  tasks::ImputeOptions options = plain_options();
  options.surroundings = tasks::Surroundings::neighbours;
  const tasks::ImputeResult result = tasks::impute(slice->slice, references, nullptr, options);
  REQUIRE(result.imputation.genes.size() == 6);  // 8 to 11 of the first, 12 and 13 of the second
  CHECK(result.surroundings == tasks::Surroundings::none);
  CHECK(result.notices[0].code == "STOFM-W4770");
  CHECK(gene_of(result, "Gene8").pearson > 0.5);
  CHECK(gene_of(result, "Gene13").pearson > 0.5);
  CHECK(gene_of(result, "Gene13").expressed <= 400);
  // The gene of one reference alone is the fit to that reference.
  tasks::ImputeOptions alone = plain_options();
  alone.genes.genes = {"Gene13"};
  const io::Slice* one[] = {&second->slice};
  const tasks::ImputeResult by_itself = tasks::impute(slice->slice, one, nullptr, alone);
  const std::int64_t column = result.imputation.values.dim(1) - 1;
  for (std::int64_t i = 0; i < 16; ++i)
    CHECK(by_itself.imputation.values(i, std::int64_t{0}) == result.imputation.values(i, column));
  // The genes told best stay.
  options.imputation.max_genes = 2;
  const tasks::ImputeResult few = tasks::impute(slice->slice, references, nullptr, options);
  CHECK(few.imputation.genes.size() == 2);
  CHECK(few.imputation.left_out == 4);
  for (const tasks::ImputedGene& gene : few.imputation.genes) CHECK(gene.told);
}

TEST_CASE("cells without a shared gene get no prediction; panels are cut to what varies") {
  const auto reference = made_slice(20, 1, gene_list(0, 12)), slice = made_slice(16, 3, gene_list(0, 8));
  for (double& count : slice->counts[7]) count = 0;
  const io::Slice* references[] = {&reference->slice};
  tasks::ImputeOptions options = plain_options();
  options.max_shared = 5;
  options.alignment = tasks::FeatureAlignment::centre;
  const tasks::ImputeResult result = tasks::impute(slice->slice, references, nullptr, options);
  CHECK(result.empty_cells == std::vector<std::int64_t>{7});
  CHECK(std::isnan(result.imputation.values(7, std::int64_t{0})));
  CHECK(std::isfinite(result.imputation.values(8, std::int64_t{0})));
  CHECK(result.learnt_genes == 5);
  CHECK(result.genes.shared.size() == 8);
}

TEST_CASE("a reference of another species meets the slice through the gene table") {
  const auto reference = made_slice(20, 1, gene_list(0, 12)), slice = made_slice(16, 3, gene_list(0, 8));
  std::string table = "ensembl_id\tsymbols\ttoken\tmedian\n", mouse = "mouse_ensembl_id\thuman_ensembl_id\n";
  const auto id_of = [](const char* prefix, int g) { return prefix + std::to_string(10000000000 + g); };
  for (int g = 0; g < 12; ++g) {
    table += id_of("ENSG", g) + "\t\t" + std::to_string(g + 2) + "\t1.0\n";
    mouse += id_of("ENSMUSG", 50 + g) + "\t" + id_of("ENSG", g) + "\n";
    reference->slice.gene_ids[static_cast<std::size_t>(g)] = id_of("ENSG", g);
    if (g < 8) slice->slice.gene_ids[static_cast<std::size_t>(g)] = id_of("ENSMUSG", 50 + g);
  }
  pipeline::Model model;  // the table alone
  model.genes = std::make_shared<pipeline::GeneTable>(pipeline::GeneTable::parse(table));
  model.mouse_map = std::make_shared<pipeline::MouseMap>(pipeline::MouseMap::parse(mouse, *model.genes));
  const io::Slice* references[] = {&reference->slice};
  tasks::ImputeOptions options = plain_options();
  CHECK(refusal_code([&] { tasks::impute(slice->slice, references, nullptr, options); }) == "STOFM-4751");
  const tasks::ImputeResult result = tasks::impute(slice->slice, references, &model, options);
  CHECK(result.genes.matched_by == "the gene table");
  CHECK(result.genes.shared.size() == 8);
  CHECK(result.imputation.genes.size() == 4);
  CHECK(gene_of(result, id_of("ENSG", 8)).pearson > 0.5);
}

TEST_CASE("imputation refuses what it can not do") {
  const auto reference = made_slice(12, 1, gene_list(0, 12)), slice = made_slice(12, 3, gene_list(0, 8)),
             tiny = made_slice(4, 5, gene_list(0, 12)), strange = made_slice(12, 4, gene_list(50, 60));
  const io::Slice* references[] = {&reference->slice};
  const io::Slice* few[] = {&tiny->slice};
  const io::Slice* unknown[] = {&strange->slice};
  const auto refused = [&](auto&& change, std::span<const io::Slice* const> from) {
    return refusal_code([&] {
      tasks::ImputeOptions options = plain_options();
      change(options);
      tasks::impute(slice->slice, from, nullptr, options);
    });
  };
  const auto nothing = [](tasks::ImputeOptions&) {};
  CHECK(refused(nothing, {}) == "STOFM-4750");
  CHECK(refused(nothing, unknown) == "STOFM-4751");
  CHECK(refused(nothing, few) == "STOFM-4772");
  CHECK(refused([](auto& o) { o.genes.genes = {"Gad1"}; }, references) == "STOFM-4775");
  CHECK(refused([](auto& o) { o.genes.hidden = {"Gene9"}; }, references) == "STOFM-4776");
  CHECK(refused(
            [](auto& o) { o.genes.genes = {"Gene0", "Gene1", "Gene2", "Gene3", "Gene4", "Gene5", "Gene6"}; },
            references) == "STOFM-4777");
  const io::Slice* same[] = {&slice->slice};
  CHECK(refused(nothing, same) == "STOFM-4778");
  CHECK(refused([](auto& o) { o.hold_out = 0.9; }, references) == "STOFM-4774");
  CHECK(refused([](auto& o) { o.imputation.max_genes = 0; }, references) == "STOFM-4773");
  CHECK(refused([](auto& o) { o.max_shared = 1; }, references) == "STOFM-4773");
}
