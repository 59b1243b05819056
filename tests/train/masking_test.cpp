// SPDX-License-Identifier: MIT
#include "stofm/train/masking.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
namespace {

using namespace stofm;
using train::SampleState;

struct Piece {
  pipeline::SubSlice sub;
  Tensor<float> features;
};

/// `cells` cells over a rectangle with two virtual cells; every `twin` cells share one place.
Piece piece_of(std::int64_t cells, std::int64_t twin = 1, std::int64_t width = 6) {
  Random random(7, static_cast<std::uint64_t>(cells));
  Tensor<double> xy({cells, 2});
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < cells; ++i) {
    all.push_back(i);
    for (int axis = 0; axis < 2; ++axis)
      xy(i, axis) = i % twin != 0 ? xy(i - 1, axis) : 60 * random.uniform() - 30;
  }
  const auto virtual_xy = Tensor<double>::from({2, 2}, {1.0, 2.0, -3.0, 4.0});
  Piece piece{pipeline::build_sub_slice(all, std::as_const(xy).view(), virtual_xy.view()), {}};
  piece.features = Tensor<float>({piece.sub.nodes(), width});
  for (float& v : piece.features.span()) v = static_cast<float>(random.normal());
  return piece;
}

/// SPEC section 6 with dense matrices.
Tensor<float> dense_moved(const Piece& piece, const train::MaskingDraws& draws, std::int64_t moved) {
  const pipeline::SubSlice& sub = piece.sub;
  const std::int64_t n = sub.nodes(), first = sub.first_cell(), cells = n - first;
  double low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9};
  for (std::int64_t i = first; i < n; ++i)
    for (int axis = 0; axis < 2; ++axis) {
      low[axis] = std::min(low[axis], sub.xy(i, axis));
      high[axis] = std::max(high[axis], sub.xy(i, axis));
    }
  const double sigma = 5 * std::sqrt((high[0] - low[0]) * (high[1] - low[1]) / static_cast<double>(cells));
  Tensor<double> xy = sub.xy.clone();
  std::set<std::int64_t> nodes;
  for (std::int64_t i = 0; i < moved; ++i) {
    const std::int64_t node = first + draws.pdr_permutation[static_cast<std::size_t>(i)];
    nodes.insert(node);
    for (int axis = 0; axis < 2; ++axis) xy(node, axis) += sigma * draws.pdr_noise(i, axis);
  }
  Tensor<float> dense = to_dense(sub.distances);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      if (!nodes.contains(i) && !nodes.contains(j)) continue;
      const double dx = xy(i, 0) - xy(j, 0), dy = xy(i, 1) - xy(j, 1);
      dense(i, j) = i == 0 || j == 0 || i == j ? 0.0F : static_cast<float>(std::sqrt(dx * dx + dy * dy));
    }
  return dense;
}

}  // namespace

TEST_CASE("moved rows and columns become full, everything else stays as listed") {
  for (const std::int64_t cells : {9, 40, 333}) {
    CAPTURE(cells);
    const Piece piece = piece_of(cells);
    const auto draws = train::draw_masks(cells, {.seed = 3, .stream = 1, .step = 5});
    const auto sample = train::mask_sub_slice(piece.sub, piece.features, draws);
    REQUIRE(sample.usable());
    const auto counts = train::masking_counts(cells);
    const Tensor<float> got = to_dense(sample.distances), want = dense_moved(piece, draws, counts.moved);
    CHECK(std::equal(got.span().begin(), got.span().end(), want.span().begin()));
    CHECK(sample.distances.row_offsets.back() == sample.distances.entries());
    for (std::int64_t i = 0; i < sample.nodes(); ++i) {
      const auto begin =
          sample.distances.columns.begin() + sample.distances.row_offsets[static_cast<std::size_t>(i)];
      const auto end =
          sample.distances.columns.begin() + sample.distances.row_offsets[static_cast<std::size_t>(i) + 1];
      CHECK(std::adjacent_find(begin, end, [](auto a, auto b) { return a >= b; }) == end);
    }
    CHECK(sample.bytes() > 4 * sample.features.numel());
  }
}

TEST_CASE("masked cells are hidden, kept ones are visible, both are predicted") {
  const Piece piece = piece_of(100);
  const auto draws = train::draw_masks(100, {.seed = 1});
  const auto sample = train::mask_sub_slice(piece.sub, piece.features, draws);
  REQUIRE(sample.mcm_nodes.size() == 15);
  for (std::size_t i = 0; i < 15; ++i) {
    const std::int64_t node = sample.mcm_nodes[i];
    CHECK(node == piece.sub.first_cell() + draws.mcm_permutation[i]);
    for (std::int64_t c = 0; c < 6; ++c) {
      CHECK(sample.mcm_targets(static_cast<std::int64_t>(i), c) == piece.features(node, c));
      CHECK(sample.features(node, c) == (i < 12 ? -100.0F : piece.features(node, c)));
    }
  }
  std::int64_t hidden = 0;
  for (std::int64_t i = 0; i < sample.nodes(); ++i) hidden += sample.features(i, 0) == -100.0F;
  CHECK(hidden == 12);
}

TEST_CASE(
    "labelled pairs are listed pairs of two cells with a chosen one, in both orders, with true distances") {
  const Piece piece = piece_of(120);
  const auto draws = train::draw_masks(120, {.seed = 11});
  const auto sample = train::mask_sub_slice(piece.sub, piece.features, draws);
  const Tensor<float> truth = to_dense(piece.sub.distances);
  std::set<std::int64_t> chosen;
  for (std::size_t i = 0; i < 14 + 3; ++i) chosen.insert(piece.sub.first_cell() + draws.pdr_permutation[i]);
  std::set<std::pair<std::int64_t, std::int64_t>> pairs;
  for (std::size_t p = 0; p < sample.pair_rows.size(); ++p) {
    pairs.insert({sample.pair_rows[p], sample.pair_columns[p]});
    CHECK(sample.pair_targets[p] == truth(sample.pair_rows[p], sample.pair_columns[p]));
  }
  CHECK(pairs.size() == sample.pair_rows.size());
  std::size_t expected = 0;
  const std::int64_t n = piece.sub.nodes(), first = piece.sub.first_cell();
  for (std::int64_t i = first; i < n; ++i)
    for (std::int64_t j = first; j < n; ++j) {
      const bool labelled =
          i != j && (chosen.contains(i) || chosen.contains(j)) && truth(i, j) != far_distance;
      expected += labelled;
      CHECK(pairs.contains({i, j}) == labelled);
    }
  CHECK(pairs.size() == expected);
}

TEST_CASE("draws are a function of their key, and fair") {
  const RandomKey key{.seed = 5, .stream = 2, .step = 9};
  const auto a = train::draw_masks(50, key), b = train::draw_masks(50, key);
  CHECK(a.mcm_permutation == b.mcm_permutation);
  CHECK(a.pdr_permutation == b.pdr_permutation);
  CHECK(std::equal(a.pdr_noise.span().begin(), a.pdr_noise.span().end(), b.pdr_noise.span().begin()));
  CHECK(a.mcm_permutation != a.pdr_permutation);
  for (const RandomKey other :
       {RandomKey{.seed = 6, .stream = 2, .step = 9}, RandomKey{.seed = 5, .stream = 3, .step = 9},
        RandomKey{.seed = 5, .stream = 2, .step = 10}})
    CHECK(train::draw_masks(50, other).mcm_permutation != a.mcm_permutation);
  // Each of 10 cells leads in about 400 of 4,000 draws (standard deviation 19), noise is standard normal.
  std::vector<int> first(10, 0);
  double sum = 0, squares = 0;
  for (std::uint64_t step = 0; step < 4000; ++step) {
    const auto draws = train::draw_masks(10, {.seed = 1, .step = step});
    ++first[static_cast<std::size_t>(draws.mcm_permutation[0])];
    for (const double v : draws.pdr_noise.span()) {
      sum += v;
      squares += v * v;
    }
  }
  for (const int count : first) CHECK(std::abs(count - 400) < 95);
  CHECK(std::abs(sum / 8000) < 0.06);
  CHECK(std::abs(squares / 8000 - 1) < 0.08);
}

TEST_CASE("D37: a piece with too few cells to mask is skipped and counted, without NaN") {
  train::SkippedSamples skipped;
  for (const std::int64_t cells : {1, 2, 8}) {
    const Piece piece = piece_of(cells);
    const auto sample = train::mask_sub_slice(piece.sub, piece.features, train::draw_masks(cells, {}));
    CHECK(sample.state == SampleState::too_few_cells);
    CHECK(sample.mcm_nodes.empty());
    CHECK(sample.pair_rows.empty());
    skipped.add(sample.state);
  }
  const Piece nine = piece_of(9);
  const auto sample = train::mask_sub_slice(nine.sub, nine.features, train::draw_masks(9, {}));
  CHECK(sample.usable());
  skipped.add(sample.state);
  CHECK(skipped.too_few_cells == 3);
  CHECK(skipped.total() == 3);
}

TEST_CASE("D38: a piece whose pairs are all far apart is skipped and counted") {
  const Piece piece = piece_of(30, 30);  // one place: every pair of cells carries 100
  const auto sample = train::mask_sub_slice(piece.sub, piece.features, train::draw_masks(30, {}));
  CHECK(sample.state == SampleState::nothing_labelled);
  train::SkippedSamples skipped;
  skipped.add(sample.state);
  CHECK(skipped.nothing_labelled == 1);

  // Without the second objective, the first one still has its labels.
  const train::MaskingOptions only_cells{.pdr_moved = 0, .pdr_kept = 0};
  const auto masked =
      train::mask_sub_slice(piece.sub, piece.features, train::draw_masks(30, {}, only_cells), only_cells);
  CHECK(masked.usable());
  CHECK(masked.mcm_nodes.size() == 3);
  CHECK(masked.pair_rows.empty());
  CHECK(masked.distances.entries() == piece.sub.distances.entries());
  // Nothing asked for at all: nothing to learn.
  const train::MaskingOptions none{0, 0, 0, 0};
  CHECK(!train::mask_sub_slice(piece.sub, piece.features, train::draw_masks(30, {}, none), none).usable());
}

TEST_CASE("cells on a line do not move") {
  Piece piece = piece_of(20);
  Tensor<double> xy({20, 2});
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < 20; ++i) {
    all.push_back(i);
    xy(i, 0) = static_cast<double>(i);
    xy(i, 1) = 0;
  }
  const auto virtual_xy = Tensor<double>::from({2, 2}, {1.0, 2.0, -3.0, 4.0});
  piece.sub = pipeline::build_sub_slice(all, std::as_const(xy).view(), virtual_xy.view());
  const auto sample = train::mask_sub_slice(piece.sub, piece.features, train::draw_masks(20, {}));
  REQUIRE(sample.usable());
  const Tensor<float> got = to_dense(sample.distances);
  CHECK(got(4, 8) == 4.0F);
  for (const float d : got.span()) CHECK(std::isfinite(d));
}

TEST_CASE("wrong shapes, foreign draws, NaN and odd options are refused") {
  const Piece piece = piece_of(30), other = piece_of(31);
  const auto draws = train::draw_masks(30, {});
  CHECK_THROWS_AS(train::mask_sub_slice(piece.sub, other.features, draws), ShapeError);
  CHECK_THROWS_AS(train::mask_sub_slice(piece.sub, piece.features, train::draw_masks(31, {})), ShapeError);
  auto doubled = draws;
  doubled.pdr_permutation[1] = doubled.pdr_permutation[0];
  CHECK_THROWS_AS(train::mask_sub_slice(piece.sub, piece.features, doubled), ShapeError);
  auto short_noise = draws;
  short_noise.pdr_noise = Tensor<double>({1, 2});
  CHECK_THROWS_AS(train::mask_sub_slice(piece.sub, piece.features, short_noise), ShapeError);
  Tensor<float> bad = piece.features.clone();
  bad(3, 2) = std::nanf("");
  CHECK_THROWS_AS(train::mask_sub_slice(piece.sub, bad, draws), DataError);
  CHECK_THROWS_AS(train::draw_masks(30, {}, {.mcm_masked = 0.9, .mcm_kept = 0.2}), UsageError);
  CHECK_THROWS_AS(train::draw_masks(30, {}, {.pdr_moved = -0.1}), UsageError);
  CHECK_THROWS_AS(train::draw_masks(30, {}, {.sigma_factor = std::nan("")}), UsageError);
  CHECK_THROWS_AS(train::draw_masks(-1, {}), ShapeError);
}
