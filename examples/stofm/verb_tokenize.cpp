// SPDX-License-Identifier: MIT
/// \file
/// `stofm tokenize`: the gene tokens of each cell. Tensors: tokens I32, values F64 (what is ranked, +inf at
/// <cls>), offsets I64 [cells + 1].

#include "console.hpp"
#include "output_plan.hpp"
#include "resources.hpp"
#include "signals.hpp"
#include "slice_input.hpp"
#include "stofm/io/bundle.hpp"
#include "stofm/pipeline/gene_mapping.hpp"
#include "stofm/pipeline/gene_tokenizer.hpp"
#include "stofm/version.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

/// The gene tables of a bundle, without its weights.
std::pair<std::string, std::string> gene_texts(const std::string& weights) {
  io::detail::refuse_other_files(weights);
  const auto file = io::SafetensorsFile::open(weights);
  if (!file.contains("genes/table"))
    throw FileError({"STOFM-4336", weights, "genes/table", "no gene table", "one, to read counts",
                     "Convert the weights with their gene table."});
  return {file.read_bytes("genes/table"),
          file.contains("genes/mouse_to_human") ? file.read_bytes("genes/mouse_to_human") : std::string()};
}

}  // namespace

int run_tokenize(const TokenizeArguments& a) {
  Console& console = Console::get();
  const std::string weights = find_weights(a.weights);
  check_one_output(a.output, {a.input, weights, a.slice.spatial_csv}, a.overwrite);
  const auto [table_text, mouse_text] = gene_texts(weights);
  const auto table = pipeline::GeneTable::parse(table_text, weights + ": genes/table");
  const auto mouse = pipeline::MouseMap::parse(mouse_text, table, weights + ": genes/mouse_to_human");
  const io::Slice slice = open_slice(a.input, a.slice, 0, false, 0, false);
  const auto mapping = pipeline::map_genes(slice, table, mouse, gene_options(a.slice));
  console.say(pipeline::coverage_text(mapping.coverage));
  const std::int64_t cells = a.max_cells > 0 ? std::min(a.max_cells, slice.cells) : slice.cells;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> tokens;
  std::vector<double> values;
  std::int64_t bare = 0, cut = 0;
  constexpr std::int64_t block = 4096;
  for (std::int64_t begin = 0; begin < cells; begin += block) {
    const auto part = pipeline::tokenize(io::read_count_rows(slice, begin, std::min(cells, begin + block)),
                                         mapping, {.keep_values = true}, a.input);
    for (std::size_t i = 1; i < part.offsets.size(); ++i)
      offsets.push_back(static_cast<std::int64_t>(tokens.size()) + part.offsets[i]);
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
    values.insert(values.end(), part.values.begin(), part.values.end());
    bare += static_cast<std::int64_t>(part.zero_count_cells.size() + part.no_gene_cells.size());
    cut += part.truncated_cells;
    console.progress("tokenize", std::min(cells, begin + block), cells, "cells");
  }
  console.end_progress();
  Notices notices = slice.notices;
  notices.insert(notices.end(), mapping.notices.begin(), mapping.notices.end());
  if (slice.stream_notices)
    for (const Notice& notice : slice.stream_notices()) notices.push_back(notice);
  if (bare > 0)
    notices.push_back({"STOFM-W4301", concat(bare, " cells have no known gene: [<cls>] alone"), bare});
  if (cut > 0) notices.push_back({"STOFM-W4303", concat(cut, " cells keep their highest ranks only"), cut});
  for (const Notice& notice : notices) console.warn(notice.text, {{"code", notice.code}});

  const auto vector_tensor = [](const auto& list) {
    using T = std::decay_t<decltype(list[0])>;
    return Tensor<T>::from({static_cast<std::int64_t>(list.size())}, list);
  };
  const std::vector<io::SafetensorsEntry> entries{io::safetensors_entry("tokens", vector_tensor(tokens)),
                                                  io::safetensors_entry("values", vector_tensor(values)),
                                                  io::safetensors_entry("offsets", vector_tensor(offsets))};
  io::OutputGroup outputs;
  io::write_safetensors(a.output, entries, {{"created_by", "stofm " STOFM_VERSION}, {"input", a.input}},
                        {.overwrite = a.overwrite, .group = &outputs});
  publish(outputs);
  console.say(concat("wrote ", a.output, ": ", format_count(static_cast<std::int64_t>(tokens.size())),
                     " tokens of ", format_count(cells), " cells"),
              {{"output", a.output}});
  return 0;
}

}  // namespace stofm::program
