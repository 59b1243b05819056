// SPDX-License-Identifier: MIT
#include "stofm/model/distance_bias/distance_bias_training.hpp"

#include <doctest/doctest.h>

#include "stofm/autograd/rules/views.hpp"
#include "stofm/model/distance_bias/distance_bias.hpp"
#include "stofm/ops/cast.hpp"
#include "tests/model/random_model.hpp"
#include "tests/support/gradcheck.hpp"
#include "tests/support/kernel_levels.hpp"

using namespace stofm;
using namespace stofm::model;

namespace {

/// gaussian.* with `gaussians` units and `heads` heads; the first width is `narrowest`.
NamedTensors<double> network(std::int64_t gaussians, std::int64_t heads, double narrowest,
                             std::uint64_t seed = 3) {
  Random random(seed);
  const auto normal = [&](const Shape& shape, double spread) {
    Tensor<double> tensor(shape);
    for (double& value : tensor.span())
      value = static_cast<double>(static_cast<float>(spread * random.normal()));
    return tensor;
  };
  const auto uniform = [&](double low, double high) {
    Tensor<double> tensor(Shape{1, gaussians});
    for (double& value : tensor.span())
      value = static_cast<double>(static_cast<float>(low + (high - low) * random.uniform()));
    return tensor;
  };
  NamedTensors<double> weights;
  weights.emplace("gaussian.linear.weight", Tensor<double>::full({1, 1}, 0.375));
  weights.emplace("gaussian.linear.bias", Tensor<double>::full({1}, 0.0625));
  weights.emplace("gaussian.means.weight", uniform(0, 3));
  weights.emplace("gaussian.stds.weight", uniform(0.3, 2.5));
  weights.at("gaussian.stds.weight").data()[0] = narrowest;
  weights.at("gaussian.stds.weight").data()[gaussians - 1] *= -1;
  weights.emplace("gaussian.proj.0.weight", normal({gaussians, gaussians}, 1.0));
  weights.emplace("gaussian.proj.0.bias", normal({gaussians}, 0.3));
  weights.emplace("gaussian.proj.2.weight", normal({heads, gaussians}, 0.5));
  weights.emplace("gaussian.proj.2.bias", normal({heads}, 0.3));
  return weights;
}

std::vector<double> distances_up_to(double most, std::int64_t count, std::uint64_t seed = 5) {
  Random random(seed);
  std::vector<double> result;
  for (std::int64_t i = 0; i < count; ++i)
    result.push_back(static_cast<double>(static_cast<float>(most * random.uniform())));
  std::sort(result.begin(), result.end());
  return result;
}

template <class T>
std::vector<T> as(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

/// Gradients of <weights, Phi(distances)> by all parameters.
template <class T>
autograd::ParameterSet<T> gradients(const NamedTensors<T>& weights, const std::vector<T>& distances,
                                    const Tensor<T>& grad_phi, Tensor<T>* phi = nullptr) {
  autograd::ParameterSet<T> set(weights);
  autograd::Tape<T> tape;
  const auto y = gaussian_bias<T>(distances, gaussian_variables(tape, set));
  if (phi != nullptr) *phi = y.value();
  tape.backward(y, grad_phi);
  return set;
}

Tensor<double> random_rows(std::int64_t rows, std::int64_t columns) {
  Random random(11);
  Tensor<double> result(Shape{rows, columns});
  for (double& value : result.span()) value = static_cast<double>(static_cast<float>(random.normal()));
  return result;
}

double worst_parameter(const autograd::ParameterSet<float>& got,
                       const autograd::ParameterSet<double>& expected) {
  double worst = 0;
  for (const auto& [name, parameter] : expected.map())
    worst = std::max(worst, test::relative_difference(got.at(name).grad(), parameter->grad()));
  return worst;
}

}  // namespace

TEST_CASE("the Gaussian bias of training is the bias of inference") {
  const auto weights = network(24, 3, 0.01);
  auto distances = distances_up_to(30, 700);
  distances.front() = 0;
  distances.push_back(100);
  autograd::Tape<double> tape;
  autograd::ParameterSet<double> set(weights);
  const auto phi = gaussian_bias<double>(distances, gaussian_variables(tape, set), {.block = 64});
  Tensor<double> expected(phi.shape());
  DistanceBias<double>(weights).evaluate_exact(distances, expected.data());
  CHECK(test::max_difference(phi.value(), expected) < 1e-12);
  for (std::int64_t h = 0; h < 3; ++h) CHECK(phi.value()(0, h) == 0.0);
}

TEST_CASE("C09: the gradient of the Gaussian bias is its central difference") {
  for (const double narrowest : {0.1, 0.01}) {
    CAPTURE(narrowest);
    autograd::ParameterSet<double> set(network(7, 3, narrowest));
    // Points on both flanks of the narrow Gaussian, so that it takes part.
    auto distances = distances_up_to(12, 40);
    const double centre = (set.at("gaussian.means.weight").value().data()[0] - 0.0625) / 0.375;
    for (const double by : {-1.3, -0.4, 0.2, 0.9, 1.7}) distances.push_back(centre + by * narrowest / 0.375);
    distances.push_back(0);
    std::sort(distances.begin(), distances.end());
    const auto found = test::gradcheck_parameters(
        [&](autograd::Tape<double>& tape) {
          return gaussian_bias<double>(distances, gaussian_variables(tape, set), {.block = 8});
        },
        set, {.step = narrowest < 0.1 ? 1e-4 * narrowest : 1e-5});
    MESSAGE("std " << narrowest << ": worst of " << found.worst << " " << found.error);
    CHECK(found.largest() <= (narrowest < 0.1 ? 1e-6 : 1e-7));
  }
}

TEST_CASE("a distance of zero sends no gradient to the network") {
  const auto set = gradients<double>(network(5, 2, 0.5), {0.0, 0.0}, Tensor<double>::full({2, 2}, 1.0));
  for (const auto& [name, parameter] : set.map())
    for (const double g : parameter->grad().span()) CHECK(g == 0.0);
}

TEST_CASE("float gradients of the Gaussian bias follow those of double at every kernel level") {
  for (const std::int64_t heads : {std::int64_t{1}, std::int64_t{5}, std::int64_t{8}, std::int64_t{12}}) {
    const auto weights = network(37, heads, 0.05);
    const auto distances = distances_up_to(25, 1500);
    // a is rounded to float in a float model: give the double one the same arguments through w = 1, b = 0.
    auto exact = weights;
    exact.at("gaussian.linear.weight") = Tensor<double>::full({1, 1}, 1.0);
    exact.at("gaussian.linear.bias") = Tensor<double>::full({1}, 0.0);
    const Tensor<double> grad_phi = random_rows(1500, heads);
    Tensor<double> phi;
    const auto expected = gradients<double>(exact, distances, grad_phi, &phi);
    test::for_each_level([&](CpuKernels level) {
      CAPTURE(to_string(level));
      Tensor<float> got_phi;
      const auto got = gradients<float>(cast_parameters<float>(exact), as<float>(distances),
                                        ops::cast<float>(grad_phi), &got_phi);
      CHECK(test::relative_difference(got_phi, phi) < 2e-6);
      CHECK(worst_parameter(got, expected) < 1e-4);  // the bar of fp32 against fp64 gradients
    });
  }
}

TEST_CASE("polynomials over blocks change bias and gradients by float rounding alone") {
  // Many near points, as in a sub-slice; widths down to 0.003 stay out of the polynomials.
  for (const double narrowest : {0.3, 0.05, 0.003}) {
    CAPTURE(narrowest);
    auto weights = network(64, 8, narrowest);
    weights.at("gaussian.linear.weight") = Tensor<double>::full({1, 1}, 1.0);
    weights.at("gaussian.linear.bias") = Tensor<double>::full({1}, 0.0);
    auto distances = distances_up_to(4, 12000);
    const auto far = distances_up_to(30, 6000, 8);
    distances.insert(distances.end(), far.begin(), far.end());
    std::sort(distances.begin(), distances.end());
    const auto count = static_cast<std::int64_t>(distances.size());
    const Tensor<double> grad_phi = random_rows(count, 8);
    Tensor<double> exact_phi;
    const auto exact = gradients<double>(weights, distances, grad_phi, &exact_phi);
    const auto run = [&](bool interpolate) {
      autograd::ParameterSet<float> set(cast_parameters<float>(weights));
      autograd::Tape<float> tape;
      const auto phi = gaussian_bias<float>(as<float>(distances), gaussian_variables(tape, set),
                                            {.interpolate = interpolate});
      tape.backward(phi, ops::cast<float>(grad_phi));
      return std::pair{test::relative_difference(phi.value(), exact_phi), worst_parameter(set, exact)};
    };
    const auto with = run(true), without = run(false);
    MESSAGE("bias " << with.first << " (without " << without.first << "), gradients " << with.second
                    << " (without " << without.second << ")");
    CHECK(with.first < 2e-6);
    CHECK(with.second < 5e-5);
    CHECK(without.second < 5e-5);
  }
}

TEST_CASE("the same bits of bias and gradients on any number of threads") {
  const int before = thread_count();
  const auto weights = cast_parameters<float>(network(32, 8, 0.02));
  const auto slice = test::random_sub_slice(150, 7, 4, 3, 20);
  std::vector<Tensor<float>> first;
  for (const int threads : {1, 2, 4}) {
    set_thread_count(threads);
    autograd::ParameterSet<float> set(weights);
    autograd::Tape<float> tape;
    const auto bias = train_distance_bias<float>(tape, set, slice.distances);
    tape.backward(bias.values, bias.values.value());
    std::vector<Tensor<float>> all{bias.values.value(), bias.background.value()};
    for (const auto& [name, parameter] : set.map()) all.push_back(parameter->grad().clone());
    if (first.empty()) first = all;
    for (std::size_t i = 0; i < all.size(); ++i)
      CHECK(std::memcmp(all[i].data(), first[i].data(), all[i].span().size_bytes()) == 0);
  }
  set_thread_count(before);
}

TEST_CASE("distinct distances list every entry once, ascending") {
  PairDistances list;
  list.nodes = 3;
  list.row_offsets = {0, 3, 5, 6};
  list.columns = {0, 1, 2, 0, 1, 2};
  list.values = {0.0F, 2.5F, 100.0F, 2.5F, -0.0F, 1e-30F};
  const auto distinct = distinct_distances(list);
  CHECK(distinct.values == std::vector<float>{0.0F, 1e-30F, 2.5F, 100.0F});
  CHECK(distinct.offsets == std::vector<std::int32_t>{0, 2, 3, 5, 6});
  CHECK(distinct.entries == std::vector<std::int32_t>{0, 4, 5, 1, 3, 2});
  list.values[3] = -1.0F;
  try {
    distinct_distances(list);
    FAIL("a negative distance was taken");
  } catch (const DataError& error) {
    CHECK(error.code() == "STOFM-1330");
    CHECK(error.where() == "distance of node 1 to node 0");
  }
}

TEST_CASE("the bias of listed pairs: values, background, and the gradient summed onto distances") {
  const auto weights = network(9, 2, 0.3);
  const auto slice = test::random_sub_slice(24, 3, 4, 8, 6);
  autograd::ParameterSet<double> set(weights);
  autograd::Tape<double> tape;
  const auto bias = train_distance_bias<double>(tape, set, slice.distances);
  const auto expected = DistanceBias<double>(weights).pair_bias(slice.distances);
  CHECK(test::max_difference(bias.values.value(), expected.values) < 1e-12);
  for (std::int64_t h = 0; h < 2; ++h)
    CHECK(std::abs(bias.background.value()(h) - expected.background[static_cast<std::size_t>(h)]) < 1e-12);
  const auto found = test::gradcheck_parameters(
      [&](autograd::Tape<double>& on) {
        const auto part = train_distance_bias<double>(on, set, slice.distances);
        const auto pieces = {autograd::reshape(part.values, {part.values.value().numel()}), part.background};
        return autograd::concatenate<double>(std::vector<autograd::Variable<double>>(pieces), 0);
      },
      set);
  MESSAGE("worst of " << found.worst << " " << found.error);
  CHECK(found.largest() <= 1e-7);
}
