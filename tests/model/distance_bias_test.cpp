// SPDX-License-Identifier: MIT
#include "stofm/model/distance_bias/distance_bias.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "tests/model/random_model.hpp"

namespace {

using namespace stofm;
using model::DistanceBias;
using model::NamedTensors;

model::Se2Config config_of(std::int64_t gaussians, std::int64_t heads) {
  model::Se2Config config;
  config.input_dim = 4;
  config.embedding_dim = 8 * heads;
  config.ffn_embedding_dim = 4;
  config.num_attention_heads = heads;
  config.num_hidden_layers = 1;
  config.gaussian_hidden_dim = gaussians;
  return config;
}

/// Phi(d) as the formula says, in double behind the rounding of w d + b.
std::vector<double> phi(const NamedTensors<float>& weights, float d) {
  const auto at = [&](const std::string& name) { return weights.at("gaussian." + name).span(); };
  const volatile float product = at("linear.weight")[0] * d;  // volatile: rounded before the sum
  const double a = static_cast<double>(product + at("linear.bias")[0]);
  const auto mean = at("means.weight"), sigma = at("stds.weight"), w1 = at("proj.0.weight"),
             b1 = at("proj.0.bias"), w2 = at("proj.2.weight"), b2 = at("proj.2.bias");
  std::vector<double> hidden, out;
  for (std::size_t j = 0; j < b1.size(); ++j) {
    double z = static_cast<double>(b1[j]);
    for (std::size_t k = 0; k < mean.size(); ++k) {
      const double s = static_cast<double>(std::abs(sigma[k]) + 1e-5F),
                   x = (a - static_cast<double>(mean[k])) / s;
      z += static_cast<double>(w1[j * mean.size() + k]) * std::exp(-x * x / 2) /
           (std::sqrt(2 * std::numbers::pi) * s);
    }
    hidden.push_back(std::max(z, 0.0));
  }
  for (std::size_t h = 0; h < b2.size(); ++h) {
    double sum = static_cast<double>(b2[h]);
    for (std::size_t j = 0; j < hidden.size(); ++j)
      sum += static_cast<double>(w2[h * hidden.size() + j]) * hidden[j];
    out.push_back(d == 0 ? 0.0 : sum);
  }
  return out;
}

}  // namespace

TEST_CASE("exact values are the formula's, Phi(0) is 0") {
  const auto weights = test::random_parameters(config_of(16, 3), 1);
  const DistanceBias<float> bias(weights, {.use_table = false});
  CHECK(bias.table() == nullptr);
  for (const float d : {0.0F, 0.01F, 1.0F, 7.3F, 42.0F, 99.999F, 100.0F}) {
    const std::vector<float> at{d};
    std::vector<float> values(3);
    bias.evaluate_exact(at, values.data());
    const auto expected = phi(weights, d);
    for (std::size_t h = 0; h < 3; ++h)
      CHECK(values[h] == doctest::Approx(expected[h]).epsilon(1e-6).scale(1));
  }
}

TEST_CASE("the table stays within 1e-6 of the range over a sweep of a million distances") {
  for (const auto& [gaussians, heads, seed] : {std::tuple{16, 4, 2}, {12, 9, 3}, {1, 1, 4}}) {
    const auto weights =
        test::random_parameters(config_of(gaussians, heads), static_cast<std::uint64_t>(seed));
    const DistanceBias<float> bias(weights);
    REQUIRE(bias.table() != nullptr);
    constexpr std::int64_t count = 1'000'000, piece = 50'000;
    Random random(5);
    double worst = 0;
    std::vector<float> d(piece), table(static_cast<std::size_t>(piece * heads)), exact(table.size());
    for (std::int64_t done = 0; done < count; done += piece) {
      for (std::int64_t i = 0; i < piece; ++i) {  // an even sweep of [0, 100], and random places near 0
        const double even = 100.0 * static_cast<double>(done + i) / count, u = random.uniform();
        d[static_cast<std::size_t>(i)] = static_cast<float>(i % 2 == 0 ? even : 12 * u * u);
      }
      bias.evaluate(d, table.data());
      bias.evaluate_exact(d, exact.data());
      for (std::size_t i = 0; i < table.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(table[i]) - static_cast<double>(exact[i])));
    }
    MESSAGE(gaussians, " Gaussians: ", bias.table()->intervals(), " intervals, ", bias.table()->kinks(),
            " kinks, error ", worst / bias.table()->range(), " of the range");
    CHECK(worst <= 1e-6 * bias.table()->range());
  }
}

TEST_CASE("Gaussians as narrow as 1e-5 are resolved or computed exactly") {
  auto weights = test::random_parameters(config_of(8, 2), 6);
  for (std::int64_t k = 0; k < 8; ++k)
    weights.at("gaussian.stds.weight").data()[k] = k % 2 == 0 ? 0.0F : 1e-4F;
  const DistanceBias<float> bias(weights);
  double range = 0, worst = 0;
  for (std::int64_t k = 0; k < 8; ++k) {
    const float centre =
        (weights.at("gaussian.means.weight").data()[k] - weights.at("gaussian.linear.bias").data()[0]) /
        weights.at("gaussian.linear.weight").data()[0];
    for (int i = -200; i <= 200; ++i) {
      const std::vector<float> d{std::max(centre + 3e-6F * static_cast<float>(i), 0.001F)};
      std::vector<float> mine(2), exact(2);
      bias.evaluate(d, mine.data());
      bias.evaluate_exact(d, exact.data());
      for (std::size_t h = 0; h < 2; ++h) {
        worst = std::max(worst, std::abs(static_cast<double>(mine[h] - exact[h])));
        range = std::max(range, std::abs(static_cast<double>(exact[h])));
      }
    }
  }
  CHECK(range > 100.0);  // the peaks were met
  CHECK(worst <= 1e-6 * range);
}

TEST_CASE("a table that can not be made falls back to the network") {
  const auto weights = test::random_parameters(config_of(16, 4), 7);
  model::DistanceBiasOptions options;
  options.table.max_intervals = 10;
  const DistanceBias<float> refused(weights, options), tabulated(weights);
  CHECK(refused.table() == nullptr);
  auto flat = weights;
  flat.at("gaussian.linear.weight") = Tensor<float>::zeros({1, 1});  // every distance has the same argument
  const DistanceBias<float> constant(flat);
  const auto slice = test::random_sub_slice(40, 4, 4, 8, 10);
  const auto a = refused.pair_bias(slice.distances), b = tabulated.pair_bias(slice.distances);
  CHECK(test::max_difference(a.values, b.values) <= 2e-6 * tabulated.table()->range());
  const auto same = constant.pair_bias(slice.distances);
  for (std::int64_t e = 0; e < slice.distances.entries(); ++e) {
    const float expected =
        slice.distances.values[static_cast<std::size_t>(e)] == 0.0F ? -same.background[0] : 0.0F;
    CHECK(same.values(0, e) == expected);
  }
}

TEST_CASE("a table whose check fails is not used") {
  const auto weights = test::random_parameters(config_of(16, 4), 7);
  model::DistanceBiasOptions options;
  options.table.accepted = 0;  // no table of polynomials is exact
  const DistanceBias<float> refused(weights, options);
  CHECK(refused.table() == nullptr);
  const std::vector<float> distances{0.5F, 3.25F, 99.0F};
  std::vector<float> used(3 * 4), exact(3 * 4);
  refused.evaluate(distances, used.data());
  refused.evaluate_exact(distances, exact.data());
  CHECK(used == exact);
}

TEST_CASE("the sparse bias is Phi(d) - Phi(far) at the listed pairs") {
  const auto weights = test::random_parameters(config_of(16, 4), 9);
  const DistanceBias<float> bias(weights);
  PairDistances distances;
  distances.nodes = 2;
  distances.row_offsets = {0, 2, 5};
  distances.columns = {0, 1, 0, 1, 1};
  distances.columns = {0, 1, 0, 1, 1};
  distances.values = {0.0F, 3.25F, 100.0F, 250.0F, 3.25F};  // far listed; beyond the table
  const auto sparse = bias.pair_bias(distances);
  const auto far = phi(weights, 100.0F);
  for (std::int64_t h = 0; h < 4; ++h) {
    const auto at = static_cast<std::size_t>(h);
    CHECK(sparse.background[at] == doctest::Approx(far[at]).epsilon(1e-6).scale(1));
    CHECK(sparse.values(h, 0) == -sparse.background[at]);
    CHECK(sparse.values(h, 2) == 0.0F);
    CHECK(sparse.values(h, 1) == sparse.values(h, 4));
    for (const auto& [entry, d] : {std::pair{1, 3.25F}, {3, 250.0F}})
      CHECK(sparse.values(h, entry) == doctest::Approx(phi(weights, d)[at] - far[at]).epsilon(2e-6).scale(1));
  }
}

TEST_CASE("double is computed in double, or with the rounding of float if asked to") {
  const auto weights = test::random_parameters(config_of(16, 2), 10);
  const auto wide = model::cast_parameters<double>(weights);
  const DistanceBias<double> own(wide), rounded(wide, {.rounding = model::AffineRounding::float32});
  CHECK(own.table() == nullptr);
  std::vector<double> x(2), y(2);
  double apart = 0;
  for (const float d : {1.1F, 2.3F, 3.7F, 5.9F}) {
    const std::vector<double> at{static_cast<double>(d)};
    own.evaluate(at, x.data());
    rounded.evaluate(at, y.data());
    const auto expected = phi(weights, d);
    for (std::size_t h = 0; h < 2; ++h) {
      CHECK(y[h] == doctest::Approx(expected[h]).epsilon(1e-5).scale(1));
      apart = std::max(apart, std::abs(x[h] - y[h]));
    }
  }
  CHECK(apart > 0.0);
}

TEST_CASE("the affine map rounds twice") {
  Random random(11);
  std::vector<float> d, a(1000);
  for (int i = 0; i < 1000; ++i) d.push_back(static_cast<float>(100 * random.uniform()));
  const float w = 0.37F, b = 0.11F;
  model::affine_arguments<float>(d, w, b, a);
  int fused_differs = 0;
  for (std::size_t i = 0; i < d.size(); ++i) {
    const auto product = static_cast<float>(static_cast<double>(w) * static_cast<double>(d[i]));
    CHECK(a[i] == static_cast<float>(static_cast<double>(product) + static_cast<double>(b)));
    fused_differs += a[i] != std::fma(w, d[i], b);
  }
  CHECK(fused_differs > 0);
}

TEST_CASE("negative and non-finite distances are refused with their place") {
  const DistanceBias<float> bias(test::random_parameters(config_of(4, 2), 12));
  PairDistances distances;
  distances.nodes = 3;
  distances.row_offsets = {0, 0, 2, 2};
  distances.columns = {0, 2};
  distances.values = {1.0F, -1.0F};
  try {
    bias.pair_bias(distances);
    FAIL("accepted");
  } catch (const DataError& error) {
    CHECK(error.code() == "STOFM-1330");
    CHECK(error.where() == "distance of node 1 to node 2");
  }
}
