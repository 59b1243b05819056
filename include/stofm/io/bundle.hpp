// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The bundle: one safetensors file with both models, their configurations, the gene tables, and a SHA-256
/// for every tensor. `weights_tools/convert.py` writes it from a checkpoint; its README has the format as a
/// table.
///
/// Metadata: "format" = "stofm-bundle", "format_version" = "1", and as JSON texts "model_info", "se2_config",
/// "cell_encoder_config", "sha256" {tensor: hex}. Tensors: "se2/...", "cell_encoder/bert/...",
/// "cell_encoder/proj.*", and as U8 the texts "genes/table", "genes/mouse_to_human" and "genes/learnt".
/// Either model may be absent, with its configuration. This layer knows names and numbers; what the
/// configurations mean is checked in pipeline/.

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/json.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/io/sha256.hpp"

namespace stofm::io {

inline constexpr const char* bundle_format = "stofm-bundle";
inline constexpr const char* bundle_format_version = "1";

/// What a bundle holds. JSON members are null, maps and texts empty, where the file has none.
struct Bundle {
  nlohmann::json model_info;           ///< object: name, licence, training, created_by, sources
  nlohmann::json se2_config;           ///< the authors' config.json
  nlohmann::json cell_encoder_config;  ///< Hugging Face's BertConfig
  std::string gene_table;              ///< text of genes.tsv
  std::string mouse_to_human;          ///< text of mouse_to_human.tsv
  std::string learnt_genes{};  ///< Ensembl ids, one a line: genes whose vectors were learnt; "": not said
  std::map<std::string, Tensor<float>> se2;           ///< names as in the checkpoint, without "se2/"
  std::map<std::string, Tensor<float>> cell_encoder;  ///< "bert/...", "proj.weight", "proj.bias"
  Notices
      notices;  ///< of reading: STOFM-W3101 odd fields, W3102 converted types, W3701 tensors of neither model

  bool has_se2() const { return !se2_config.is_null(); }
  bool has_cell_encoder() const { return !cell_encoder_config.is_null(); }
  bool has_genes() const { return !gene_table.empty(); }
};

/// How to read.
struct BundleReadOptions {
  bool verify_hashes = true;  ///< compare every tensor with its SHA-256 (about 1 ms a MiB or less)
  std::int64_t max_table_bytes = std::int64_t{64} << 20;  ///< of one gene table
  SafetensorsLimits limits = {};
};

/// Reads a bundle, everything but its meaning checked.
/// \throws FileError STOFM-3701 not a bundle (a checkpoint, a plain safetensors file, a slice), 3702 another
/// version,
///   3703 metadata missing or of another type, 3704 hashes and tensors do not pair, 3705 a hash differs, 3706
///   a configuration without tensors or the reverse, 3707 a gene table that is no text; as
///   SafetensorsFile::open and parse_json besides. ResourceError without memory.
/// *Cost* reads the file once; memory is that of the tensors as float32.
STOFM_INLINE Bundle read_bundle(const std::filesystem::path& path, const BundleReadOptions& options = {});

/// Writes a bundle with fresh hashes, whole or not at all. The same content gives the same bytes, those of
/// convert.py. \throws UsageError STOFM-3708 if a model and its configuration do not come together, or as
/// write_safetensors.
STOFM_INLINE void write_bundle(const std::filesystem::path& path, const Bundle& bundle,
                               OutputOptions options);
inline void write_bundle(const std::filesystem::path& path, const Bundle& bundle, bool overwrite = false) {
  write_bundle(path, bundle, OutputOptions{.overwrite = overwrite});
}

namespace detail {

inline constexpr std::string_view se2_prefix = "se2/", cell_encoder_prefix = "cell_encoder/";
inline constexpr const char* gene_table_name = "genes/table";
inline constexpr const char* mouse_map_name = "genes/mouse_to_human";
inline constexpr const char* learnt_genes_name = "genes/learnt";
inline constexpr const char* convert_remedy =
    "Convert the checkpoint first: python3 weights_tools/convert.py CHECKPOINT_DIR -o stofm.safetensors.";

[[noreturn]] inline void refuse_as_bundle(const std::string& file, std::string found,
                                          const char* remedy = convert_remedy) {
  throw FileError({"STOFM-3701", file, "format", std::move(found), "a bundle written by convert.py", remedy});
}

/// Says what a file is that people give in place of a bundle; returns if it may be safetensors.
inline void refuse_other_files(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) refuse_as_bundle(path.string(), "a directory");
  const File file = File::open(path);
  std::string head(static_cast<std::size_t>((std::min<std::int64_t>)(file.size(), 16)), '\0');
  file.read(head.data(), 0, static_cast<std::int64_t>(head.size()));
  const std::string_view start = head;
  if (start.starts_with("PK\3\4")) refuse_as_bundle(file.path(), "a zip file, such as a PyTorch checkpoint");
  if (start.starts_with("\x80\x02") && start.substr(0, 9).find('{') == start.npos)
    refuse_as_bundle(file.path(), "a pickle, such as an old PyTorch checkpoint");
  if (start.starts_with("\x89HDF\r\n"))
    refuse_as_bundle(file.path(), "an HDF5 file, such as a slice (.h5ad)",
                     "Give the bundle as the model and the slice as the input.");
  if (start.starts_with("version https"))
    refuse_as_bundle(file.path(), "a Git LFS pointer", "Run git lfs pull, or download the file itself.");
  if (start.starts_with("<!DOCTYPE") || start.starts_with("<!doctype") || start.starts_with("<html"))
    refuse_as_bundle(file.path(), "an HTML page",
                     "The download failed: fetch the file itself, not its page.");
}

/// One JSON text of the metadata as an object; null if it is absent and may be.
inline nlohmann::json bundle_json(const SafetensorsFile& file, std::string_view key, bool required) {
  const std::string where = concat("__metadata__/", key);
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) {
    if (!required) return nullptr;
    throw FileError({"STOFM-3703", file.path(), where, "nothing", "a JSON object", convert_remedy});
  }
  nlohmann::json value = parse_json(found->second, file.path(), {}, where);
  if (!value.is_object())
    throw FileError({"STOFM-3703", file.path(), where, concat("a JSON ", value.type_name()), "a JSON object",
                     convert_remedy});
  return value;
}

/// The hash of every tensor. \throws FileError STOFM-3704 unless there is exactly one for each.
inline std::map<std::string, std::string> bundle_hashes(const SafetensorsFile& file) {
  std::map<std::string, std::string> hashes;
  const nlohmann::json listed = bundle_json(file, "sha256", true);
  const auto refuse = [&](const std::string& name, const char* found) {
    throw FileError({"STOFM-3704", file.path(), "__metadata__/sha256",
                     concat(found, " for ", stofm::quoted(name, 100)),
                     "64 hexadecimal digits for each tensor and nothing else", convert_remedy});
  };
  for (const auto& [name, value] : listed.items()) {
    if (!value.is_string() || value.get_ref<const std::string&>().size() != 64) refuse(name, "no hash");
    if (!file.contains(name)) refuse(name, "a hash without a tensor");
    hashes.emplace(name, value.get<std::string>());
  }
  for (const auto& [name, info] : file.tensors())
    if (!hashes.contains(name)) refuse(name, "no hash");
  return hashes;
}

inline void require_hash(const SafetensorsFile& file, const std::string& name, const std::string& found,
                         const std::string& expected) {
  if (found == expected) return;
  throw FileError({"STOFM-3705", file.path(), tensor_place(name),
                   concat("SHA-256 ", found.substr(0, 16), "..."),
                   stofm::quoted(expected.substr(0, 16)) + "...",
                   "The file is damaged: copy, download or convert it again."});
}

/// One tensor as float32, its stored bytes compared with the hash unless that is empty.
inline Tensor<float> bundle_tensor(const SafetensorsFile& file, const std::string& name,
                                   const std::string& hash) {
  Tensor<float> tensor = file.read<float>(name);
  if (hash.empty()) return tensor;
  const bool as_stored = file.info(name).dtype == Dtype::f32;
  require_hash(
      file, name,
      as_stored ? sha256_hex(std::as_bytes(std::as_const(tensor).span())) : sha256_hex(file.read_bytes(name)),
      hash);
  return tensor;
}

inline std::string bundle_text(const SafetensorsFile& file, const std::string& name, const std::string& hash,
                               const BundleReadOptions& options) {
  const SafetensorsInfo& info = file.info(name);
  if (info.dtype != Dtype::u8 || info.shape.rank() != 1 || info.bytes() == 0 ||
      info.bytes() > options.max_table_bytes)
    throw FileError({"STOFM-3707", file.path(), tensor_place(name),
                     concat(dtype_name(info.dtype), " ", to_string(info.shape)),
                     concat("U8 of one dimension, 1 to ", options.max_table_bytes, " bytes"),
                     convert_remedy});
  std::string text = file.read_bytes(name);
  if (!hash.empty()) require_hash(file, name, sha256_hex(text), hash);
  for (std::size_t i = 0; i < text.size();) {
    const int length = utf8_length(text, i);
    if (length == 0)
      throw FileError({"STOFM-3707", file.path(), tensor_place(name), concat("invalid UTF-8 at byte ", i),
                       "a text in UTF-8", convert_remedy});
    i += static_cast<std::size_t>(length);
  }
  return text;
}

inline void require_pair(const SafetensorsFile& file, const char* half, bool config, bool tensors) {
  if (config == tensors) return;
  throw FileError({"STOFM-3706", file.path(), half,
                   config ? "a configuration without tensors" : "tensors without a configuration",
                   "both or neither", convert_remedy});
}

}  // namespace detail

}  // namespace stofm::io

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE io::Bundle io::read_bundle(const std::filesystem::path& path, const BundleReadOptions& options) {
  detail::refuse_other_files(path);
  const SafetensorsFile file = SafetensorsFile::open(path, options.limits);
  const auto format = file.metadata().find("format");
  if (format == file.metadata().end() || format->second != bundle_format)
    detail::refuse_as_bundle(file.path(),
                             format == file.metadata().end()
                                 ? "a safetensors file without bundle metadata"
                                 : "a safetensors file of format " + stofm::quoted(format->second, 40));
  const auto version = file.metadata().find("format_version");
  if (version == file.metadata().end() || version->second != bundle_format_version)
    throw FileError({"STOFM-3702", file.path(), "__metadata__/format_version",
                     version == file.metadata().end() ? "nothing" : stofm::quoted(version->second, 40),
                     stofm::quoted(bundle_format_version),
                     "Convert the checkpoint with the converter of this version."});

  Bundle bundle;
  bundle.notices = file.notices();
  bundle.model_info = detail::bundle_json(file, "model_info", true);
  bundle.se2_config = detail::bundle_json(file, "se2_config", false);
  bundle.cell_encoder_config = detail::bundle_json(file, "cell_encoder_config", false);
  std::map<std::string, std::string> hashes;
  if (options.verify_hashes) hashes = detail::bundle_hashes(file);

  std::vector<std::string> others;
  for (const std::string& name : file.names()) {
    const std::string hash = options.verify_hashes ? hashes.at(name) : "";
    if (name.starts_with(detail::se2_prefix)) {
      bundle.se2.emplace(name.substr(detail::se2_prefix.size()), detail::bundle_tensor(file, name, hash));
    } else if (name.starts_with(detail::cell_encoder_prefix)) {
      bundle.cell_encoder.emplace(name.substr(detail::cell_encoder_prefix.size()),
                                  detail::bundle_tensor(file, name, hash));
    } else if (name == detail::gene_table_name) {
      bundle.gene_table = detail::bundle_text(file, name, hash, options);
    } else if (name == detail::mouse_map_name) {
      bundle.mouse_to_human = detail::bundle_text(file, name, hash, options);
    } else if (name == detail::learnt_genes_name) {
      bundle.learnt_genes = detail::bundle_text(file, name, hash, options);
    } else {
      others.push_back(stofm::quoted(name, 100));
    }
  }
  detail::require_pair(file, "se2", bundle.has_se2(), !bundle.se2.empty());
  detail::require_pair(file, "cell_encoder", bundle.has_cell_encoder(), !bundle.cell_encoder.empty());
  for (const Notice& notice : file.conversion_notices()) bundle.notices.push_back(notice);
  if (!others.empty())
    bundle.notices.push_back(
        {"STOFM-W3701",
         concat(others.size(), " tensors belong to neither model and are left out, the first ",
                others.front()),
         static_cast<std::int64_t>(others.size())});
  return bundle;
}

STOFM_INLINE void io::write_bundle(const std::filesystem::path& path, const Bundle& bundle,
                                   OutputOptions options) {
  const auto require = [&](const char* half, bool config, bool tensors) {
    if (config != tensors)
      throw UsageError({"STOFM-3708", path.string(), half,
                        config ? "a configuration without tensors" : "tensors without a configuration",
                        "both or neither", "Fill both members of the Bundle."});
  };
  require("se2", bundle.has_se2(), !bundle.se2.empty());
  require("cell_encoder", bundle.has_cell_encoder(), !bundle.cell_encoder.empty());

  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor] : bundle.se2)
    entries.push_back(safetensors_entry(concat(detail::se2_prefix, name), tensor));
  for (const auto& [name, tensor] : bundle.cell_encoder)
    entries.push_back(safetensors_entry(concat(detail::cell_encoder_prefix, name), tensor));
  if (bundle.has_genes()) entries.push_back(safetensors_entry(detail::gene_table_name, bundle.gene_table));
  if (!bundle.mouse_to_human.empty())
    entries.push_back(safetensors_entry(detail::mouse_map_name, bundle.mouse_to_human));
  if (!bundle.learnt_genes.empty())
    entries.push_back(safetensors_entry(detail::learnt_genes_name, bundle.learnt_genes));

  nlohmann::json hashes = nlohmann::json::object();
  for (const SafetensorsEntry& entry : entries)
    hashes[entry.name] = sha256_hex(
        std::string_view(static_cast<const char*>(entry.data), static_cast<std::size_t>(entry.bytes())));
  const auto text = [](const nlohmann::json& value) { return value.dump(-1, ' ', true); };
  std::map<std::string, std::string> metadata{
      {"format", bundle_format},
      {"format_version", bundle_format_version},
      {"model_info", text(bundle.model_info.is_null() ? nlohmann::json::object() : bundle.model_info)},
      {"sha256", text(hashes)}};
  if (bundle.has_se2()) metadata["se2_config"] = text(bundle.se2_config);
  if (bundle.has_cell_encoder()) metadata["cell_encoder_config"] = text(bundle.cell_encoder_config);
  write_safetensors(path, entries, metadata, options);
}

}  // namespace stofm
#endif
