// SPDX-License-Identifier: MIT
// The authors' collator, replayed: the draws of golden/se2_training give its inputs and labels.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "stofm/io/safetensors.hpp"
#include "stofm/train/masking.hpp"
#include "tests/support/paths.hpp"

namespace {

using namespace stofm;

/// Sample b of a batch without its padding, as a sub-slice.
pipeline::SubSlice real_part(const io::SafetensorsFile& file, std::int64_t b) {
  const auto types = file.read<std::int64_t>("token_types").select(0, b);
  const auto distances = file.read<float>("true_distances").select(0, b);
  const auto places = file.read<float>("spatial").select(0, b);
  pipeline::SubSlice sub;
  std::int64_t n = 0;
  while (n < types.dim(0) && types(n) != 3) ++n;
  sub.xy = Tensor<double>({n, 2});
  for (std::int64_t i = 0; i < n; ++i) {
    sub.token_types.push_back(static_cast<std::int32_t>(types(i)));
    sub.node_cells.push_back(types(i) == 0 ? i : -1);
    sub.virtual_cells += types(i) == 2;
    for (int axis = 0; axis < 2; ++axis) sub.xy(i, axis) = static_cast<double>(places(i, axis));
  }
  const Tensor<float> dense = distances.slice(0, 0, n).slice(1, 0, n).clone();
  sub.distances = pair_distances_from_dense(dense.view());
  return sub;
}

std::vector<std::int64_t> list(const Tensor<std::int64_t>& t) { return {t.span().begin(), t.span().end()}; }

}  // namespace

TEST_CASE("the draws of the golden case give the collator's inputs, distances and labels") {
  const auto path = test::golden_dir() / "se2_training" / "case.safetensors";
  if (!std::filesystem::exists(path)) {
    MESSAGE("golden/se2_training is absent");
    return;
  }
  const auto file = io::SafetensorsFile::open(path);
  for (std::int64_t b = 0; b < 2; ++b) {
    CAPTURE(b);
    const std::string draw = concat("draw.", b, ".");
    const pipeline::SubSlice sub = real_part(file, b);
    const std::int64_t n = sub.nodes();
    const Tensor<float> features =
        file.read<float>("unmasked_embeddings").select(0, b).slice(0, 0, n).clone();
    const train::MaskingDraws draws{list(file.read<std::int64_t>(draw + "mcm_permutation")),
                                    list(file.read<std::int64_t>(draw + "pdr_permutation")),
                                    file.read<double>(draw + "pdr_noise")};
    const train::TrainingSample sample = train::mask_sub_slice(sub, features, draws);
    REQUIRE(sample.usable());
    CHECK(sample.token_types == sub.token_types);

    const auto inputs = file.read<float>("token_embeddings").select(0, b);
    const auto labels = file.read<float>("labels").select(0, b);
    const std::int64_t width = inputs.dim(1);
    std::vector<bool> labelled(static_cast<std::size_t>(n), false);
    for (std::size_t m = 0; m < sample.mcm_nodes.size(); ++m) {
      const std::int64_t node = sample.mcm_nodes[m];
      labelled[static_cast<std::size_t>(node)] = true;
      for (std::int64_t c = 0; c < width; ++c)
        REQUIRE(sample.mcm_targets(static_cast<std::int64_t>(m), c) == labels(node, c));
    }
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t c = 0; c < width; ++c) {
        REQUIRE(sample.features(i, c) == inputs(i, c));
        if (!labelled[static_cast<std::size_t>(i)]) REQUIRE(labels(i, c) == -100);
      }

    const auto distances = file.read<float>("distances").select(0, b);
    const Tensor<float> ours = to_dense(sample.distances);
    double worst = 0;
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        const double want = static_cast<double>(distances(i, j));
        REQUIRE((ours(i, j) == far_distance) == (distances(i, j) == far_distance));
        worst = (std::max)(worst, std::abs(static_cast<double>(ours(i, j)) - want) / (1 + want));
      }
    CHECK(worst < 1e-6);  // its Euclidean distances are float32

    const auto pairs = file.read<float>("pair_labels").select(0, b);
    auto found = Tensor<float>::full({n, n}, -100.0F);
    for (std::size_t p = 0; p < sample.pair_rows.size(); ++p)
      found(sample.pair_rows[p], sample.pair_columns[p]) = sample.pair_targets[p];
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) REQUIRE(found(i, j) == pairs(i, j));
  }
}
