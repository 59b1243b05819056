// SPDX-License-Identifier: MIT
/// \file
/// `stofm info`: what a bundle, a safetensors file or a slice holds, for people or as one JSON object.

#include <map>

#include "console.hpp"
#include "model_bundle.hpp"
#include "stofm/io/json.hpp"
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
    const auto card = card_of(metadata_json(file, "model_info"));
    for (const auto& [key, value] : card) text += concat("  ", padded(key, 14), padded(value, 0), "\n");
    for (const char* key : {"se2_config", "cell_encoder_config"}) {
      const nlohmann::json config = metadata_json(file, key);
      text += concat("  ", padded(key, 14),
                     config.is_null() ? std::string("absent") : padded(members(config), 0), "\n");
    }
    for (const auto& [part, count] : parameters)
      if (part != "genes") text += concat("  ", padded(part, 14), format_count(count), " parameters\n");
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
int info_of_slice(const InfoArguments& a) {
  const io::H5adInfo info = io::describe_h5ad(a.file);
  if (a.json) {
    nlohmann::json out{{"file", a.file},
                       {"bytes", info.file_bytes},
                       {"kind", "slice"},
                       {"cells", info.cells},
                       {"genes", info.genes},
                       {"encoding", info.encoding},
                       {"entries", nlohmann::json::array()}};
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
