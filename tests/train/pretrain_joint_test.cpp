// SPDX-License-Identifier: MIT
// The joint stage: features of visible cells from an encoder on the tape.
#include <doctest/doctest.h>

#include "tests/train/joint_fixture.hpp"

using namespace stofm;
using namespace stofm::train;
using namespace stofm::test;

TEST_CASE("Joint features are those of the encoder where a cell is visible, and unchanged elsewhere") {
  JointWorld world;
  thaw_joint_parameters(world.parameters);
  autograd::Tape<float> tape;
  const auto encoder = world.encoder();
  const Tensor<float> prepared = world.piece.sample.features;
  std::int64_t masked = 0;
  for (const std::int64_t cells : {0, 5, 1000}) {
    const Tensor<float> joint =
        joint_features(tape, world.piece, encoder, {.cells_with_gradient = cells}).value();
    REQUIRE(joint.shape() == prepared.shape());
    for (std::int64_t node = 0; node < joint.dim(0); ++node)
      for (std::int64_t c = 0; c < feature_width; ++c) {
        if (prepared(node, c) == masked_feature) ++masked;
        // The encoder runs on other batches than when the slice was prepared: float32 sums of 12 terms of
        // size 1.
        CHECK(std::abs(joint(node, c) - prepared(node, c)) <= 2e-6F * std::abs(prepared(node, c)) + 1e-6F);
      }
  }
  CHECK(masked == 3 * 3 * feature_width);  // int(0.12 * 32) cells
}

TEST_CASE("The encoder learns from the drawn cells, and not while it is frozen") {
  JointWorld world;
  const double frozen = world.loss(1000);
  CHECK(world.encoder_gradient_norm() == 0);
  thaw_joint_parameters(world.parameters);
  CHECK(world.loss(0) == doctest::Approx(frozen).epsilon(1e-5));
  CHECK(world.encoder_gradient_norm() == 0);
  CHECK(world.loss(4) == doctest::Approx(frozen).epsilon(1e-5));
  const double four = world.encoder_gradient_norm();
  CHECK(four > 0);
  (void)world.loss(1000);
  CHECK(world.encoder_gradient_norm() != four);
  thaw_joint_parameters(world.parameters, false);
  (void)world.loss(1000);
  CHECK(world.encoder_gradient_norm() == 0);
}

TEST_CASE("Gradients of the encoder in the joint stage are those of the loss") {
  JointWorld world;
  thaw_joint_parameters(world.parameters);
  (void)world.loss(1000);
  // Along the gradient itself: the loss must fall by step * |gradient|^2. In float32 the loss (about 20) has
  // an error of 2e-6, the step makes a difference of 2e-3, and the second order is below it: 2 %.
  std::map<std::string, Tensor<float>> gradient;
  double squares = 0;
  for (auto* p : world.parameters.list())
    if (p->name().starts_with("cell_encoder/")) {
      gradient.emplace(p->name(), p->grad().clone());
      for (const float g : p->grad().span()) squares += static_cast<double>(g) * static_cast<double>(g);
    }
  REQUIRE(squares > 0);
  const double step = 1e-3 / std::sqrt(squares);
  const auto at = [&](double amount) {
    for (auto& [name, g] : gradient) {
      float* value = world.parameters.at(name).changing().data();
      for (std::int64_t i = 0; i < g.numel(); ++i) value[i] += static_cast<float>(amount) * g.data()[i];
    }
    return world.loss(1000);
  };
  const double up = at(step), down = at(-2 * step);
  CHECK((up - down) / (2 * step) == doctest::Approx(squares).epsilon(0.02));
}

TEST_CASE(
    "A visit of the joint stage draws the same cells and masks at any thread count, another visit others") {
  JointWorld world;
  thaw_joint_parameters(world.parameters);
  const int threads = thread_count();
  std::vector<std::vector<float>> all;
  for (const int count : {1, 4}) {
    set_thread_count(count);
    (void)world.loss(6, true);
    all.push_back(flat(world.parameters, true));
  }
  set_thread_count(threads);
  CHECK(all[0] == all[1]);
  world.piece.ref.epoch = 1;
  (void)world.loss(6, true);
  CHECK(flat(world.parameters, true) != all[0]);
}
