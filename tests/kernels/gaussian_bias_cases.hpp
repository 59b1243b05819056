// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The distance bias against the CPU's rule in double: emulated and on a device.

#include "stofm/backend/cuda/gaussian_bias.hpp"
#include "stofm/model/distance_bias/distance_bias_training.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace gaussian_bias_cases {

using namespace stofm;
using emulator::Matrix;
using emulator::stage;

struct Network {
  std::int64_t gaussians, heads;
  Matrix<float> w{1, 1}, b{1, 1}, means{1, gaussians}, stds{1, gaussians}, w1{gaussians, gaussians},
      b1{1, gaussians}, w2{heads, gaussians}, b2{1, heads};

  Network(std::int64_t k, std::int64_t h, double narrowest = 0.05) : gaussians(k), heads(h) {
    std::mt19937 bits(static_cast<unsigned>(k * 100 + h));
    const auto fill = [&](Matrix<float>& m, double low, double high) {
      std::uniform_real_distribution<double> numbers(low, high);
      for (std::int64_t i = 0; i < m.rows(); ++i)
        for (std::int64_t j = 0; j < m.columns(); ++j) m.at(i, j) = static_cast<float>(numbers(bits));
    };
    fill(means, 0, 3);
    fill(stds, narrowest, 3);
    fill(w1, -0.3, 0.3);
    fill(b1, -0.1, 0.1);
    fill(w2, -0.3, 0.3);
    fill(b2, -0.1, 0.1);
    if (k > 2) stds.at(0, 1) = -stds.at(0, 1);  // its absolute value counts
    w.at(0, 0) = 1.0625F;
    b.at(0, 0) = -0.0625F;
  }
  std::vector<const Matrix<float>*> all() const { return {&w, &b, &means, &stds, &w1, &b1, &w2, &b2}; }
  template <class T>
  std::vector<autograd::Variable<T>> on(autograd::Tape<T>& tape) const {
    std::vector<autograd::Variable<T>> result;
    std::size_t number = 0;
    for (const auto* m : all()) {
      const bool vector = number == 1 || number == 5 || number == 7;
      Tensor<T> t(vector ? Shape{m->columns()} : Shape{m->rows(), m->columns()});
      std::copy_n(m->data(), t.numel(), t.data());
      result.push_back(tape.input(t));
      ++number;
    }
    return result;
  }
};

/// Its weights as the device sees them.
struct DeviceNetwork {
  std::vector<emulator::Staged<float>> staged;
  backend::GaussianWeights weights;

  explicit DeviceNetwork(const Network& network) {
    std::vector<const float*> p;
    for (const auto* m : network.all()) {
      staged.push_back(stage(*m));
      p.push_back(staged.back().data());
    }
    weights = {network.gaussians, network.heads, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
  }
};

inline backend::CudaStream stream() { return backend::current_stream(emulator::device_under_test); }

template <class T>
model::GaussianVariables<T> variables(const std::vector<autograd::Variable<T>>& v) {
  return {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
}

inline Matrix<float> distances_of(std::int64_t count) {
  Matrix<float> d(1, count);
  std::mt19937 bits(static_cast<unsigned>(count));
  std::uniform_real_distribution<double> numbers(0, 8);
  for (std::int64_t i = 0; i < count; ++i)
    d.at(0, i) = i % 7 == 3 ? 0.0F : i == count - 1 ? 100.0F : static_cast<float>(numbers(bits));
  return d;
}

/// Largest difference over the largest element.
template <class A, class B>
double relative(const A* a, const B* b, std::int64_t count) {
  double size = 1e-30, difference = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    size = std::max(size, std::abs(y));
    difference = x == x ? std::max(difference, std::abs(x - y)) : HUGE_VAL;
  }
  return difference / size;
}

struct Outcome {
  Matrix<float> phi;
  std::vector<Matrix<float>> gradients;
};

inline Outcome run(const Network& network, const Matrix<float>& distances, const Matrix<float>& grad_phi) {
  const std::int64_t count = distances.columns();
  Outcome outcome{Matrix<float>(count, network.heads), {}};
  DeviceNetwork device(network);
  auto device_distances = stage(distances), device_grad_phi = stage(grad_phi),
       device_phi = stage(outcome.phi);
  backend::gaussian_bias_forward(stream(), device.weights, device_distances.data(), count, device_phi.data());
  device_phi.fetch();
  CHECK(outcome.phi.intact());
  for (const auto* m : network.all()) {
    outcome.gradients.emplace_back(m->rows(), m->columns());
    outcome.gradients.back().fill(1.0F);  // added to
  }
  std::vector<emulator::Staged<float>> g;
  for (auto& m : outcome.gradients) g.push_back(stage(m));
  Matrix<unsigned char> workspace(
      1, backend::gaussian_bias_backward_bytes(network.gaussians, network.heads, count));
  auto device_workspace = stage(workspace);
  backend::gaussian_bias_backward(stream(), device.weights, device_distances.data(), count,
                                  device_grad_phi.data(),
                                  {g[0].data(), g[1].data(), g[2].data(), g[3].data(), g[4].data(),
                                   g[5].data(), g[6].data(), g[7].data()},
                                  device_workspace.data());
  device_workspace.fetch();
  CHECK(workspace.intact());
  for (auto& staged : g) staged.fetch();
  for (auto& m : outcome.gradients) {
    CHECK(m.intact());
    for (std::int64_t i = 0; i < m.rows() * m.columns(); ++i) m.data()[i] -= 1.0F;
  }
  return outcome;
}

inline void check(std::int64_t gaussians, std::int64_t heads, std::int64_t count) {
  CAPTURE(gaussians);
  CAPTURE(heads);
  CAPTURE(count);
  const Network network(gaussians, heads);
  const auto distances = distances_of(count);
  const auto grad_phi = Matrix<float>(count, heads).random(5, 0.1);
  const Outcome outcome = run(network, distances, grad_phi);

  autograd::Tape<double> tape;
  const auto leaves = network.on(tape);
  std::vector<double> points(distances.data(), distances.data() + count);
  const auto phi =
      model::gaussian_bias<double>(points, variables(leaves), {model::GaussianRounding::float32});
  Tensor<double> weights(phi.shape());
  std::copy_n(grad_phi.data(), weights.numel(), weights.data());
  tape.backward(autograd::record<double>("weighted_sum", Tensor<double>::from({1}, {0.0}), {phi},
                                         [weights](const Tensor<double>&, autograd::Gradients<double>& into) {
                                           into.add_owned(0, weights.clone());
                                         }));
  // The argument is rounded twice, 2^-24 * 8 / 0.05 of a width, which moves psi by 1e-5 of its peak; sums of
  // up to 128 terms add 128 * 2^-24. The + 1 that gradients start from costs 2^-24 of 1.
  CHECK(relative(outcome.phi.data(), phi.value().data(), count * heads) <= 2e-5);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    CAPTURE(i);
    const auto grad = tape.grad(leaves[i]);
    CHECK(relative(outcome.gradients[i].data(), grad.data(), grad.numel()) <= 1e-4);
  }
}

TEST_CASE("Phi and its gradients are those of the CPU in double") {
  for (const std::int64_t count : {1, 2, 33, 64, 65, 200}) check(8, 4, count);
  check(1, 1, 10);
  check(31, 3, 70);
  check(32, 8, 64);
}

TEST_CASE("the published sizes, and sizes between") {
  check(128, 8, 70);
  check(33, 5, 20);
}

TEST_CASE("the argument is rounded after the product and after the sum") {
  const Network network(16, 2, 1e-3);
  const auto distances = distances_of(500);
  Matrix<float> phi(500, 2);
  DeviceNetwork device(network);
  auto device_distances = stage(distances), device_phi = stage(phi);
  backend::gaussian_bias_forward(stream(), device.weights, device_distances.data(), 500, device_phi.data());
  device_phi.fetch();
  autograd::Tape<float> tape;
  const auto leaves = network.on(tape);
  const auto expected = model::gaussian_bias<float>({distances.data(), distances.data() + 500},
                                                    variables(leaves), {.interpolate = false});
  CHECK(relative(phi.data(), expected.value().data(), 1000) <= 2e-6);
}

TEST_CASE("distance 0 gives 0 and takes no gradient") {
  const Network network(8, 4);
  Matrix<float> zeros(1, 5);
  zeros.fill(0);
  const Outcome outcome = run(network, zeros, Matrix<float>(5, 4).random(1));
  for (std::int64_t i = 0; i < 20; ++i) CHECK(outcome.phi.data()[i] == 0.0F);
  for (const auto& gradient : outcome.gradients)
    for (std::int64_t i = 0; i < gradient.rows() * gradient.columns(); ++i) CHECK(gradient.data()[i] == 0.0F);
  run(network, Matrix<float>(1, 0), Matrix<float>(0, 4));
}

TEST_CASE("the same bits in every run") {
  const Network network(20, 3);
  const auto distances = distances_of(300);
  const auto grad_phi = Matrix<float>(300, 3).random(5);
  const Outcome expected = run(network, distances, grad_phi);
  emulator::for_each_run([&] {
    const Outcome outcome = run(network, distances, grad_phi);
    CHECK(outcome.phi == expected.phi);
    CHECK(outcome.gradients == expected.gradients);
  });
}

TEST_CASE("sizes without a kernel are refused") {
  for (const auto& [gaussians, heads] : {std::pair{129, 8}, {0, 8}, {128, 65}, {128, 0}}) {
    backend::GaussianWeights weights;
    weights.gaussians = gaussians;
    weights.heads = heads;
    CHECK_THROWS_AS(backend::gaussian_bias_forward(stream(), weights, nullptr, 1, nullptr), UsageError);
  }
}

TEST_CASE("listed pairs take their distance's value and give their gradients back") {
  for (const std::int64_t entries : {0, 1, 40, 700}) {
    CAPTURE(entries);
    const std::int64_t heads = 3;
    PairDistances list;
    list.nodes = 1;
    std::mt19937 bits(7);
    for (std::int64_t e = 0; e < entries; ++e) {
      list.columns.push_back(static_cast<std::int32_t>(e));
      list.values.push_back(bits() % 3 == 0 ? 0.0F : static_cast<float>(bits() % 50));
    }
    list.row_offsets = {0, entries};
    const auto distinct = std::make_shared<const model::DistinctDistances>(model::distinct_distances(list));
    const std::int64_t count = distinct->size() + 1;
    std::vector<std::int32_t> distance_of(static_cast<std::size_t>(entries));
    for (std::int32_t d = 0; d + 1 < static_cast<std::int32_t>(count); ++d)
      for (auto i = distinct->offsets[static_cast<std::size_t>(d)];
           i < distinct->offsets[static_cast<std::size_t>(d) + 1]; ++i)
        distance_of[static_cast<std::size_t>(distinct->entries[static_cast<std::size_t>(i)])] = d;
    const auto integers = [](const std::vector<std::int32_t>& from) {
      Matrix<std::int32_t> to(1, static_cast<std::int64_t>(from.size()));
      std::copy(from.begin(), from.end(), to.data());
      return to;
    };
    const auto host_of = integers(distance_of), host_offsets = integers(distinct->offsets),
               host_order = integers(distinct->entries);
    auto device_of = stage(host_of), device_offsets = stage(host_offsets), device_order = stage(host_order);
    const backend::DistanceEntries device{count, entries, device_of.data(), device_offsets.data(),
                                          device_order.data()};
    const auto phi = Matrix<float>(count, heads).random(3);
    Matrix<float> values(heads, entries), background(1, heads);
    auto device_phi = stage(phi), device_values = stage(values), device_background = stage(background);
    backend::distance_bias_values(stream(), device, heads, device_phi.data(), device_values.data(),
                                  device_background.data());
    device_values.fetch();
    device_background.fetch();
    CHECK(values.intact());
    for (std::int64_t h = 0; h < heads; ++h) {
      CHECK(background.at(0, h) == phi.at(count - 1, h));
      for (std::int64_t e = 0; e < entries; ++e)
        CHECK(values.at(h, e) == phi.at(distance_of[static_cast<std::size_t>(e)], h) - phi.at(count - 1, h));
    }

    const auto grad_values = Matrix<float>(heads, entries).random(4);
    const auto grad_background = Matrix<float>(1, heads).random(6);
    auto device_grad_values = stage(grad_values), device_grad_background = stage(grad_background);
    for (const float* own : {grad_background.data(), static_cast<const float*>(nullptr)}) {
      Matrix<float> grad_phi(count, heads);
      Matrix<double> workspace(1, backend::distance_bias_gradient_bytes(heads, count) / 8);
      auto device_grad_phi = stage(grad_phi);
      auto device_workspace = stage(workspace);
      backend::distance_bias_gradient(stream(), device, heads, device_grad_values.data(),
                                      own != nullptr ? device_grad_background.data() : nullptr,
                                      device_grad_phi.data(), device_workspace.data());
      device_grad_phi.fetch();
      device_workspace.fetch();
      CHECK(grad_phi.intact());
      CHECK(workspace.intact());
      Matrix<double> expected(count, heads);
      expected.fill(0);
      for (std::int64_t h = 0; h < heads; ++h) {
        if (own != nullptr) expected.at(count - 1, h) = static_cast<double>(own[h]);
        for (std::int64_t e = 0; e < entries; ++e) {
          const auto grad = static_cast<double>(grad_values.at(h, e));
          expected.at(distance_of[static_cast<std::size_t>(e)], h) += grad;
          expected.at(count - 1, h) -= grad;
        }
      }
      CHECK(relative(grad_phi.data(), expected.data(), count * heads) <= 1e-6);
    }
  }
}

}  // namespace gaussian_bias_cases
