// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <chrono>

#include "stofm/core/random.hpp"
#include "stofm/model/distance_bias/distance_bias.hpp"
#include "tests/model/golden_model.hpp"

using namespace stofm;

TEST_CASE("the table of every golden checkpoint stays within 1e-6 of the range") {
  for (const std::string name : {"se2_small", "se2_prenorm", "se2_published"}) {
    const auto golden = test::GoldenModel::load(name);
    if (!golden) {
      MESSAGE(name, " is not there: skipped");
      continue;
    }
    const auto weights = golden->weights<float>("se2/");
    const model::DistanceBias<float> bias(weights);
    REQUIRE(bias.table() != nullptr);
    const auto heads = static_cast<std::size_t>(bias.heads());
    Random random(1);
    std::vector<float> d;
    for (int i = 0; i < 100'000; ++i)
      d.push_back(static_cast<float>(i % 4 == 0 ? 100 * random.uniform() : 10 * random.uniform()));
    std::vector<float> table(d.size() * heads), exact(table.size());
    bias.evaluate(d, table.data());
    bias.evaluate_exact(d, exact.data());
    double worst = 0;
    for (std::size_t i = 0; i < table.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(table[i]) - static_cast<double>(exact[i])));
    MESSAGE(name, ": ", bias.table()->intervals(), " intervals, ", bias.table()->kinks(), " kinks, error ",
            worst / bias.table()->range(), " of the range");
    CHECK(worst <= 1e-6 * bias.table()->range());
  }
}
