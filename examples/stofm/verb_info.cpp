// SPDX-License-Identifier: MIT
/// \file
/// `stofm info`: what a bundle, a safetensors file or a slice holds, for people or as one JSON object.

#include <algorithm>
#include <map>

#include "console.hpp"
#include "model_bundle.hpp"
#include "option_flags.hpp"
#include "resources.hpp"
#include "slice_input.hpp"
#include "stofm/io/json.hpp"
#include "stofm/pipeline/gene_mapping.hpp"
#include "verbs.hpp"
#if defined(STOFM_WITH_HDF5)
#include "stofm/io/h5ad_info.hpp"
#endif

namespace stofm::program {
namespace {

/// Text in a column, padded. Control characters of names in the file must not reach a terminal.
std::string padded(const std::string& text, std::size_t width) {
  const std::string escaped = stofm::quoted(text, 2000);
  std::string shown;
  for (std::size_t k = 1; k + 1 < escaped.size(); ++k)
    if (escaped[k] != '\\' || escaped[k + 1] == 'x') shown += escaped[k];
  if (shown.size() < width) shown.append(width - shown.size(), ' ');
  return shown + "  ";
}

/// A line of the form "  field     value", the value in as many lines as it takes.
std::string field_lines(const std::string& field, const std::string& value, std::size_t width = 16) {
  constexpr std::size_t columns = 100;
  std::string text = padded(value, 0), lines = "  " + padded(field, width);
  text.erase(text.find_last_not_of(' ') + 1);
  const std::string margin(lines.size(), ' ');
  while (text.size() > columns) {
    std::size_t cut = text.rfind(' ', columns);
    if (cut == std::string::npos || cut == 0) cut = text.find(' ', columns);
    if (cut == std::string::npos) break;
    lines += text.substr(0, cut) + "\n" + margin;
    text.erase(0, cut + 1);
  }
  return lines + text + "\n";
}

/// "embedding_dim 256, heads 8"
std::string members(const nlohmann::json& object) {
  std::string text;
  for (const auto& [key, value] : object.items())
    text += concat(text.empty() ? "" : ", ", key, " ",
                   value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', true));
  return text;
}

bool is_hdf5(const std::string& path) {
  const io::File file = io::File::open(path);
  std::string head(static_cast<std::size_t>(std::min<std::int64_t>(file.size(), 8)), '\0');
  file.read(head.data(), 0, static_cast<std::int64_t>(head.size()));
  return head == "\x89HDF\r\n\x1a\n";
}

nlohmann::json metadata_json(const io::SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? nlohmann::json()
                                        : io::parse_json(found->second, file.path(), {}, key);
}

int info_of_safetensors(const InfoArguments& a) {
  const auto file = io::SafetensorsFile::open(a.file);
  const auto format = file.metadata().find("format");
  const bool bundle = format != file.metadata().end() && format->second == io::bundle_format;
  std::int64_t elements = 0;
  std::map<std::string, std::int64_t> parameters;
  for (const auto& [name, tensor] : file.tensors()) {
    elements += tensor.shape.numel();
    if (bundle) parameters[name.substr(0, name.find('/'))] += tensor.shape.numel();
  }
  if (a.json) {
    nlohmann::json out{
        {"file", a.file}, {"bytes", file.file_bytes()}, {"kind", bundle ? "bundle" : "safetensors"}};
    for (const auto& [name, tensor] : file.tensors())
      out["tensors"][name] = {
          {"dtype", std::string(io::dtype_name(tensor.dtype))},
          {"shape", std::vector<std::int64_t>(tensor.shape.sizes().begin(), tensor.shape.sizes().end())}};
    if (bundle)
      for (const char* key : {"model_info", "se2_config", "cell_encoder_config"})
        out[key] = metadata_json(file, key);
    else
      for (const auto& [key, value] : file.metadata()) out["metadata"][key] = value;
    print(out.dump(-1, ' ', true) + "\n");
    return 0;
  }
  std::string text = concat(bundle ? "model bundle" : "safetensors file", ", ",
                            format_bytes(static_cast<double>(file.file_bytes())), ", ", file.tensors().size(),
                            " tensors, ", format_count(elements), " numbers\n");
  if (bundle) {
    for (const auto& [key, value] : card_of(metadata_json(file, "model_info")))
      text += field_lines(key, value);
    for (const auto& [part, words] :
         {std::pair{"se2", "SE(2) Transformer"}, {"cell_encoder", "cell encoder"}}) {
      const nlohmann::json config = metadata_json(file, concat(part, "_config").c_str());
      text += field_lines(
          words, config.is_null() ? std::string("absent")
                                  : concat(format_count(parameters[part]), " parameters; ", members(config)));
    }
  } else {
    for (const auto& [key, value] : file.metadata())
      text += concat("  ", padded(key, 14), padded(value, 0), "\n");
    for (const auto& [name, tensor] : file.tensors())
      text +=
          concat("  ", padded(name, 44), io::dtype_name(tensor.dtype), " ", to_string(tensor.shape), "\n");
  }
  print(text);
  return 0;
}

#if defined(STOFM_WITH_HDF5)
using Rows = std::vector<std::pair<std::string, std::string>>;

/// How many genes the default weights know, or why this can not be said.
std::string genes_of(const io::Slice& slice) {
  try {
    const std::string weights = find_weights("");
    const auto file = io::SafetensorsFile::open(weights);
    const auto table = pipeline::GeneTable::parse(file.read_bytes("genes/table"), weights);
    const auto mouse = pipeline::MouseMap::parse(
        file.contains("genes/mouse_to_human") ? file.read_bytes("genes/mouse_to_human") : std::string(),
        table, weights);
    pipeline::GeneMappingOptions options;
    options.refuse_below = 0;  // how few is what is asked
    const auto mapping =
        pipeline::map_genes(slice.gene_ids, slice.gene_symbols, table, mouse, options, slice.path);
    return concat(pipeline::coverage_text(mapping.coverage), " (gene table of ", weights, ")");
  } catch (const Error& error) {
    return with_flags(error.what());
  }
}

/// What `embed` would take from the file without options: counts, genes, positions, labels; or why it would
/// stop.
Rows uses_of(const std::string& path) {
  Rows rows;
  std::string stop;  // added after the try: in the handler g++ 12 sees an emplace_back out of bounds
  try {
    const io::Slice slice = open_slice(path, SliceArguments{}, 0, false, 12);
    rows.emplace_back("counts", concat(slice.counts_source, " (", slice.counts_scale, ")"));
    rows.emplace_back("genes", genes_of(slice));
    double low[2] = {0, 0}, high[2] = {0, 0};
    for (std::int64_t i = 0; i < slice.cells; ++i)
      for (int a = 0; a < 2; ++a) {
        const double v = slice.coordinates(i, a);
        low[a] = i == 0 ? v : std::min(low[a], v);
        high[a] = i == 0 ? v : std::max(high[a], v);
      }
    rows.emplace_back("positions",
                      concat(slice.coordinates_source, ", ", format_number(high[0] - low[0], 4), " x ",
                             format_number(high[1] - low[1], 4), " in the unit of the file"));
    std::string labels;
    for (const auto& column : slice.labels)
      labels += concat(labels.empty() ? "" : ", ", stofm::quoted(column.name, 60), " (",
                       column.categories.size(), ")");
    rows.emplace_back("labels", labels.empty() ? "none" : "in obs: " + labels);
    for (const Notice& notice : slice.notices) rows.emplace_back("note", with_flags(notice.text));
  } catch (const Error& error) {
    stop = "would stop here: " + with_flags(error.what());
  }
  if (!stop.empty()) rows.emplace_back("embed", stop);
  return rows;
}

int info_of_slice(const InfoArguments& a) {
  const io::H5adInfo info = io::describe_h5ad(a.file);
  const Rows uses = uses_of(a.file);
  if (a.json) {
    nlohmann::json out{{"file", a.file},
                       {"bytes", info.file_bytes},
                       {"kind", "slice"},
                       {"for_embedding", {{"notes", nlohmann::json::array()}}},
                       {"cells", info.cells},
                       {"genes", info.genes},
                       {"encoding", info.encoding},
                       {"entries", nlohmann::json::array()}};
    for (const auto& [field, text] : uses)
      if (field == "note")
        out["for_embedding"]["notes"].push_back(text);
      else
        out["for_embedding"][field] = text;
    for (const auto& e : info.entries)
      out["entries"].push_back({{"path", e.path},
                                {"shape", e.shape},
                                {"type", e.type},
                                {"encoding", e.encoding},
                                {"storage", e.storage},
                                {"note", e.note}});
    print(out.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n");
    return 0;
  }
  std::string text = concat("slice, ", format_bytes(static_cast<double>(info.file_bytes)), ", ",
                            info.cells < 0 ? "?" : format_count(info.cells), " cells x ",
                            info.genes < 0 ? "?" : format_count(info.genes), " genes",
                            info.encoding.empty() ? "" : ", " + info.encoding, "\n");
  for (const auto& [field, words] : uses) text += field_lines(field, words, 10);
  text += field_lines("next", "stofm embed FILE --dry-run says what embedding it would do and take", 10);
  text += "what is in it\n";
  for (const auto& e : info.entries) {
    std::string line = "  " + padded(e.path, 26);
    line += padded(e.shape, 14) + padded(e.type, 4) + padded(e.encoding, 18) + padded(e.storage, 0);
    if (!e.note.empty()) line += padded(e.note, 0);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  print(text);
  return 0;
}
#else
int info_of_slice(const InfoArguments& a) {
  throw FileError({"STOFM-2040", a.file, "input", "an HDF5 file", "a program built with HDF5",
                   "Install libhdf5-dev and build again."});
}
#endif

}  // namespace

int run_info(const InfoArguments& a) { return is_hdf5(a.file) ? info_of_slice(a) : info_of_safetensors(a); }

}  // namespace stofm::program
