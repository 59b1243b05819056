// SPDX-License-Identifier: MIT
#include "stofm/pipeline/verify_case.hpp"

#include <doctest/doctest.h>

#include <string>

#include "stofm/core/cpu_features.hpp"
#include "tests/model/golden_model.hpp"
#include "tests/support/kernel_levels.hpp"

namespace {

using namespace stofm;

void check(const std::string& name, CpuKernels level, const std::vector<pipeline::VerifyEntry>& entries) {
  CHECK(pipeline::all_ok(entries));
  for (const auto& entry : entries) {
    INFO(name, ", ", std::string(to_string(level)), ", ", entry.tensor, ": ", entry.max_abs_diff);
    CHECK(entry.max_abs_diff <= entry.tolerance);
  }
  std::string line = name + " " + std::string(to_string(level));
  for (const auto& entry : entries) line += concat("  ", entry.tensor, " ", entry.max_abs_diff);
  MESSAGE(line);
}

}  // namespace

TEST_CASE("the SE(2) Transformer reproduces the reference at every level of kernels") {
  for (const std::string name : {"se2_small", "se2_ragged", "se2_prenorm", "se2_published"}) {
    const auto golden = test::GoldenModel::load(name);
    if (!golden) {
      MESSAGE(name, " is not there: skipped");
      continue;
    }
    test::for_each_level([&](CpuKernels level) {
      const auto model = golden->se2<float>();  // weights are packed for a level
      check(name, level, pipeline::verify_case(&model, nullptr, golden->case_path()));
    });
  }
}

TEST_CASE("the cell encoder reproduces the reference at every level of kernels") {
  for (const std::string name : {"cell_encoder_small", "cell_encoder_gelu", "cell_encoder_published"}) {
    const auto golden = test::GoldenModel::load(name);
    if (!golden) {
      MESSAGE(name, " is not there: skipped");
      continue;
    }
    test::for_each_level([&](CpuKernels level) {
      const auto model = golden->cell_encoder<float>();
      check(name, level, pipeline::verify_case(nullptr, &model, golden->case_path()));
    });
  }
}
