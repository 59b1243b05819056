// SPDX-License-Identifier: MIT
// What embed_slice can be asked for: permuted cells, libraries, cell embeddings from elsewhere (D31), a plan,
// a memory cap (R11), an interruption; and what it refuses.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "stofm/pipeline/embed.hpp"
#include "tests/pipeline/embed_fixture.hpp"

using namespace stofm;
using namespace stofm::pipeline;
using namespace stofm::test;

namespace {
const Model model_8 = tiny_model();
const Model model_12 = tiny_model({.width = 12});

template <class E>
std::string code_of(const io::Slice& slice, const Model& model, const EmbedOptions& options,
                    const std::string& word) {
  try {
    embed_slice(slice, model, options);
  } catch (const E& e) {
    CHECK_MESSAGE(std::string(e.what()).find(word) != std::string::npos, e.what());
    CHECK_FALSE(e.remedy().empty());
    return e.code();
  }
  return "accepted";
}

/// ||a - b|| / ||a||, Frobenius.
double relative_difference(const Tensor<float>& a, const Tensor<float>& b) {
  double difference = 0, norm = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double x = a.data()[i], y = b.data()[i];
    difference += (x - y) * (x - y);
    norm += x * x;
  }
  return std::sqrt(difference / norm);
}
}  // namespace

TEST_CASE("cells in another order have the same embeddings, where the clusters are beyond doubt") {
  // Six islands that no edge of the graph connects: at a low resolution the clusters are the islands, in any
  // order. In general they are not: Leiden walks through the cells in an order that depends on their places
  // in the file.
  Random random(4);
  std::vector<std::pair<double, double>> xy;
  std::vector<CellCounts> counts;
  for (int i = 0; i < 180; ++i) {
    const double x = 300.0 * (i % 6 % 3) + 20 * random.uniform(),
                 y = 280.0 * (i % 6 / 3) + 20 * random.uniform();
    xy.emplace_back(x, y);
    counts.push_back(random_counts(random, x, y, 30));
  }
  std::vector<std::size_t> order(xy.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  std::vector<std::pair<double, double>> moved_xy;
  std::vector<CellCounts> moved_counts;
  for (const std::size_t i : order) {
    moved_xy.push_back(xy[i]);
    moved_counts.push_back(counts[i]);
  }
  const EmbedOptions options{.alpha = 0.99, .resolution = 1e-3, .split = 100};
  const auto a = embed_slice(make_slice(counts, xy, 30), model_8, options);
  const auto b = embed_slice(make_slice(moved_counts, moved_xy, 30), model_8, options);
  REQUIRE(a.virtual_cells() == 6);
  REQUIRE(b.virtual_cells() == 6);
  Tensor<float> back({180, 8});
  for (std::size_t i = 0; i < order.size(); ++i)
    std::copy_n(b.embeddings.data() + static_cast<std::int64_t>(i) * 8, 8,
                back.data() + static_cast<std::int64_t>(order[i]) * 8);
  // Other orders of the float sums over about 100 nodes.
  const double difference = relative_difference(a.embeddings, back);
  CHECK(difference <= 1e-6);
  MESSAGE("relative difference ", difference);
  CHECK_FALSE(same_bits(a.embeddings, b.embeddings));
}

TEST_CASE("libraries are embedded as if each were a slice of its own") {
  const auto left = scattered(70, 100, 70, 1), right = scattered(50, 60, 60, 2);
  std::vector<std::pair<double, double>> both;
  std::vector<std::int32_t> library;
  for (std::size_t i = 0; i < 70; ++i) {  // interleaved
    both.push_back(left[i]);
    library.push_back(0);
    if (i < 50) {
      both.push_back({right[i].first + 1e4, right[i].second});
      library.push_back(2);
    }
  }
  Random random(3);
  std::vector<CellCounts> counts;
  for (const auto& [x, y] : both) counts.push_back(random_counts(random, std::fmod(x, 1e4), y, 30));
  auto slice = make_slice(counts, both, 30);
  slice.library = library;
  slice.library_names = {"left", "empty", "right"};
  const EmbedOptions options{.split = 30};
  for (const Model* model : {&model_8, &model_12}) {
    const auto r = embed_slice(slice, *model, options);
    REQUIRE(r.libraries.size() == 2);
    CHECK(r.libraries[0].cells == 70);
    CHECK(r.libraries[1].cells == 50);
    CHECK(r.libraries[1].first_label == r.libraries[0].virtual_cells);
    CHECK(static_cast<std::int64_t>(r.pieces.size()) == r.plan.pieces);
    for (const std::int32_t wanted : {0, 2}) {
      std::vector<std::pair<double, double>> xy;
      std::vector<CellCounts> cells;
      std::vector<std::int64_t> rows;
      for (std::size_t i = 0; i < both.size(); ++i)
        if (library[i] == wanted) {
          xy.push_back(both[i]);
          cells.push_back(counts[i]);
          rows.push_back(static_cast<std::int64_t>(i));
        }
      const auto alone = embed_slice(make_slice(cells, xy, 30), *model, options);
      const Tensor<float> together = pipeline::detail::gather_rows(r.embeddings, rows);
      // On the generic level products are Eigen's, which round a row by how many rows lie beside it: some
      // hundred roundings of 6e-8 on values near 1. Our own kernels do not.
      if (cpu_kernels() == CpuKernels::generic) {
        float largest = 0;
        for (std::int64_t k = 0; k < together.numel(); ++k)
          largest = (std::max)(largest, std::abs(together.data()[k] - alone.embeddings.data()[k]));
        CHECK(largest <= 1e-5F);
      } else {
        CHECK(same_bits(alone.embeddings, together));
      }
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto cell = static_cast<std::size_t>(rows[i]);
        const auto& info = r.libraries[wanted == 0 ? 0 : 1];
        REQUIRE(r.macro_labels[cell] - info.first_label == alone.macro_labels[i]);
        REQUIRE(r.pieces[static_cast<std::size_t>(r.piece_of_cell[cell])].library == (wanted == 0 ? 0 : 1));
      }
    }
  }
  slice.library.pop_back();
  CHECK(code_of<ShapeError>(slice, model_8, options, "library") == "STOFM-4338");
}

TEST_CASE("given cell embeddings take the place of counts and are left as they are; row D31") {
  const auto slice = slice_at(scattered(90));
  const EmbedOptions options{.split = 40};
  for (const Model* model : {&model_8, &model_12}) {
    const auto cells = embed_slice(slice, *model, {.target = EmbedTarget::cells_only}).embeddings;
    const auto kept = cells.clone();
    auto given = slice;
    given.read_counts = nullptr;
    auto with = options;
    with.cell_embeddings = cells;
    const auto r = embed_slice(given, *model, with);
    CHECK(same_bits(r.embeddings, embed_slice(slice, *model, options).embeddings));
    CHECK(same_bits(cells, kept));
  }
  auto with = options;
  with.cell_embeddings_source = "e.npy";
  with.cell_embeddings = Tensor<float>::zeros({89, 8});
  CHECK(code_of<DataError>(slice, model_8, with, "[89, 8]") == "STOFM-4331");
  with.cell_embeddings = Tensor<float>::zeros({90, 7});
  CHECK(code_of<DataError>(slice, model_8, with, "e.npy") == "STOFM-4332");
  with.cell_embeddings = Tensor<float>::zeros({90, 8});
  with.cell_embeddings(31, 2) = std::numeric_limits<float>::quiet_NaN();
  with.cell_embeddings(32, 0) = std::numeric_limits<float>::infinity();
  CHECK(code_of<DataError>(slice, model_8, with, "row 31") == "STOFM-4333");
}

TEST_CASE("a model of one half does what it can and refuses the rest") {
  auto parts = tiny_parts();
  parts.se2_config.reset();
  const Model gene_half = make_model(parts);
  parts = tiny_parts();
  parts.cell_encoder_config.reset();
  parts.gene_table.clear();
  const Model slice_half = make_model(parts);
  const auto slice = slice_at(scattered(30));
  const auto cells = embed_slice(slice, gene_half, {.target = EmbedTarget::cells_only});
  CHECK(cells.embeddings.shape() == Shape{30, 8});
  EmbedOptions with;
  with.cell_embeddings = cells.embeddings;
  CHECK(same_bits(embed_slice(slice, slice_half, with).embeddings, embed_slice(slice, model_8).embeddings));
  CHECK(code_of<UsageError>(slice, gene_half, {}, "SE(2)") == "STOFM-4334");
  CHECK(code_of<UsageError>(slice, slice_half, {}, "cell encoder") == "STOFM-4335");
  with.target = EmbedTarget::cells_only;
  CHECK(code_of<UsageError>(slice, model_8, with, "nothing else") == "STOFM-4337");
  parts = tiny_parts();
  parts.gene_table.clear();
  CHECK(code_of<UsageError>(slice, make_model(parts), {}, "gene table") == "STOFM-4336");
}

TEST_CASE("the plan says what will happen; too little memory is refused before any count is read; row R11") {
  auto slice = slice_at(scattered(200));
  bool read = false;
  const auto counts = slice.read_counts;
  slice.read_counts = [&](std::int64_t begin, std::int64_t end) {
    read = true;
    return counts(begin, end);
  };
  EmbedOptions options{.split = 40};
  const auto plan = plan_embed(slice, model_12, options);
  CHECK_FALSE(read);
  CHECK(plan.cells == 200);
  CHECK(plan.width == 12);
  CHECK(plan.coverage.matched == 30);
  CHECK(plan.estimated_bytes > 200 * 20 * 4);
  CHECK(plan.estimated_bytes < plan.allowed_bytes);
  options.max_memory = plan.estimated_bytes - 1;
  CHECK(code_of<ResourceError>(slice, model_12, options, "EmbedOptions::max_memory") == "STOFM-4342");
  CHECK_FALSE(read);
  options.max_memory = plan.estimated_bytes;
  CHECK(static_cast<std::int64_t>(embed_slice(slice, model_12, options).pieces.size()) == plan.pieces);
  CHECK(read);
}

TEST_CASE("progress goes from 0 to the total of each stage and can stop the work") {
  const auto slice = slice_at(scattered(300));
  std::vector<std::string> ended;
  std::int64_t last = 0, backwards = 0;
  const Progress progress([&](const ProgressEvent& e) {
    backwards += e.done < last && e.done != 0;
    last = e.done;
    if (e.done == e.total) ended.emplace_back(e.stage);
  });
  embed_slice(slice, model_8, {.split = 40}, progress);
  CHECK(backwards == 0);
  CHECK(ended == std::vector<std::string>{"cells", "virtual cells", "pieces"});
  for (const char* stage : {"cells", "virtual cells", "pieces"}) {
    std::atomic<bool> stop{false};
    const Progress stopping([&](const ProgressEvent& e) { stop = stop || e.stage == stage; }, &stop);
    CHECK_THROWS_AS(embed_slice(slice, model_8, {.split = 40}, stopping), Interrupted);
  }
  CHECK(embed_slice(slice, model_8, {.split = 40}).embeddings.dim(0) == 300);  // nothing is left behind
}

TEST_CASE("options out of range and a reader that returns other rows are refused") {
  const auto slice = slice_at(scattered(30));
  CHECK(code_of<UsageError>(slice, model_8, {.alpha = 1.5}, "alpha") == "STOFM-4302");
  CHECK(code_of<UsageError>(slice, model_8, {.resolution = 0}, "resolution") == "STOFM-4303");
  CHECK(code_of<UsageError>(slice, model_8, {.split = 0}, "split") == "STOFM-4304");
  CHECK(code_of<UsageError>(slice, model_8, {.clusters = -1}, "clusters") == "STOFM-4305");
  for (const std::int64_t passes : {0, -2})
    CHECK(code_of<UsageError>(slice, model_8, {.leiden_passes = passes}, "leiden_passes") == "STOFM-4307");
  CHECK(code_of<UsageError>(slice, model_8, {.max_tokens = -1}, "max_tokens") == "STOFM-4301");
  auto wrong = slice;
  wrong.read_counts = [&](std::int64_t begin, std::int64_t end) { return slice.read_counts(begin, end - 1); };
  CHECK(code_of<DataError>(wrong, model_8, {}, "reader") == "STOFM-4320");
  wrong.read_counts = nullptr;
  CHECK(code_of<UsageError>(wrong, model_8, {}, "empty function") == "STOFM-4324");
  auto bad = slice_at(scattered(30));
  bad.coordinates(3, 1) = std::numeric_limits<double>::quiet_NaN();
  CHECK(code_of<DataError>(bad, model_8, {}, "s.h5ad") == "STOFM-4202");
}
