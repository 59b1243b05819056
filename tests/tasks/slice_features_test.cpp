// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <array>
#include <limits>

#include "stofm/tasks/slice_features.hpp"
#include "tests/pipeline/embed_fixture.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using tasks::CellInput;
using tasks::FeatureKind;
using tasks::SliceFeatureOptions;
using test::refusal_code;

namespace {
/// The same counts under other names and in another order of the columns.
io::Slice reordered(const io::Slice& slice, const std::vector<std::int32_t>& from) {
  io::Slice other = slice;
  std::vector<std::int32_t> place(from.size());
  for (std::size_t c = 0; c < from.size(); ++c) {
    other.gene_ids[c] = slice.gene_ids[static_cast<std::size_t>(from[c])];
    place[static_cast<std::size_t>(from[c])] = static_cast<std::int32_t>(c);
  }
  other.read_counts = [read = slice.read_counts, place](std::int64_t begin, std::int64_t end) {
    io::CountRows rows = read(begin, end);
    for (std::int32_t& column : rows.columns) column = place[static_cast<std::size_t>(column)];
    return rows;
  };
  return other;
}
double apart(const Tensor<float>& a, const Tensor<float>& b) {
  REQUIRE(a.shape() == b.shape());
  double most = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
  return most;
}
tasks::SliceFeatures of(const std::vector<io::Slice>& slices, FeatureKind kind,
                        const pipeline::Model* model = nullptr, CellInput input = CellInput::encoder) {
  SliceFeatureOptions options;
  options.kind = kind;
  options.input = input;
  options.components = 5;
  options.neighbours = 4;
  options.context.rounds = 1;
  return tasks::slice_features(slices, model, options);
}
}  // namespace

TEST_CASE("slice features: genes are those that all slices share, log-normalised to the median total") {
  io::Slice a =
      test::make_slice({{{0, 1.0}, {1, 3.0}}, {{1, 2.0}, {2, 6.0}}, {{3, 5.0}}}, {{0, 0}, {1, 0}, {0, 1}}, 4);
  a.gene_ids[2] = a.gene_ids[1] + ".4";  // another version of one gene: added up
  io::Slice b = test::make_slice({{{0, 2.0}, {1, 2.0}}}, {{0, 0}}, 2);
  b.gene_ids = {a.gene_ids[1], a.gene_ids[0]};
  const tasks::SliceFeatures found = of({a, b}, FeatureKind::genes);
  CHECK(found.shared_genes == 2);
  REQUIRE(found.rows[0].shape() == Shape{3, 2});
  const double target = 4;  // totals over the shared genes: 4, 8, 0 and 4
  CHECK(found.rows[0](0, 0) == doctest::Approx(std::log1p(target * 1 / 4)));
  CHECK(found.rows[0](0, 1) == doctest::Approx(std::log1p(target * 3 / 4)));
  CHECK(found.rows[0](1, 0) == 0.0F);
  CHECK(found.rows[0](1, 1) == doctest::Approx(std::log1p(target * 8 / 8)));
  CHECK(found.rows[0](2, 0) == 0.0F);
  CHECK(found.rows[1](0, 0) == doctest::Approx(std::log1p(target * 2 / 4)));
  bool empty = false, shared = false;
  for (const Notice& notice : found.notices) {
    empty = empty || (notice.code == "STOFM-W4750" && notice.count == 1);
    shared = shared || (notice.code == "STOFM-W4751" && notice.count == 2);
  }
  CHECK(empty);
  CHECK(shared);
  io::Slice strange = b;
  strange.gene_ids = {"ENSG00000099998", "ENSG00000099999"};
  CHECK(refusal_code([&] { of({a, strange}, FeatureKind::genes); }) == "STOFM-4751");
  io::Slice silent = test::make_slice({{}}, {{0, 0}}, 4);
  CHECK(refusal_code([&] { of({silent}, FeatureKind::genes); }) == "STOFM-4754");
  CHECK(refusal_code([&] { of({}, FeatureKind::genes); }) == "STOFM-4750");
}

TEST_CASE("slice features: the gene table brings ids and symbols together, control features are no genes") {
  const pipeline::Model model = test::tiny_model();
  const io::Slice a = test::slice_at(test::scattered(20));
  io::Slice b = a;
  for (std::size_t g = 0; g < b.gene_ids.size(); ++g) b.gene_ids[g] = concat("G", g);
  b.gene_ids[7] = "NegControlProbe_00042";
  CHECK(refusal_code([&] { of({a, b}, FeatureKind::genes); }) == "STOFM-4751");
  const tasks::SliceFeatures found = of({a, b}, FeatureKind::genes, &model);
  CHECK(found.shared_genes == 29);
  CHECK(test::same_bits(found.rows[0], found.rows[1]));
}

TEST_CASE("slice features: components are those of the dense rows, whatever the order of the columns") {
  const io::Slice a = test::slice_at(test::scattered(60)), b = test::slice_at(test::scattered(45), 30, 8);
  std::vector<std::int32_t> backwards(30);
  for (int c = 0; c < 30; ++c) backwards[static_cast<std::size_t>(c)] = 29 - c;
  const io::Slice turned = reordered(b, backwards);
  const auto genes = of({a, b}, FeatureKind::genes), found = of({a, turned}, FeatureKind::pca);
  Tensor<float> all({105, 30});
  std::copy_n(genes.rows[0].data(), genes.rows[0].numel(), all.data());
  std::copy_n(genes.rows[1].data(), genes.rows[1].numel(), all.data() + genes.rows[0].numel());
  const auto exact = tasks::principal_components(std::as_const(all).view(), {.components = 5});
  // Scores are rounded to float (|score| < 8: 4e-7); the covariances differ by rounding of doubles.
  for (std::size_t s = 0; s < 2; ++s)
    CHECK(apart(found.rows[s], tasks::component_scores(exact, std::as_const(genes.rows[s]).view())) < 1e-5);
  CHECK(found.components->basis.total_variance == doctest::Approx(exact.total_variance));

  const auto shared = tasks::share_genes(std::array{&a, &b});
  std::vector<tasks::SparseRows> rows{tasks::gene_counts(a, shared.gene_of[0], 30),
                                      tasks::gene_counts(b, shared.gene_of[1], 30)};
  const double target = tasks::median_total(rows);
  for (auto& one : rows) tasks::log_normalise(one, target);
  // With blocks of 6 of 30 columns five steps span the whole space: the Krylov way is exact there.
  const auto steps =
      tasks::sparse_components(rows, {.components = 5, .exact_below = 0, .steps = 5, .more = 1, .seed = 4});
  REQUIRE(steps.count() == 5);
  for (std::size_t k = 0; k < 5; ++k)
    CHECK(steps.variances[k] == doctest::Approx(exact.variances[k]).epsilon(1e-9));
  CHECK(apart(tasks::sparse_component_scores(steps, rows[0]), found.rows[0]) < 1e-4);
  CHECK(refusal_code([&] { tasks::sparse_components(rows, {.components = 0}); }) == "STOFM-4708");
}

TEST_CASE("slice features: components of an earlier fit are given to other slices") {
  const io::Slice a = test::slice_at(test::scattered(60)), b = test::slice_at(test::scattered(40), 30, 8);
  const auto fit = of({a}, FeatureKind::pca);
  SliceFeatureOptions options;
  options.kind = FeatureKind::pca;
  options.fitted = fit.components.get();
  const std::vector<io::Slice> both{a, b};
  const auto again = tasks::slice_features(both, nullptr, options);
  CHECK(test::same_bits(again.rows[0], fit.rows[0]));

  // Without a gene: as if its loading were 0.
  io::Slice less = b;
  less.gene_ids[4] = "NegControlProbe_1";
  Notices notices;
  const Tensor<float> scores = tasks::gene_component_scores(*fit.components, less, nullptr, notices);
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].code == "STOFM-W4752");
  tasks::GeneComponents blind = *fit.components;
  blind.basis.loadings = blind.basis.loadings.clone();
  for (std::int64_t k = 0; k < blind.count(); ++k) blind.basis.loadings(k, 4) = 0;
  tasks::SparseRows rows = tasks::gene_counts(
      less,
      [] {
        std::vector<std::int32_t> gene_of(30);
        for (int g = 0; g < 30; ++g) gene_of[static_cast<std::size_t>(g)] = g == 4 ? -1 : g;
        return gene_of;
      }(),
      30);
  tasks::log_normalise(rows, blind.target);
  CHECK(apart(scores, tasks::sparse_component_scores(blind.basis, rows)) < 1e-5);
  io::Slice poor = b;
  for (std::size_t g = 0; g < 16; ++g) poor.gene_ids[g] = concat("ENSG", 900000000 + g);
  CHECK(refusal_code([&] {
          Notices more;
          tasks::gene_component_scores(*fit.components, poor, nullptr, more);
        }) == "STOFM-4755");
}

TEST_CASE("slice features: neighbours' means stay inside a slice and a library") {
  io::Slice a = test::slice_at(test::scattered(50));
  a.library_names = {"left", "right", "alone"};
  for (std::int64_t i = 0; i < 50; ++i) a.library.push_back(i == 49 ? 2 : i % 2 == 0 ? 0 : 1);
  const io::Slice b = test::slice_at(test::scattered(3), 30, 8);
  const auto found = of({a, b}, FeatureKind::pca_neighbours);
  CHECK(found.own_columns == 5);
  for (std::int64_t i = 0; i < 50; ++i) {
    std::vector<std::pair<double, std::int64_t>> near;
    for (std::int64_t j = 0; j < 50; ++j)
      if (j != i && a.library[static_cast<std::size_t>(i)] == a.library[static_cast<std::size_t>(j)]) {
        const double dx = a.coordinates(i, 0) - a.coordinates(j, 0),
                     dy = a.coordinates(i, 1) - a.coordinates(j, 1);
        near.emplace_back(dx * dx + dy * dy, j);
      }
    std::sort(near.begin(), near.end());
    if (near.size() > 4) near.resize(4);
    for (std::int64_t k = 0; k < 5; ++k) {
      double mean = near.empty() ? static_cast<double>(found.rows[0](i, k)) : 0.0;
      for (const auto& [distance, j] : near)
        mean += static_cast<double>(found.rows[0](j, k)) / static_cast<double>(near.size());
      CHECK(static_cast<double>(found.rows[0](i, 5 + k)) == doctest::Approx(mean).epsilon(1e-5));
    }
  }
  for (std::int64_t k = 0; k < 5; ++k)  // two others are all there are
    CHECK(found.rows[1](0, 5 + k) ==
          doctest::Approx(0.5 * (found.rows[1](1, k) + found.rows[1](2, k))).epsilon(1e-5));
  SliceFeatureOptions rings;
  rings.kind = FeatureKind::pca_rings;
  rings.components = 5;
  rings.rings = {4, 9};
  const auto wide = tasks::slice_features(std::vector<io::Slice>{a, b}, nullptr, rings);
  CHECK(wide.name.ends_with("and their means over 4 and 9 neighbours"));
  REQUIRE(wide.rows[0].shape() == Shape{50, 15});
  const std::array<std::int64_t, 1> nine{9};
  const Tensor<float> ninth =
      tasks::neighbour_means(a, tasks::detail::first_columns(found.rows[0], 5).view(), nine);
  for (std::int64_t i = 0; i < 50; ++i)
    for (std::int64_t k = 0; k < 5; ++k) {
      CHECK(wide.rows[0](i, 5 + k) == found.rows[0](i, 5 + k));
      CHECK(wide.rows[0](i, 10 + k) == ninth(i, k));
    }
  const std::array<std::int64_t, 2> falling{10, 3};
  CHECK(refusal_code([&] { tasks::neighbour_means(a, found.rows[0].view(), falling); }) == "STOFM-4706");
}

TEST_CASE("slice features: embeddings of the model, from its encoder or from components") {
  const pipeline::Model model = test::tiny_model();
  const std::vector<io::Slice> slices{test::slice_at(test::scattered(40)),
                                      test::slice_at(test::scattered(30), 30, 8)};
  CHECK(test::same_bits(of(slices, FeatureKind::stofm, &model).rows[1],
                        pipeline::embed_slice(slices[1], model).embeddings));
  pipeline::EmbedOptions only;
  only.target = pipeline::EmbedTarget::cells_only;
  CHECK(test::same_bits(of(slices, FeatureKind::cells, &model).rows[0],
                        pipeline::embed_slice(slices[0], model, only).embeddings));
  const auto given = of(slices, FeatureKind::cells, &model, CellInput::pca);
  CHECK(given.rows[0].shape() == Shape{40, 8});
  for (std::int64_t i = 0; i < 40; ++i) {
    double squares = 0;
    for (std::int64_t c = 0; c < 8; ++c) squares += std::pow(static_cast<double>(given.rows[0](i, c)), 2);
    CHECK(squares == doctest::Approx(1).epsilon(1e-5));
  }
  pipeline::EmbedOptions embed;
  embed.cell_embeddings = given.rows[0];
  CHECK(test::same_bits(of(slices, FeatureKind::stofm, &model, CellInput::pca).rows[0],
                        pipeline::embed_slice(slices[0], model, embed).embeddings));
  CHECK(refusal_code([&] { of(slices, FeatureKind::stofm); }) == "STOFM-4757");
  CHECK(of(slices, FeatureKind::stofm, &model).own_columns == 0);  // 8 of 8: no halves
  const auto wide = test::tiny_model({.width = 16});
  CHECK(of(slices, FeatureKind::stofm, &wide).own_columns == 8);
}

TEST_CASE("slice features: the same bits at any thread count") {
  const std::vector<io::Slice> slices{test::slice_at(test::scattered(700)),
                                      test::slice_at(test::scattered(300), 30, 8)};
  const int before = thread_count();
  for (const FeatureKind kind :
       {FeatureKind::pca, FeatureKind::pca_neighbours, FeatureKind::linear_context}) {
    set_thread_count(1);
    const auto one = of(slices, kind);
    for (const int threads : {2, 5}) {
      set_thread_count(threads);
      const auto many = of(slices, kind);
      for (std::size_t s = 0; s < 2; ++s) CHECK(test::same_bits(one.rows[s], many.rows[s]));
    }
  }
  set_thread_count(before);
}

TEST_CASE("slice features: a matrix that comes with the slices, as it is, or refused with its slice") {
  io::Slice a = test::make_slice({{{0, 1.0}}, {{1, 2.0}}, {{1, 1.0}}}, {{0, 0}, {1, 0}, {0, 1}}, 4), b = a;
  a.path = "a";
  b.path = "b";
  const std::vector<io::Slice> slices{a, b};
  SliceFeatureOptions options;
  options.kind = FeatureKind::given;
  options.given_key = "X_mine";
  CHECK(refusal_code([&] { tasks::slice_features(slices, nullptr, options); }) == "STOFM-4763");
  Tensor<float> second = Tensor<float>::from({3, 2}, {7, 8, 9, 10, 11, 12});
  options.read_given = [&second](const io::Slice& slice, const std::string& key) {
    CHECK(key == "X_mine");
    return slice.path == "a" ? Tensor<float>::from({3, 2}, {1, 2, 3, 4, 5, 6}) : second;
  };
  const tasks::SliceFeatures found = tasks::slice_features(slices, nullptr, options);
  REQUIRE(found.rows.size() == 2);
  CHECK(found.rows[0](2, 1) == 6);
  CHECK(found.rows[1](0, 0) == 7);
  CHECK(found.name == "obsm[\"X_mine\"]");
  CHECK(found.own_columns == 0);
  const auto refused = [&](Tensor<float> rows) {
    second = std::move(rows);
    return refusal_code([&] { tasks::slice_features(slices, nullptr, options); });
  };
  CHECK(refused(Tensor<float>::zeros({3, 3})) == "STOFM-4765");  // another width
  CHECK(refused(Tensor<float>::zeros({2, 2})) == "STOFM-4765");  // a cell less
  CHECK(refused(Tensor<float>::zeros({3, 0})) == "STOFM-4765");
  CHECK(refused(Tensor<float>::zeros({6})) == "STOFM-4765");
  CHECK(refused(Tensor<float>::full({3, 2}, std::numeric_limits<float>::quiet_NaN())) == "STOFM-4765");
  CHECK(refused(Tensor<float>::zeros({3, 2})).empty());
}
