// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A classifier as one safetensors file.
///
/// Metadata: "format" = "stofm-head", "format_version" = "1", "manifest" = JSON text {kind, classes, present,
/// input, model_identity, model_name, provenance, head, se2_config, tensors: {name: sha256}},
/// "manifest_sha256" = its SHA-256. Tensors: "se2/...", "head/..." (float32) of a fine-tuned one,
/// "logistic/..." (float64) of a logistic one, "genes/..." (float64) where rows come from genes. A pooled or
/// a smoothed one has version "2" (who knows "1" alone must not overlook it) and in the manifest smooth,
/// weights and members, a manifest each, whose tensors are "member/0/logistic/..." and so on. Any flipped
/// bit, cut or replaced part is found on load, and the part is named.

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/io/json.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/pipeline/model_config.hpp"
#include "stofm/tasks/classifier.hpp"
#include "stofm/tasks/smoothed_probabilities.hpp"

namespace stofm::tasks {

inline constexpr const char* head_format = "stofm-head";
inline constexpr const char* head_format_version = "1";
inline constexpr const char* pooled_head_format_version = "2";

/// Writes the file, whole or not at all. The same classifier gives the same bytes.
/// \throws as write_safetensors: UsageError for a file that is there already unless `overwrite`,
/// ResourceError when the disk is full.
STOFM_INLINE void save_classifier(const std::filesystem::path& path, const Classifier& classifier,
                                  bool overwrite = false);

/// Reads the file and checks every byte of it. \throws FileError STOFM-4744 not a head file, 4745 another
/// version, 4746 damaged, or what SafetensorsFile::open refuses; ResourceError.
STOFM_INLINE Classifier load_classifier(const std::filesystem::path& path);

namespace detail {

inline nlohmann::json se2_config_json(const model::Se2Config& c) {
  return {{"input_dim", c.input_dim},
          {"embedding_dim", c.embedding_dim},
          {"ffn_embedding_dim", c.ffn_embedding_dim},
          {"num_attention_heads", c.num_attention_heads},
          {"num_hidden_layers", c.num_hidden_layers},
          {"gaussian_hidden_dim", c.gaussian_hidden_dim},
          {"activation_fn", c.activation_fn},
          {"pre_layernorm", c.pre_layernorm},
          {"dropout", c.dropout},
          {"attention_dropout", c.attention_dropout},
          {"activation_dropout", c.activation_dropout}};
}

/// Names of the kinds in files; their order is that of the enums.
inline constexpr std::array<const char*, 3> classifier_kind_names{"fine_tuned", "logistic", "pooled"};
inline constexpr std::array<const char*, 10> feature_kind_names{
    "stofm",          "cells",          "context",        "genes",     "pca",
    "pca_neighbours", "linear_context", "fitted_context", "pca_rings", "given"};
inline constexpr std::array<const char*, 2> cell_input_names{"encoder", "pca"};
inline constexpr std::array<const char*, 3> activation_kind_names{"identity", "relu", "gelu"};

/// The value of an enum by its name. \throws nlohmann::json::other_error as any odd manifest does
template <class Enum, std::size_t n>
Enum enum_of(const std::array<const char*, n>& names, const nlohmann::json& value) {
  const auto name = value.get<std::string>();
  for (std::size_t i = 0; i < n; ++i)
    if (name == names[i]) return static_cast<Enum>(i);
  throw nlohmann::json::other_error::create(501, "unknown name", nullptr);
}
template <class Enum, std::size_t n>
const char* name_of(const std::array<const char*, n>& names, Enum value) {
  return names[static_cast<std::size_t>(value)];
}

[[noreturn]] inline void refuse_head(const char* code, const std::string& file, const std::string& place,
                                     const std::string& found, const std::string& expected,
                                     const char* remedy) {
  throw FileError({code, file, place, found, expected, remedy});
}
[[noreturn]] inline void refuse_damaged_head(const std::string& file, const std::string& section) {
  refuse_head("STOFM-4746", file, "checksum of " + section, "other content than was written",
              "what the head was written with",
              "The file is damaged: copy it again, or train the head again.");
}

inline const std::string& head_text(const io::SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    refuse_head("STOFM-4744", file.path(), "__metadata__", concat("no ", stofm::quoted(key)),
                "a head that was saved by stofm",
                "Give a head that was saved; a bundle of weights is given as the model.");
  return found->second;
}

inline void put_numbers(std::vector<io::SafetensorsEntry>& entries, const std::string& name,
                        const std::vector<double>& values) {
  entries.push_back(
      io::safetensors_entry(name, Tensor<double>::from({static_cast<std::int64_t>(values.size())}, values)));
}
inline std::vector<double> numbers_of(const io::SafetensorsFile& file, const std::string& name) {
  const Tensor<double> tensor = file.read<double>(name);
  return {tensor.data(), tensor.data() + tensor.numel()};
}

inline std::string member_prefix(std::size_t member) { return concat("member/", member, "/"); }

/// Tensors of a head. \param prefix of the names: of a member of a pooled head
inline std::vector<io::SafetensorsEntry> head_entries(const Classifier& c, const std::string& prefix = {}) {
  std::vector<io::SafetensorsEntry> entries;
  for (std::size_t m = 0; m < c.members.size(); ++m)
    for (io::SafetensorsEntry& entry : head_entries(c.members[m], prefix + member_prefix(m)))
      entries.push_back(std::move(entry));
  if (c.kind == ClassifierKind::pooled) return entries;
  if (c.kind == ClassifierKind::fine_tuned) {
    for (const auto& [name, tensor] : c.se2) entries.push_back(io::safetensors_entry("se2/" + name, tensor));
    for (const auto& [name, tensor] : c.head)
      entries.push_back(io::safetensors_entry("head/" + name, tensor));
  } else {
    entries.push_back(io::safetensors_entry(prefix + "logistic/coefficients", c.logistic.coefficients));
    put_numbers(entries, prefix + "logistic/intercepts", c.logistic.intercepts);
    put_numbers(entries, prefix + "logistic/mean", c.logistic.standardisation.mean);
    put_numbers(entries, prefix + "logistic/scale", c.logistic.standardisation.scale);
  }
  for (const auto& [name, tensor] : {std::pair{"genes/mean", &c.input.genes.mean},
                                     {"genes/scale", &c.input.genes.scale},
                                     {"genes/loadings", &c.input.genes.loadings}})
    if (tensor->numel() > 0) entries.push_back(io::safetensors_entry(prefix + name, *tensor));
  return entries;
}

/// Of type, shape and bytes: a header that was changed is found, too.
inline std::string head_tensor_hash(io::Dtype dtype, const Shape& shape, std::string_view bytes) {
  io::Sha256 hash;
  hash.update(concat(io::dtype_name(dtype), " ", to_string(shape), "\n"));
  hash.update(bytes);
  return hash.hex();
}

/// \param entries whose hashes it has; of a member none: they are in that of the whole
inline nlohmann::json head_manifest(const Classifier& c, const std::vector<io::SafetensorsEntry>& entries) {
  nlohmann::json hashes = nlohmann::json::object();
  for (const io::SafetensorsEntry& entry : entries)
    hashes[entry.name] = head_tensor_hash(
        entry.dtype, entry.shape,
        std::string_view(static_cast<const char*>(entry.data), static_cast<std::size_t>(entry.bytes())));
  nlohmann::json manifest = {{"kind", name_of(classifier_kind_names, c.kind)},
                             {"classes", c.classes},
                             {"present", c.present},
                             {"input",
                              {{"kind", name_of(feature_kind_names, c.input.kind)},
                               {"cells", name_of(cell_input_names, c.input.cells)},
                               {"name", c.input.name},
                               {"genes", c.input.genes.names},
                               {"settings", c.input.settings}}},
                             {"model_identity", c.model_identity},
                             {"model_name", c.model_name},
                             {"provenance", c.provenance},
                             {"tensors", std::move(hashes)}};
  if (c.kind == ClassifierKind::fine_tuned) {
    manifest["se2_config"] = se2_config_json(c.se2_config);
    manifest["head"] = {{"hidden", c.head_options.hidden},
                        {"activation", name_of(activation_kind_names, c.head_options.activation)},
                        {"dropout", c.head_options.dropout}};
  }
  if (c.smooth > 0) manifest["smooth"] = c.smooth;
  if (c.kind == ClassifierKind::pooled) {
    manifest["weights"] = c.weights;
    manifest["members"] = nlohmann::json::array();
    for (const Classifier& member : c.members) manifest["members"].push_back(head_manifest(member, {}));
  }
  return manifest;
}

/// What the manifest says, without tensors. \throws nlohmann::json::exception
inline Classifier classifier_of(const nlohmann::json& manifest, const std::string& file) {
  Classifier c;
  c.kind = enum_of<ClassifierKind>(classifier_kind_names, manifest.at("kind"));
  c.classes = manifest.at("classes").get<std::vector<std::string>>();
  c.present = manifest.at("present").get<std::vector<std::int32_t>>();
  const nlohmann::json& input = manifest.at("input");
  c.input.kind = enum_of<FeatureKind>(feature_kind_names, input.at("kind"));
  c.input.cells = enum_of<CellInput>(cell_input_names, input.at("cells"));
  c.input.name = input.at("name").get<std::string>();
  c.input.genes.names = input.at("genes").get<std::vector<std::string>>();
  c.input.settings = input.at("settings");
  c.model_identity = manifest.at("model_identity").get<std::string>();
  c.model_name = manifest.at("model_name").get<std::string>();
  c.provenance = manifest.at("provenance");
  if (c.kind == ClassifierKind::fine_tuned) {
    c.se2_config = pipeline::parse_se2_config(manifest.at("se2_config"), file + ": se2_config");
    const nlohmann::json& head = manifest.at("head");
    c.head_options = {head.at("hidden").get<std::int64_t>(),
                      enum_of<ops::Activation>(activation_kind_names, head.at("activation")),
                      head.at("dropout").get<double>()};
  }
  c.smooth = manifest.value("smooth", std::int64_t{0});
  if (c.kind == ClassifierKind::pooled) {
    c.weights = manifest.at("weights").get<std::vector<double>>();
    for (const nlohmann::json& member : manifest.at("members"))
      c.members.push_back(classifier_of(member, file));
  }
  return c;
}

inline void read_head_tensors(const io::SafetensorsFile& file, Classifier& c,
                              const std::string& prefix = {}) {
  for (std::size_t m = 0; m < c.members.size(); ++m)
    read_head_tensors(file, c.members[m], prefix + member_prefix(m));
  if (c.kind == ClassifierKind::pooled) return;
  if (c.kind == ClassifierKind::fine_tuned) {
    for (const std::string& name : file.names()) {
      if (name.starts_with("se2/")) c.se2.emplace(name.substr(4), file.read<float>(name));
      if (name.starts_with("head/")) c.head.emplace(name.substr(5), file.read<float>(name));
    }
  } else {
    c.logistic.coefficients = file.read<double>(prefix + "logistic/coefficients");
    c.logistic.intercepts = numbers_of(file, prefix + "logistic/intercepts");
    c.logistic.standardisation = {numbers_of(file, prefix + "logistic/mean"),
                                  numbers_of(file, prefix + "logistic/scale")};
    c.logistic.features = static_cast<std::int64_t>(c.logistic.standardisation.mean.size());
    c.logistic.classes = static_cast<std::int64_t>(c.classes.size());
    c.logistic.present = c.present;
  }
  for (const auto& [name, tensor] : {std::pair{"genes/mean", &c.input.genes.mean},
                                     {"genes/scale", &c.input.genes.scale},
                                     {"genes/loadings", &c.input.genes.loadings}})
    if (file.contains(prefix + name)) *tensor = file.read<double>(prefix + name);
}

/// Whether what was read can be used: sizes that fit each other.
inline bool head_fits(const Classifier& c) {
  const auto classes = static_cast<std::int64_t>(c.present.size());
  for (std::size_t i = 0; i < c.present.size(); ++i)
    if (c.present[i] < 0 || c.present[i] >= static_cast<std::int32_t>(c.classes.size()) ||
        (i > 0 && c.present[i] <= c.present[i - 1]))
      return false;
  if (classes < 2 || c.smooth < 0 || c.smooth > most_smoothing) return false;
  if (c.kind == ClassifierKind::pooled)
    return !c.members.empty() && c.members.size() == c.weights.size() &&
           std::all_of(c.weights.begin(), c.weights.end(), [](double w) { return w > 0 && w <= 1; }) &&
           std::all_of(c.members.begin(), c.members.end(), [&c](const Classifier& member) {
             return member.kind == ClassifierKind::logistic && member.classes == c.classes &&
                    head_fits(member);
           });
  if (c.kind == ClassifierKind::logistic) {
    const std::int64_t rows = classes == 2 ? 1 : classes;
    return c.logistic.coefficients.shape() == Shape{rows, c.logistic.features} &&
           c.logistic.intercepts.size() == static_cast<std::size_t>(rows) &&
           c.logistic.standardisation.scale.size() == c.logistic.standardisation.mean.size();
  }
  const std::int64_t in = c.se2_config.embedding_dim + c.se2_config.input_dim, hidden = c.head_options.hidden;
  const auto is = [&c](const char* name, const Shape& shape) {
    const auto found = c.head.find(name);
    return found != c.head.end() && found->second.shape() == shape;
  };
  return is("hidden.weight", {hidden, in}) && is("hidden.bias", {hidden}) &&
         is("output.weight", {classes, hidden}) && is("output.bias", {classes}) &&
         is("direct.weight", {classes, in}) && is("cell_mean", {c.se2_config.input_dim}) &&
         is("cell_scale", {c.se2_config.input_dim});
}

}  // namespace detail

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::save_classifier(const std::filesystem::path& path, const Classifier& classifier,
                                         bool overwrite) -> void {
  io::detail::with_memory_errors(path, [&] {
    const auto entries = detail::head_entries(classifier);
    const std::string manifest = detail::head_manifest(classifier, entries).dump(-1, ' ', true);
    io::write_safetensors(
        path, entries,
        {{"format", head_format},
         {"format_version", classifier.kind == ClassifierKind::pooled || classifier.smooth > 0
                                ? pooled_head_format_version
                                : head_format_version},
         {"manifest", manifest},
         {"manifest_sha256", io::sha256_hex(manifest)}},
        {.overwrite = overwrite});
  });
}

STOFM_INLINE auto tasks::load_classifier(const std::filesystem::path& path) -> Classifier {
  return io::detail::with_memory_errors(path, [&] {
    const auto file = io::SafetensorsFile::open(path);
    if (const std::string& format = detail::head_text(file, "format"); format != head_format)
      detail::refuse_head("STOFM-4744", file.path(), "__metadata__/format", stofm::quoted(format, 40),
                          stofm::quoted(head_format),
                          "Give a head that was saved; a bundle of weights is given as the model.");
    if (const std::string& version = detail::head_text(file, "format_version");
        version != head_format_version && version != pooled_head_format_version)
      detail::refuse_head(
          "STOFM-4745", file.path(), "__metadata__/format_version", stofm::quoted(version, 40),
          concat(stofm::quoted(head_format_version), " or ", stofm::quoted(pooled_head_format_version)),
          "Use the version of stofm that wrote it, or train the head again.");
    const std::string& text = detail::head_text(file, "manifest");
    if (io::sha256_hex(text) != detail::head_text(file, "manifest_sha256"))
      detail::refuse_damaged_head(file.path(), "the manifest");
    const nlohmann::json manifest = io::parse_json(text, file.path(), {}, "__metadata__/manifest");
    try {
      Classifier classifier = detail::classifier_of(manifest, file.path());
      const nlohmann::json& hashes = manifest.at("tensors");
      for (const auto& [name, info] : file.tensors())
        if (!hashes.contains(name)) detail::refuse_damaged_head(file.path(), "the list of tensors");
      for (const auto& [name, hash] : hashes.items())
        if (!file.contains(name) ||
            detail::head_tensor_hash(file.info(name).dtype, file.info(name).shape, file.read_bytes(name)) !=
                hash.get<std::string>())
          detail::refuse_damaged_head(file.path(), "tensor " + stofm::quoted(name, 100));
      detail::read_head_tensors(file, classifier);
      if (!detail::head_fits(classifier)) detail::refuse_damaged_head(file.path(), "the shapes of tensors");
      return classifier;
    } catch (const nlohmann::json::exception&) {  // the hash was right: written by something else
      detail::refuse_head("STOFM-4744", file.path(), "__metadata__/manifest", "a manifest of another form",
                          "that of a head saved by stofm", "Train the head again.");
    }
  });
}

}  // namespace stofm
#endif
