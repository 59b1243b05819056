// SPDX-License-Identifier: MIT
#include "option_flags.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace stofm::program {
namespace {

struct OptionFlag {
  std::string_view field, flag;
};

/// What the library says, and the flag. `cmake/check_option_names.py` holds the two together. A field that is
/// the beginning of another stands behind it.
constexpr std::array option_flags{
    OptionFlag{"EmbedOptions::geometry", "--geometry"},
    OptionFlag{"EmbedOptions::max_memory", "--max-memory"},
    OptionFlag{"EmbedOptions::split", "--split"},
    OptionFlag{"EmbedOptions::target = cells_only", "--cells-only"},
    OptionFlag{"FineTuneOptions::resume", "--resume"},
    OptionFlag{"GeneMappingOptions::refuse_below", "--min-coverage"},
    OptionFlag{"GeneMappingOptions::species", "--species"},
    OptionFlag{"H5adReadOptions::coordinates", "--spatial-csv"},
    OptionFlag{"H5adReadOptions::counts_scale", "--counts-scale"},
    OptionFlag{"H5adReadOptions::drop_bad_coords", "--drop-bad-coords"},
    OptionFlag{"H5adReadOptions::drop_no_library", "--drop-no-library"},
    OptionFlag{"H5adReadOptions::gene_key", "--gene-key"},
    OptionFlag{"H5adReadOptions::layer", "--layer"},
    OptionFlag{"H5adReadOptions::library_key", "--library-key"},
    OptionFlag{"H5adReadOptions::only", "--only"},
    OptionFlag{"H5adReadOptions::overlay", "--overlay"},
    OptionFlag{"H5adReadOptions::spatial_key", "--spatial-key"},
    OptionFlag{"H5adReadOptions::symbol_key", "--symbol-key"},
    OptionFlag{"H5adReadOptions::use_raw", "--use-raw"},
    OptionFlag{"H5adReadOptions::x_column", "--x"},
    OptionFlag{"H5adReadOptions::y_column", "--y"},
    OptionFlag{"H5adWriteOptions::in_place", "--in-place"},
    OptionFlag{"HeadFitOptions::smooth", "--smooth"},
    OptionFlag{"ImportOptions::bin", "--bin"},
    OptionFlag{"ImportOptions::by_order", "--by-order"},
    OptionFlag{"ImportOptions::counts", "--counts"},
    OptionFlag{"ImportOptions::format", "--format"},
    OptionFlag{"ImportOptions::id", "--id"},
    OptionFlag{"ImportOptions::positions", "--positions"},
    OptionFlag{"ImportOptions::x", "--x"},
    OptionFlag{"ImportOptions::y", "--y"},
    OptionFlag{"ImputationGeneOptions::genes", "--genes"},
    OptionFlag{"ImputationGeneOptions::hidden", "--hold-out-genes"},
    OptionFlag{"OutputOptions::overwrite", "--overwrite"},
    OptionFlag{"PseudospotOptions::cells_per_spot", "--cells-per-spot"},
    OptionFlag{"PseudospotOptions::depth", "--depth"},
    OptionFlag{"PseudospotOptions::min_cells", "--min-cells"},
    OptionFlag{"PseudospotOptions::platform_noise", "--platform-noise"},
    OptionFlag{"PseudospotOptions::size", "--size"},
    OptionFlag{"SliceFeatureOptions::kind", "--use"},
    OptionFlag{"SpatialCsvOptions::x_column", "--x"},
    OptionFlag{"SpatialCsvOptions::y_column", "--y"},
    // Not fields, but chosen by flags too.
    OptionFlag{"an output path", "--output"},
    OptionFlag{"check_same_run(force)", "--force"},
    OptionFlag{"load_newest(use_older)", "--resume-older"},
    OptionFlag{"memory_state().cap", "--max-memory"},
    OptionFlag{"on the CPU (Cpu{})", "with --device cpu"},
    OptionFlag{"do without require_none()", "run without --strict"},
};

bool continues_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// True where `field` begins at `at` and no longer name does.
bool stands_at(std::string_view text, std::size_t at, std::string_view field) {
  if (text.compare(at, field.size(), field) != 0) return false;
  const std::size_t end = at + field.size();
  return !continues_name(field.back()) || end == text.size() || !continues_name(text[end]);
}

/// "--x center_x and --y center_y" -> "--x center_x --y center_y": two flags of one choice are typed
/// together.
void join_pairs(std::string& text) {
  for (std::size_t x = text.find("--x "); x != text.npos; x = text.find("--x ", x + 1)) {
    const std::size_t value = x + 4, end = text.find(' ', value);
    constexpr std::string_view next = " and --y ";
    if (end != text.npos && text.compare(end, next.size(), next) == 0) text.replace(end, 5, " ");
  }
}

}  // namespace

std::string with_flags(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto* const known =
        std::find_if(option_flags.begin(), option_flags.end(),
                     [&](const OptionFlag& one) { return stands_at(text, at, one.field); });
    if (known == option_flags.end()) {
      out += text[at++];
      continue;
    }
    out += known->flag;
    at += known->field.size();
    if (text.compare(at, 3, " = ") == 0) {  // a value follows
      out += ' ';
      at += 3;
    }
  }
  join_pairs(out);
  return out;
}

}  // namespace stofm::program
