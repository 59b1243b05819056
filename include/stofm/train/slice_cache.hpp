// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Prepared slices on disk: `DIR/<key>.safetensors`, the key being the SHA-256 of input file, features and
/// options. An entry carries a digest of all it holds. One that is damaged, cut, or of another version is
/// never trusted: it is reported and made again. Files appear whole or not at all, so several processes may
/// share a folder.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/json.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/train/prepared_slice.hpp"

namespace stofm::train {

/// What a corpus needs of a slice without its content.
struct SliceSummary {
  std::int64_t cells = 0;
  std::int64_t bytes = 0;                   ///< PreparedSlice::bytes
  std::vector<std::int64_t> piece_sizes{};  ///< cells of each piece
  Notices notices{};
};

/// \throws nothing. *Cost* O(pieces).
inline SliceSummary summarise(const PreparedSlice& slice) {
  SliceSummary summary{
      .cells = slice.cells(), .bytes = slice.bytes(), .piece_sizes = {}, .notices = slice.notices};
  for (const auto& frame : slice.frames)
    for (const auto& piece : frame.pieces)
      summary.piece_sizes.push_back(static_cast<std::int64_t>(piece.size()));
  return summary;
}

/// The key of a slice: equal keys, equal content.
inline std::string slice_key(const std::string& file_hash, const CellFeatures& features,
                             const PrepareOptions& options, const std::string& reader = "") {
  return io::sha256_hex(concat(file_hash, "\n", features.hash, "\n", options.identity(), "\n", reader));
}

/// A folder of prepared slices. Const members may be used from several threads and processes at once.
class SliceCache {
 public:
  /// Creates the folder if it is missing. \throws UsageError (STOFM-4520) if that is impossible.
  explicit SliceCache(std::filesystem::path directory);

  std::filesystem::path path_of(const std::string& key) const { return directory_ / (key + ".safetensors"); }
  /// The summary alone, from the header. Nothing if there is no entry; nothing and a notice (STOFM-W4520) if
  /// it is damaged. \throws ResourceError on I/O errors.
  std::optional<SliceSummary> summary(const std::string& key, Notices& notices) const;
  /// The slice, every byte verified. Nothing as `summary`. *Cost* one read, and SHA-256 of it.
  std::optional<PreparedSlice> load(const std::string& key, Notices& notices) const;
  /// Writes an entry, or replaces it. Without room or permission: a notice (STOFM-W4521), and training goes
  /// on.
  void store(const PreparedSlice& slice, Notices& notices) const;

 private:
  std::filesystem::path directory_;
};

namespace detail {

inline constexpr const char* slice_cache_format = "stofm-prepared-slice 1";

inline nlohmann::json summary_json(const PreparedSlice& slice, const SliceSummary& summary) {
  nlohmann::json notices = nlohmann::json::array();
  for (const Notice& n : summary.notices) notices.push_back({n.code, n.text, n.count});
  return {{"key", slice.hash},
          {"name", slice.name},
          {"cells", summary.cells},
          {"bytes", summary.bytes},
          {"piece_sizes", summary.piece_sizes},
          {"frames", slice.frames.size()},
          {"geometry", static_cast<int>(slice.sub_slice_options.geometry)},
          {"neighbours", slice.sub_slice_options.neighbours},
          {"notices", notices}};
}

/// Digest over the summary and every tensor: name, dtype, shape, bytes, in the order of the names.
class SliceDigest {
 public:
  explicit SliceDigest(const std::string& summary) { hash_.update(summary); }
  void add(const std::string& name, io::Dtype dtype, const Shape& shape, const void* data,
           std::int64_t bytes) {
    hash_.update(concat("\n", name, " ", io::dtype_name(dtype), " ", to_string(shape), "\n"));
    hash_.update(data, static_cast<std::size_t>(bytes));
  }
  std::string hex() const { return hash_.hex(); }

 private:
  io::Sha256 hash_;
};

template <class T>
Tensor<T> tensor_of(const std::vector<T>& values) {
  return Tensor<T>::from({static_cast<std::int64_t>(values.size())}, std::span<const T>(values));
}

/// Entries sorted by name; empty ones are left out.
inline std::vector<io::SafetensorsEntry> slice_entries(const PreparedSlice& slice) {
  std::map<std::string, io::SafetensorsEntry> entries;
  const auto put = [&entries](const std::string& name, const auto& tensor) {
    if (tensor.numel() > 0) entries.emplace(name, io::safetensors_entry(name, tensor));
  };
  put("features", slice.features);
  put("token_offsets", tensor_of(slice.token_offsets));
  put("tokens", tensor_of(slice.tokens));
  for (std::size_t f = 0; f < slice.frames.size(); ++f) {
    const PreparedFrame& frame = slice.frames[f];
    const std::string prefix = concat("frame.", f, ".");
    std::vector<std::int64_t> offsets{0}, cells;
    for (const auto& piece : frame.pieces) {
      cells.insert(cells.end(), piece.begin(), piece.end());
      offsets.push_back(static_cast<std::int64_t>(cells.size()));
    }
    put(prefix + "cells", tensor_of(frame.cells));
    put(prefix + "xy", frame.xy);
    put(prefix + "labels", tensor_of(frame.labels));
    put(prefix + "virtual_xy", frame.virtual_xy);
    put(prefix + "virtual_features", frame.virtual_features);
    put(prefix + "piece_offsets", tensor_of(offsets));
    put(prefix + "piece_cells", tensor_of(cells));
  }
  std::vector<io::SafetensorsEntry> sorted;
  for (auto& [name, entry] : entries) sorted.push_back(std::move(entry));
  return sorted;
}

[[noreturn]] inline void refuse_cache_entry(const std::string& path, const char* where,
                                            const std::string& found, const std::string& expected) {
  throw FileError({"STOFM-4521", path, where, found, expected, "It is made again."});
}

/// Opens an entry and checks all that its header says. \throws FileError.
inline std::pair<io::SafetensorsFile, nlohmann::json> open_cache_entry(const std::filesystem::path& path,
                                                                       const std::string& key) {
  io::SafetensorsFile file = io::SafetensorsFile::open(path);
  const auto text = [&file](const char* name) {
    const auto found = file.metadata().find(name);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  if (text("format") != slice_cache_format)
    refuse_cache_entry(file.path(), "format", stofm::quoted(text("format"), 40), slice_cache_format);
  const std::string summary = text("summary");
  if (io::sha256_hex(summary) != text("summary_sha256"))
    refuse_cache_entry(file.path(), "summary", "another SHA-256", "that of its summary");
  nlohmann::json json = io::parse_json(summary, file.path());
  if (json.at("key") != key) refuse_cache_entry(file.path(), "key", json.at("key").dump(), key);
  return {std::move(file), std::move(json)};
}

inline SliceSummary summary_from(const nlohmann::json& json) {
  SliceSummary summary;
  summary.cells = json.at("cells").get<std::int64_t>();
  summary.bytes = json.at("bytes").get<std::int64_t>();
  summary.piece_sizes = json.at("piece_sizes").get<std::vector<std::int64_t>>();
  for (const auto& n : json.at("notices"))
    summary.notices.push_back(
        {n.at(0).get<std::string>(), n.at(1).get<std::string>(), n.at(2).get<std::int64_t>()});
  return summary;
}

template <class T>
std::vector<T> read_list(const io::SafetensorsFile& file, const std::string& name) {
  if (!file.contains(name)) return {};
  const auto tensor = file.read<T>(name);
  return {tensor.span().begin(), tensor.span().end()};
}

/// Content, once the digest has been found right.
inline PreparedSlice slice_from(const io::SafetensorsFile& file, const nlohmann::json& json) {
  PreparedSlice slice;
  slice.name = json.at("name").get<std::string>();
  slice.hash = json.at("key").get<std::string>();
  slice.notices = summary_from(json).notices;
  slice.sub_slice_options.geometry = static_cast<pipeline::Geometry>(json.at("geometry").get<int>());
  slice.sub_slice_options.neighbours = json.at("neighbours").get<std::int64_t>();
  slice.features = file.read<float>("features");
  slice.token_offsets = read_list<std::int64_t>(file, "token_offsets");
  slice.tokens = read_list<std::int32_t>(file, "tokens");
  slice.frames.resize(json.at("frames").get<std::size_t>());
  for (std::size_t f = 0; f < slice.frames.size(); ++f) {
    PreparedFrame& frame = slice.frames[f];
    const std::string prefix = concat("frame.", f, ".");
    frame.cells = read_list<std::int64_t>(file, prefix + "cells");
    frame.xy = file.read<double>(prefix + "xy");
    frame.labels = read_list<std::int32_t>(file, prefix + "labels");
    frame.virtual_xy = file.read<double>(prefix + "virtual_xy");
    frame.virtual_features = file.read<float>(prefix + "virtual_features");
    const auto offsets = read_list<std::int64_t>(file, prefix + "piece_offsets");
    const auto cells = read_list<std::int64_t>(file, prefix + "piece_cells");
    for (std::size_t p = 1; p < offsets.size(); ++p)
      frame.pieces.emplace_back(cells.begin() + offsets[p - 1], cells.begin() + offsets[p]);
  }
  return slice;
}

/// Runs `body`; a damaged file becomes a notice and nothing.
template <class Result, class Body>
std::optional<Result> unless_damaged(const std::filesystem::path& path, Notices& notices, Body&& body) {
  std::string why;
  try {
    return body();
  } catch (const FileError& e) {
    why = e.what();
  } catch (const nlohmann::json::exception& e) {
    why = concat(path.string(), ": ", e.what());
  }
  notices.push_back({"STOFM-W4520", concat("a cached slice is damaged and is made again: ", why), 1});
  return std::nullopt;
}

}  // namespace detail

inline SliceCache::SliceCache(std::filesystem::path directory) : directory_(std::move(directory)) {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (!std::filesystem::is_directory(directory_))
    throw UsageError({"STOFM-4520", directory_.string(), "cache", error ? error.message() : "not a directory",
                      "a folder that can be made", "Choose another cache folder."});
}

inline std::optional<SliceSummary> SliceCache::summary(const std::string& key, Notices& notices) const {
  const auto path = path_of(key);
  if (!std::filesystem::exists(path)) return std::nullopt;
  return detail::unless_damaged<SliceSummary>(
      path, notices, [&] { return detail::summary_from(detail::open_cache_entry(path, key).second); });
}

inline std::optional<PreparedSlice> SliceCache::load(const std::string& key, Notices& notices) const {
  const auto path = path_of(key);
  if (!std::filesystem::exists(path)) return std::nullopt;
  return detail::unless_damaged<PreparedSlice>(path, notices, [&] {
    const auto [file, json] = detail::open_cache_entry(path, key);
    detail::SliceDigest digest(file.metadata().at("summary"));
    for (const auto& [name, info] : file.tensors()) {
      const std::string bytes = file.read_bytes(name);
      digest.add(name, info.dtype, info.shape, bytes.data(), info.bytes());
    }
    const auto stored = file.metadata().find("digest");
    if (stored == file.metadata().end() || stored->second != digest.hex())
      detail::refuse_cache_entry(file.path(), "content", "another SHA-256", "the stored one");
    return detail::slice_from(file, json);
  });
}

inline void SliceCache::store(const PreparedSlice& slice, Notices& notices) const {
  const std::string summary = detail::summary_json(slice, summarise(slice)).dump(-1, ' ', true);
  const auto entries = detail::slice_entries(slice);
  detail::SliceDigest digest(summary);
  for (const auto& entry : entries)
    digest.add(entry.name, entry.dtype, entry.shape, entry.data, entry.bytes());
  try {
    io::write_safetensors(path_of(slice.hash), entries,
                          {{"format", detail::slice_cache_format},
                           {"summary", summary},
                           {"summary_sha256", io::sha256_hex(summary)},
                           {"digest", digest.hex()}},
                          {.overwrite = true, .follow_link = false});
  } catch (const Error& e) {
    notices.push_back({"STOFM-W4521", concat("a prepared slice could not be cached: ", e.what()), 1});
  }
}

}  // namespace stofm::train
