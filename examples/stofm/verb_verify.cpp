// SPDX-License-Identifier: MIT
/// \file
/// `stofm verify`: one JSON line per compared tensor on stdout; exit code 1 if one is out of its tolerance.

#include <cmath>
#include <cstdio>

#include "console.hpp"
#include "device.hpp"
#include "model_bundle.hpp"
#include "stofm/pipeline/verify_case.hpp"
#include "verbs.hpp"

namespace stofm::program {

int run_verify(const VerifyArguments& a) {
  ComputeDevice where = choose_device(a.device);
  const bool half = a.dtype == "bfloat16";
  LoadedModel loaded = load_model_bundle(a.weights, half ? MatmulGrade::bfloat16 : MatmulGrade::float32);
  put_encoders(loaded.model, where, half ? DevicePrecision::bfloat16 : DevicePrecision::float32, 0);
  for (const Notice& notice : loaded.notices) Console::get().warn(notice.text, {{"code", notice.code}});
  pipeline::VerifyOptions options;
  if (half) {  // of rows at length 1
    options.unit_rows = true;
    options.tolerance = options.wide_tolerance = 2e-2;
  }
  if (a.tolerance > 0) options.tolerance = options.wide_tolerance = a.tolerance;
  const auto entries = pipeline::verify_case(pipeline::CaseModels::of(loaded.model), a.case_file, options);
  const auto number = [](double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.6g", value);
    return std::isfinite(value) ? std::string(text) : std::string("null");
  };
  std::string lines;
  for (const auto& entry : entries)
    lines +=
        concat("{\"tensor\":", json_text(entry.tensor), ",\"max_abs_diff\":", number(entry.max_abs_diff),
               ",\"tolerance\":", number(entry.tolerance), ",\"ok\":", entry.ok ? "true" : "false", "}\n");
  print(lines);
  return pipeline::all_ok(entries) ? 0 : 1;
}

}  // namespace stofm::program
