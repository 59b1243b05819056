// SPDX-License-Identifier: MIT
// AdamW, clipping and schedules. Constants: torch.optim.AdamW and clip_grad_norm_ (torch 2, CPU), ten steps
// with lr 0.01, eps 1e-8, decay 0.1 on the weight and none on the bias, with the gradients of
// `set_gradients`.
#include <doctest/doctest.h>

#include <array>
#include <bit>

#include "stofm/core/random.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/nn/schedule.hpp"
#include "tests/support/kernel_levels.hpp"

using namespace stofm;
using namespace stofm::nn;
using autograd::ParameterSet;

namespace {
constexpr std::array<double, 8> plain{0.5084094706691954,  -1.2432416156130937, 1.9782757356936023,
                                      0.10833693111795802, 2.9936578030743624,  -0.7172075769050086,
                                      0.31596283023020194, -0.17017436586764295};
constexpr std::array<double, 8> clipped{0.5131886360503699,  -1.2443657624823872, 1.9723686549613582,
                                        0.11386428293276492, 2.9964367092885453,  -0.7216791312958507,
                                        0.31627652509970317, -0.1756138281181638};
constexpr std::array<float, 8> plain_float{0.5084095597267151F,  -1.2432419061660767F, 1.9782761335372925F,
                                           0.10833695530891418F, 2.9936580657958984F,  -0.7172077298164368F,
                                           0.3159628212451935F,  -0.17017436027526855F};

template <class T>
void fill(ParameterSet<T>& set) {
  set.add("layer.weight", Tensor<T>::from({2, 3}, {T(0.5), T(-1.25), T(2), T(0.125), T(3), T(-0.75)}));
  set.add("layer.bias", Tensor<T>::from({2}, {T(0.3), T(-0.2)}));
}
template <class T>
void set_gradients(ParameterSet<T>& set, int t) {
  for (int i = 0; i < 6; ++i) set.at("layer.weight").grad().data()[i] = T((t * 7 + i * 3) % 11 - 5) / T(4);
  for (int i = 0; i < 2; ++i) set.at("layer.bias").grad().data()[i] = T((t * 5 + i * 2) % 7 - 3) / T(8);
}
template <class T>
T value(const ParameterSet<T>& set, std::size_t i) {
  return i < 6 ? set.at("layer.weight").value().data()[i] : set.at("layer.bias").value().data()[i - 6];
}
const AdamWOptions options{.learning_rate = 0.01, .weight_decay = 0.1};
}  // namespace

TEST_CASE("ten steps of AdamW in double are those of PyTorch") {
  ParameterSet<double> set;
  fill(set);
  AdamW<double> optimizer(set, options);
  for (int t = 0; t < 10; ++t) {
    set_gradients(set, t);
    optimizer.step();
  }
  CHECK(optimizer.step_count() == 10);
  for (std::size_t i = 0; i < plain.size(); ++i)
    // the weights of the script were float: 0.3 and -0.2 differ from the doubles by up to 2^-26
    CHECK(value(set, i) == doctest::Approx(plain[i]).epsilon(i < 6 ? 1e-13 : 1e-7));
}

TEST_CASE("ten steps of AdamW in float are those of PyTorch on every kernel level") {
  std::vector<std::array<std::uint32_t, 8>> bits;
  test::for_each_level([&](CpuKernels) {
    ParameterSet<float> set;
    fill(set);
    AdamW<float> optimizer(set, options);
    for (int t = 0; t < 10; ++t) {
      set_gradients(set, t);
      optimizer.step();
    }
    std::array<std::uint32_t, 8> now{};
    for (std::size_t i = 0; i < plain.size(); ++i) {
      CHECK(std::abs(value(set, i) - plain_float[i]) <= 1e-6F * std::abs(plain_float[i]));
      now[i] = std::bit_cast<std::uint32_t>(value(set, i));
    }
    bits.push_back(now);
  });
  for (const auto& other : bits) CHECK(other == bits.front());
}

TEST_CASE("clipping in place and clipping within the step are torch's clip_grad_norm_") {
  ParameterSet<double> in_place, within;
  fill(in_place);
  fill(within);
  AdamW<double> first(in_place, options), second(within, options);
  double norm = 0;
  for (int t = 0; t < 10; ++t) {
    set_gradients(in_place, t);
    norm = clip_gradients(in_place, 1.0);
    first.step();
    set_gradients(within, t);
    second.step(0.01, clip_coefficient(global_norm(within), 1.0));
  }
  CHECK(norm == doctest::Approx(2.1213).epsilon(1e-4));
  for (std::size_t i = 0; i < clipped.size(); ++i) {
    CHECK(value(in_place, i) == doctest::Approx(clipped[i]).epsilon(1e-7));
    CHECK(value(within, i) == doctest::Approx(clipped[i]).epsilon(1e-7));
  }
  CHECK(clip_coefficient(std::nan(""), 1.0) == 1.0);
  CHECK(clip_coefficient(0.5, 1.0) == 1.0);  // small gradients stay small
  CHECK(clip_coefficient(0.0, 1.0) == 1.0);
  CHECK(clip_coefficient(4.0, 1.0) == doctest::Approx(0.25).epsilon(1e-6));
  CHECK_THROWS_AS(clip_coefficient(1.0, 0.0), UsageError);
}

TEST_CASE("a large parameter steps and sums to the same bits on any number of threads") {
  const int before = thread_count();
  std::vector<double> norms;
  std::vector<Tensor<float>> results;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    ParameterSet<float> set;
    auto& w = set.add("w", Tensor<float>::zeros({333, 301}));
    AdamW<float> optimizer(set);
    for (int t = 0; t < 3; ++t) {
      Random random(7, static_cast<std::uint64_t>(t));
      for (float& g : w.grad().span()) g = static_cast<float>(random.normal());
      norms.push_back(clip_gradients(set, 0.5));
      optimizer.step(1e-3);
    }
    results.push_back(w.value().clone());
  }
  set_thread_count(before);
  for (std::size_t i = 0; i < norms.size(); ++i) CHECK(norms[i] == norms[i % 3]);
  for (const auto& result : results)
    CHECK(std::memcmp(result.data(), results[0].data(), static_cast<std::size_t>(result.numel()) * 4) == 0);
}

TEST_CASE("the global norm has the same bits on every kernel level") {
  std::vector<double> norms;
  ParameterSet<float> set;
  Random random(3);
  for (float& g : set.add("w", Tensor<float>::zeros({17, 1003})).grad().span())
    g = static_cast<float>(random.normal());
  test::for_each_level([&](CpuKernels) { norms.push_back(global_norm(set)); });
  for (const double norm : norms) CHECK(norm == norms.front());
  double sum = 0;
  for (const float g : set.at("w").grad().span()) sum += static_cast<double>(g) * static_cast<double>(g);
  CHECK(norms.front() == doctest::Approx(std::sqrt(sum)).epsilon(1e-12));
}

TEST_CASE("a loaded state continues with the same bits, and parts thawed later start anew") {
  ParameterSet<float> through, resumed;
  fill(through);
  fill(resumed);
  through.at("layer.bias").trainable = resumed.at("layer.bias").trainable = false;
  AdamW<float> one(through, options), two(resumed, options);
  for (int t = 0; t < 4; ++t) {
    set_gradients(through, t), set_gradients(resumed, t);
    one.step(), two.step();
  }
  CHECK(one.state().size() == 3);  // m, v, t of the weight
  AdamW<float> three(resumed, options);
  three.load_state(two.state());
  through.at("layer.bias").trainable = resumed.at("layer.bias").trainable = true;
  for (int t = 4; t < 9; ++t) {
    set_gradients(through, t), set_gradients(resumed, t);
    one.step(), three.step();
  }
  CHECK(three.state().at("layer.bias/t")(0) == 5.0F);
  CHECK(three.step_count() == 9);
  for (std::size_t i = 0; i < 8; ++i) CHECK(value(through, i) == value(resumed, i));
}

TEST_CASE("states and options that do not fit are refused") {
  ParameterSet<float> set;
  fill(set);
  AdamW<float> optimizer(set);
  CHECK_THROWS_AS(optimizer.load_state({{"layer.weight/m", Tensor<float>::zeros({2, 3})}}), UsageError);
  CHECK_THROWS_AS(optimizer.load_state({{"m", Tensor<float>::zeros({2, 3})}}), UsageError);
  CHECK_THROWS_AS(optimizer.load_state({{"layer.bias/m", Tensor<float>::zeros({3})},
                                        {"layer.bias/v", Tensor<float>::zeros({2})},
                                        {"layer.bias/t", Tensor<float>::zeros({1})}}),
                  ShapeError);
  CHECK_THROWS_AS(AdamW<float>(set, {.beta1 = 1.0}), UsageError);
}

TEST_CASE("biases and norms do not decay") {
  CHECK(decays_by_name("layers.0.fc1.weight"));
  CHECK(decays_by_name("gbf.means.weight"));
  CHECK_FALSE(decays_by_name("layers.0.fc1.bias"));
  CHECK_FALSE(decays_by_name("layers.0.self_attn_layer_norm.weight"));
  CHECK_FALSE(decays_by_name("bert/encoder.layer.0.output.LayerNorm.weight"));
}

TEST_CASE("schedules rise, fall and stay") {
  const ScheduleOptions cosine{.learning_rate = 2.0, .final_rate = 0.5, .warmup_steps = 4, .total_steps = 12};
  CHECK(learning_rate_at(cosine, 0) == 0.5);
  CHECK(learning_rate_at(cosine, 3) == 2.0);
  CHECK(learning_rate_at(cosine, 4) == 2.0);
  CHECK(learning_rate_at(cosine, 8) == doctest::Approx(1.25).epsilon(1e-15));
  CHECK(learning_rate_at(cosine, 12) == 0.5);
  CHECK(learning_rate_at(cosine, 99) == 0.5);
  ScheduleOptions other = cosine;
  other.decay = Decay::linear;
  CHECK(learning_rate_at(other, 6) == 1.625);
  other.decay = Decay::constant;
  CHECK(learning_rate_at(other, 99) == 2.0);
  other.final_rate = 3.0;
  CHECK_THROWS_AS(learning_rate_at(other, 0), UsageError);
  CHECK_THROWS_AS(learning_rate_at({.warmup_steps = 5, .total_steps = 4}, 0), UsageError);
}
