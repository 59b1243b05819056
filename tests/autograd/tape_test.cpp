// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <pthread.h>

#include <cstring>
#include <optional>
#include <string>

#include "stofm/autograd/recompute.hpp"
#include "stofm/autograd/rules/activation.hpp"
#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/linear.hpp"
#include "stofm/autograd/rules/losses.hpp"
#include "stofm/autograd/rules/views.hpp"
#include "stofm/autograd/tape.hpp"
#include "tests/autograd/rule_test.hpp"

using namespace stofm;
using namespace stofm::autograd;
using stofm::test::numbers;

namespace {
/// The code of the UsageError that `action` throws; its text has a place, what was found and a remedy.
template <class Action>
std::string code_of(Action&& action) {
  try {
    action();
  } catch (const UsageError& error) {
    CHECK_FALSE(error.remedy().empty());
    CHECK_FALSE(error.where().empty());
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.code();
  }
  return "accepted";
}
Tensor<double> one(double value) { return Tensor<double>::full({1}, value); }
bool same_bits(const Tensor<double>& a, const Tensor<double>& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.span().size_bytes()) == 0;
}
}  // namespace

TEST_CASE("the gradient of a linear layer stands in its parameters") {
  Parameter<double> w("w", Tensor<double>::from({1, 2}, {2.0, 3.0})),
      b("b", Tensor<double>::from({1}, {0.5}));
  Tape<double> tape;
  const auto x = tape.input(Tensor<double>::from({1, 2}, {5.0, 7.0}));
  const auto y = linear(x, tape.parameter(w), tape.parameter(b));
  CHECK(y.value()(0, 0) == 31.5);
  tape.backward(y);
  CHECK(w.grad()(0, 0) == 5.0);
  CHECK(w.grad()(0, 1) == 7.0);
  CHECK(b.grad()(0) == 1.0);
  CHECK(tape.grad(x)(0, 1) == 3.0);
}

TEST_CASE("C09: backward twice through one graph is refused unless the graph was kept") {
  Parameter<double> p("p", one(3.0));
  Tape<double> tape;
  const auto x = tape.parameter(p);
  const auto y = mul(x, x);
  tape.backward(y, {.keep_graph = true});
  tape.backward(y);
  CHECK(p.grad()(0) == 12.0);
  CHECK(code_of([&] { tape.backward(y); }) == "STOFM-1402");
  CHECK(p.grad()(0) == 12.0);
}

TEST_CASE("C09: backward from a value that is not one number is refused, and from a given gradient is not") {
  Tape<double> tape;
  const auto x = tape.input(numbers({2, 3}, 1));
  const auto y = scale(x, 2.0);
  CHECK(code_of([&] { tape.backward(y); }) == "STOFM-1401");
  CHECK(code_of([&] { tape.backward(Variable<double>()); }) == "STOFM-1401");
  CHECK_THROWS_AS(tape.backward(y, Tensor<double>::zeros({3, 2})), ShapeError);
  tape.backward(y, Tensor<double>::full({2, 3}, 1.0));
  CHECK(tape.grad(x)(1, 2) == 2.0);
}

TEST_CASE("C09: a graph that was cleared can be used neither for backward nor for new ops") {
  Tape<double> tape;
  const auto x = tape.input(one(1.0)), y = scale(x, 2.0);
  tape.clear();
  CHECK(code_of([&] { tape.backward(y); }) == "STOFM-1403");
  CHECK(code_of([&] { tape.grad(x); }) == "STOFM-1403");
  CHECK(code_of([&] { scale(y, 2.0); }) == "STOFM-1403");
  const auto z = tape.input(one(1.0));
  tape.backward(scale(z, 3.0));
  CHECK(tape.grad(z)(0) == 3.0);
}

TEST_CASE("C09: a parameter that was changed in place after it was used is noticed") {
  Parameter<double> p("layer.weight", one(3.0));
  Tape<double> tape;
  const auto y = mul(tape.parameter(p), tape.parameter(p));
  p.changing()(0) = 5.0;
  try {
    tape.backward(y);
    FAIL("accepted");
  } catch (const UsageError& error) {
    CHECK(error.code() == "STOFM-1405");
    CHECK(std::string(error.what()).find("layer.weight") != std::string::npos);
  }
  CHECK(p.grad()(0) == 0.0);
  Tape<double> fresh;
  fresh.backward(mul(fresh.parameter(p), fresh.parameter(p)));
  CHECK(p.grad()(0) == 10.0);
}

TEST_CASE("C09: a parameter of a recomputed part is noticed as well") {
  Parameter<double> p("p", one(3.0));
  Tape<double> tape;
  const auto x = tape.input(one(2.0));
  const auto y = recompute<double>(
      tape, {x},
      [&p](Tape<double>& t, const std::vector<Variable<double>>& in) { return mul(in[0], t.parameter(p)); },
      {&p});
  p.changing()(0) = 5.0;
  CHECK(code_of([&] { tape.backward(y); }) == "STOFM-1405");
}

TEST_CASE("C09: variables of two tapes do not mix, nor does a tape take another's") {
  Tape<double> a, b;
  const auto x = a.input(one(1.0)), y = b.input(one(2.0));
  CHECK(code_of([&] { add(x, y); }) == "STOFM-1403");
  CHECK(code_of([&] { b.backward(scale(x, 1.0)); }) == "STOFM-1403");
  CHECK(code_of([&] { b.grad(x); }) == "STOFM-1403");
  const auto z = mul(x, y.detach());
  a.backward(z);
  CHECK(a.grad(x)(0) == 2.0);
}

TEST_CASE("C09: backward from a constant, and the gradient of what is no input, are refused") {
  Tape<double> tape;
  CHECK(code_of([&] { tape.backward(constant(one(1.0))); }) == "STOFM-1404");
  const auto x = tape.input(one(1.0)), y = scale(x, 2.0);
  CHECK(code_of([&] { tape.backward(x.detach()); }) == "STOFM-1404");
  tape.backward(y);
  CHECK(code_of([&] { tape.grad(y); }) == "STOFM-1407");
  CHECK(code_of([&] { tape.grad(constant(one(1.0))); }) == "STOFM-1404");
}

TEST_CASE("a node that is used twice adds its gradients up, an output nobody uses changes nothing") {
  Tape<double> tape;
  const auto x = tape.input(one(3.0)), square = mul(x, x);
  const auto unused = mul(square, square);
  const auto y = add(mul(square, x), square);  // x^3 + x^2
  tape.backward(y);
  CHECK(tape.grad(x)(0) == 27.0 + 6.0);
  CHECK(unused.value()(0) == 81.0);
  Tape<double> second;
  const auto a = second.input(one(2.0)), b = second.input(one(5.0));
  const auto first_part = scale(a, 4.0);
  scale(b, 7.0);
  second.backward(first_part);
  CHECK(second.grad(a)(0) == 4.0);
  CHECK(second.grad(b)(0) == 0.0);
}

TEST_CASE("a leaf can be the result, and results stay what they were after a pass") {
  Tape<double> tape;
  const auto x = tape.input(one(2.0));
  tape.backward(x);
  CHECK(tape.grad(x)(0) == 1.0);
  Parameter<double> p("p", one(4.0));
  Tape<double> other;
  other.backward(other.parameter(p));
  CHECK(p.grad()(0) == 1.0);
}

TEST_CASE("gradients of parameters accumulate over graphs, and zero_grad ends that") {
  Parameter<double> p("p", one(2.0));
  Tape<double> tape;
  for (int step = 0; step < 3; ++step) {
    tape.backward(scale(tape.parameter(p), 5.0));
    tape.clear();
  }
  CHECK(p.grad()(0) == 15.0);
  p.zero_grad();
  CHECK(p.grad()(0) == 0.0);
}

TEST_CASE("the sum of two half batches is the gradient of the whole") {
  const auto x = numbers({6, 4}, 1), target = numbers({6, 3}, 2);
  Parameter<double> whole("w", numbers({3, 4}, 3)), halves("w", numbers({3, 4}, 3));
  Tape<double> tape;
  tape.backward(mse(linear(constant(x), tape.parameter(whole)), target));
  for (const std::int64_t at : {0, 3}) {
    tape.clear();
    const auto part = linear(constant(x.slice(0, at, at + 3)), tape.parameter(halves));
    tape.backward(scale(mse(part, target.slice(0, at, at + 3)), 0.5));
  }
  for (std::int64_t k = 0; k < 12; ++k)
    CHECK(std::abs(whole.grad().data()[k] - halves.grad().data()[k]) <= 1e-12);
}

TEST_CASE("detach and NoGrad stop gradients, and frozen parameters are constants") {
  Parameter<double> p("p", one(3.0)), frozen("frozen", one(4.0));
  frozen.trainable = false;
  Tape<double> tape;
  const auto x = tape.parameter(p);
  const auto y = mul(x, mul(x, x).detach());
  tape.backward(add(y, mul(x, tape.parameter(frozen))));
  CHECK(p.grad()(0) == 9.0 + 4.0);
  CHECK(frozen.grad()(0) == 0.0);
  tape.clear();
  {
    const NoGrad<double> scope(tape);
    {
      const NoGrad<double> inner(tape);
      CHECK_FALSE(tape.input(one(1.0)).needs_grad());
    }
    CHECK_FALSE(mul(tape.parameter(p), tape.parameter(p)).needs_grad());
    CHECK_FALSE(tape.recording());
  }
  CHECK(tape.recording());
  CHECK(tape.size() == 0);
}

TEST_CASE(
    "a parameter is one leaf however often it is taken, and is reported once when its gradient is complete") {
  Parameter<double> a("a", one(2.0)), b("b", one(3.0)), idle("idle", one(1.0));
  Tape<double> tape;
  std::vector<std::string> order;
  tape.on_gradient_ready = [&](Parameter<double>& p) {
    order.push_back(p.name() + "=" + std::to_string(static_cast<int>(p.grad()(0))));
  };
  const auto first = mul(tape.parameter(a), tape.parameter(a));
  tape.parameter(idle);
  tape.backward(mul(first, mul(tape.parameter(b), tape.parameter(a))));
  CHECK(order == std::vector<std::string>{"b=8", "idle=0", "a=36"});
}

TEST_CASE("recomputation gives the bits of the plain graph and saves what is inside") {
  Parameter<double> w("w", numbers({8, 8}, 1)), v("v", numbers({8, 8}, 2));
  auto block = [&](Tape<double>& t, const std::vector<Variable<double>>& x) {
    return linear(gelu(linear(x[0], t.parameter(w))), t.parameter(v));
  };
  const auto input = numbers({5, 8}, 3), weights = numbers({5, 8}, 4);
  Tape<double> plain, saving;
  const auto a = plain.input(input), b = saving.input(input);
  const auto y = block(plain, {block(plain, {a})});
  const std::vector<Parameter<double>*> parameters{&w, &v};
  const auto first = recompute<double>(saving, {b}, block, parameters);
  const auto z = recompute<double>(saving, {first}, block, parameters);
  CHECK(saving.size() == 5);  // two parameters, the input, two blocks
  CHECK(same_bits(y.value(), z.value()));
  plain.backward(y, weights);
  const auto w_plain = w.grad().clone(), v_plain = v.grad().clone();
  w.zero_grad();
  v.zero_grad();
  saving.backward(z, weights);
  CHECK(same_bits(plain.grad(a), saving.grad(b)));
  for (std::int64_t k = 0; k < 64; ++k) {
    CHECK(std::abs(w.grad().data()[k] - w_plain.data()[k]) <= 1e-12 * (1 + std::abs(w_plain.data()[k])));
    CHECK(std::abs(v.grad().data()[k] - v_plain.data()[k]) <= 1e-12 * (1 + std::abs(v_plain.data()[k])));
  }
}

TEST_CASE("recomputation needs its inputs or its parameters to need gradients") {
  Parameter<double> w("w", one(2.0));
  auto f = [&](Tape<double>& t, const std::vector<Variable<double>>& x) { return mul(x[0], t.parameter(w)); };
  Tape<double> tape;
  const auto y = recompute<double>(tape, {constant(one(3.0))}, f, {&w});
  CHECK(y.needs_grad());
  tape.backward(y);
  CHECK(w.grad()(0) == 3.0);
  const NoGrad<double> scope(tape);
  CHECK_FALSE(recompute<double>(tape, {constant(one(3.0))}, f, {&w}).needs_grad());
}

namespace {
/// d/dx of x + 10,000 small multiples, one node each, and the tape taken apart.
void* walk_long_chain(void* result) {
  constexpr int nodes = 10'000;
  Tape<double> tape;
  const auto x = tape.input(one(1.0));
  Variable<double> y = x;
  for (int i = 0; i < nodes; ++i) y = i % 2 == 0 ? scale(y, 2.0) : scale(y, 0.5);
  tape.backward(y);
  *static_cast<double*>(result) = tape.size() == nodes + 1 ? tape.grad(x)(0) : -1.0;
  return nullptr;
}
}  // namespace

TEST_CASE("a chain of 10,000 nodes is walked, also with a stack of 256 KiB") {
  double result = 0;
  walk_long_chain(&result);
  CHECK(result == 1.0);
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, 256 * 1024) == 0);
  pthread_t thread{};
  result = 0;
  REQUIRE(pthread_create(&thread, &attributes, walk_long_chain, &result) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
  pthread_attr_destroy(&attributes);
  CHECK(result == 1.0);
}

TEST_CASE("what a graph saved is freed by backward, and all of it by clear") {
  const std::int64_t before = memory_state().in_use.load();
  std::optional<Tape<double>> tape(std::in_place);
  {
    Parameter<double> w("w", numbers({64, 64}, 1));
    const std::int64_t with_parameter = memory_state().in_use.load();
    auto y = linear(constant(numbers({100, 64}, 2)), tape->parameter(w));
    for (int i = 0; i < 4; ++i) y = gelu(y);
    y = reshape(y, Shape{6400});
    y = slice(y, 0, 0, 1);
    tape->backward(y);
    y = {};
    CHECK(memory_state().in_use.load() <= with_parameter + 4096);
    tape->clear();
    CHECK(memory_state().in_use.load() == with_parameter);
  }
  tape.reset();
  CHECK(memory_state().in_use.load() == before);
}
