// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One checkpoint as one safetensors file: parameters, optimizer state, and a manifest from which the run
/// goes on as if it had never stopped. Any flipped bit, cut or replaced part is found on load, and the part
/// is named.
///
/// Metadata: "format" = "stofm-checkpoint", "format_version" = "1", "manifest" = JSON text {step, config,
/// data_sha256, state, tensors: {name: {dtype, shape, sha256}}}, "manifest_sha256" = its SHA-256. The hash of
/// a tensor covers its stored bytes; type and shape are in the manifest, so that a header that was changed is
/// found too. *Source* RELIABILITY row R12.

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/json.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/io/sha256.hpp"

namespace stofm::train {

inline constexpr const char* checkpoint_format = "stofm-checkpoint";
inline constexpr const char* checkpoint_format_version = "1";

/// All that a run needs to go on.
struct Checkpoint {
  std::int64_t step = 0;  ///< optimizer steps done
  /// Object of option -> value: what decides the result of the run (model sizes, seed, rates, masking).
  /// Compared on resume, so it must not hold what does not (threads, paths, how often checkpoints are
  /// written).
  nlohmann::json config = nlohmann::json::object();
  std::string data_sha256;  ///< hash of the inputs of the run; empty: not compared
  /// Object: position of the sampler, counters of the loop; whatever is plain state.
  nlohmann::json state = nlohmann::json::object();
  /// "parameters/NAME", "optimizer/NAME/m", ...
  std::map<std::string, Tensor<float>> tensors;
};

/// Writes the file, whole or not at all; one of the same name is replaced. \throws ResourceError STOFM-5011
/// when the disk is full, 5010 on I/O errors; then the old file, if any, is as it was. *Cost* hashes and
/// writes every byte once.
STOFM_INLINE void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// Reads the file and checks every byte of it.
/// \throws FileError STOFM-3801 not a checkpoint, 3802 another version, 3803 checksum of <section>, or what
/// SafetensorsFile::open refuses (a truncated file, for example). ResourceError on I/O errors and without
/// memory.
STOFM_INLINE Checkpoint read_checkpoint(const std::filesystem::path& path);

/// Which options differ, as "learning-rate 0.001 -> 0.002" (then -> now); keys of nested objects are joined
/// by dots.
inline std::vector<std::string> changed_keys(const nlohmann::json& then, const nlohmann::json& now);

/// The tensors whose name starts with `prefix`, without it.
inline std::map<std::string, Tensor<float>> tensors_below(const Checkpoint& checkpoint,
                                                          const std::string& prefix) {
  std::map<std::string, Tensor<float>> result;
  for (const auto& [name, tensor] : checkpoint.tensors)
    if (name.starts_with(prefix)) result.emplace(name.substr(prefix.size()), tensor);
  return result;
}

namespace detail {

inline constexpr const char* checkpoint_remedy =
    "Resume from an older checkpoint of the run, or start it anew.";

inline std::string json_line(const nlohmann::json& value) { return value.dump(-1, ' ', true); }

[[noreturn]] inline void refuse_checksum(const std::string& file, const std::string& section,
                                         const std::string& found = "other content than was written") {
  throw FileError({"STOFM-3803", file, "checksum of " + section, found,
                   "what the checkpoint was written with", checkpoint_remedy});
}

inline const std::string& checkpoint_text(const io::SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    throw FileError({"STOFM-3801", file.path(), "__metadata__", stofm::concat("no ", stofm::quoted(key)),
                     "a checkpoint of stofm", "Give the checkpoint directory of a run."});
  return found->second;
}

inline nlohmann::json shape_json(const Shape& shape) {
  nlohmann::json list = nlohmann::json::array();
  for (int i = 0; i < shape.rank(); ++i) list.push_back(shape[i]);
  return list;
}

inline void flatten_json(const nlohmann::json& value, const std::string& name,
                         std::map<std::string, std::string>& out) {
  // Configurations are two or three levels deep; the parser bounds them at 64.
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, member] : value.items())
      flatten_json(member, name.empty() ? key : stofm::concat(name, ".", key), out);
  } else {
    out[name] = value.is_string() ? value.get<std::string>() : json_line(value);
  }
}

}  // namespace detail

inline std::vector<std::string> changed_keys(const nlohmann::json& then, const nlohmann::json& now) {
  std::map<std::string, std::string> before, after;
  detail::flatten_json(then, "", before);
  detail::flatten_json(now, "", after);
  std::vector<std::string> changed;
  const auto shown = [](const std::map<std::string, std::string>& values, const std::string& key) {
    const auto found = values.find(key);
    if (found == values.end()) return std::string("(none)");
    const std::string text = stofm::quoted(found->second, 60);
    return text == '"' + found->second + '"' ? found->second : text;
  };
  std::map<std::string, std::string> all = before;
  all.insert(after.begin(), after.end());
  for (const auto& [key, ignored] : all)
    if (shown(before, key) != shown(after, key) || before.contains(key) != after.contains(key) ||
        (before.contains(key) && before.at(key) != after.at(key)))
      changed.push_back(stofm::concat(key, " ", shown(before, key), " -> ", shown(after, key)));
  return changed;
}

}  // namespace stofm::train

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto train::write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint)
    -> void {
  io::detail::with_memory_errors(path, [&] {
    std::vector<io::SafetensorsEntry> entries;
    nlohmann::json listed = nlohmann::json::object();
    for (const auto& [name, tensor] : checkpoint.tensors) {
      io::SafetensorsEntry entry = io::safetensors_entry(name, tensor);
      const std::string_view bytes(static_cast<const char*>(entry.data),
                                   static_cast<std::size_t>(entry.bytes()));
      listed[name] = {{"dtype", io::dtype_name(entry.dtype)},
                      {"shape", detail::shape_json(entry.shape)},
                      {"sha256", io::sha256_hex(bytes)}};
      entries.push_back(std::move(entry));
    }
    const std::string manifest = detail::json_line({{"step", checkpoint.step},
                                                    {"config", checkpoint.config},
                                                    {"data_sha256", checkpoint.data_sha256},
                                                    {"state", checkpoint.state},
                                                    {"tensors", std::move(listed)}});
    io::write_safetensors(path, entries,
                          {{"format", checkpoint_format},
                           {"format_version", checkpoint_format_version},
                           {"manifest", manifest},
                           {"manifest_sha256", io::sha256_hex(manifest)}},
                          {.overwrite = true, .follow_link = false});
  });
}

STOFM_INLINE auto train::read_checkpoint(const std::filesystem::path& path) -> Checkpoint {
  return io::detail::with_memory_errors(path, [&] {
    const auto file = io::SafetensorsFile::open(path, {.allow_empty = true});
    if (const std::string& format = detail::checkpoint_text(file, "format"); format != checkpoint_format)
      throw FileError({"STOFM-3801", file.path(), "__metadata__/format", stofm::quoted(format, 40),
                       stofm::quoted(checkpoint_format), "Give the checkpoint directory of a run."});
    if (const std::string& version = detail::checkpoint_text(file, "format_version");
        version != checkpoint_format_version)
      throw FileError({"STOFM-3802", file.path(), "__metadata__/format_version", stofm::quoted(version, 40),
                       stofm::quoted(checkpoint_format_version),
                       "Resume with the version of stofm that wrote it, or start anew."});
    const std::string& text = detail::checkpoint_text(file, "manifest");
    if (io::sha256_hex(text) != detail::checkpoint_text(file, "manifest_sha256"))
      detail::refuse_checksum(file.path(), "the manifest");
    const nlohmann::json manifest = io::parse_json(text, file.path(), {}, "__metadata__/manifest");

    Checkpoint checkpoint;
    try {
      checkpoint.step = manifest.at("step").get<std::int64_t>();
      checkpoint.config = manifest.at("config");
      checkpoint.data_sha256 = manifest.at("data_sha256").get<std::string>();
      checkpoint.state = manifest.at("state");
      const nlohmann::json& listed = manifest.at("tensors");
      if (listed.size() != file.tensors().size())
        detail::refuse_checksum(file.path(), "the list of tensors",
                                stofm::concat(file.tensors().size(), " tensors"));
      for (const auto& [name, entry] : listed.items()) {
        const std::string section = "tensor " + stofm::quoted(name, 100);
        if (!file.contains(name)) detail::refuse_checksum(file.path(), section, "no such tensor");
        const io::SafetensorsInfo& info = file.info(name);
        if (entry.at("dtype").get<std::string>() != io::dtype_name(info.dtype) ||
            info.dtype != io::Dtype::f32 || entry.at("shape") != detail::shape_json(info.shape))
          detail::refuse_checksum(file.path(), section,
                                  stofm::concat(io::dtype_name(info.dtype), " ", to_string(info.shape)));
        Tensor<float> tensor = file.read<float>(name);
        if (io::sha256_hex(std::as_bytes(std::as_const(tensor).span())) !=
            entry.at("sha256").get<std::string>())
          detail::refuse_checksum(file.path(), section);
        checkpoint.tensors.emplace(name, std::move(tensor));
      }
    } catch (const nlohmann::json::exception&) {  // the hash was right: written by something else
      throw FileError({"STOFM-3801", file.path(), "__metadata__/manifest", "a manifest of another form",
                       "step, config, data_sha256, state and tensors", detail::checkpoint_remedy});
    }
    return checkpoint;
  });
}

}  // namespace stofm
#endif
