// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Writing safetensors files: the same entries give the same bytes, whatever their order.
///
/// Header keys are sorted by name; the data is laid out by descending element size, then name, and starts at
/// a multiple of 8, so that every element is aligned. The file appears whole or not at all
/// (io/output_file.hpp).

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/dtype.hpp"
#include "stofm/io/output_file.hpp"
#include "stofm/io/utf8.hpp"

namespace stofm::io {

/// One tensor to write. Make it with `safetensors_entry`.
struct SafetensorsEntry {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape;
  const void* data = nullptr;         ///< shape.numel() * dtype_bytes(dtype) bytes, row-major
  std::shared_ptr<const void> owner;  ///< keeps `data` alive; may be null if the caller does

  std::int64_t bytes() const { return checked_mul(shape.numel(), dtype_bytes(dtype), "tensor bytes"); }
};

/// A tensor under a name. A strided view is copied, a dense one is shared.
template <Scalar T>
SafetensorsEntry safetensors_entry(std::string name, const Tensor<T>& tensor) {
  auto dense = std::make_shared<Tensor<T>>(tensor.contiguous());
  const void* data = dense->data();
  return {std::move(name), dtype_of<T>(), dense->shape(), data, std::move(dense)};
}
/// A text as U8 of shape [bytes].
inline SafetensorsEntry safetensors_entry(std::string name, std::string text) {
  auto owner = std::make_shared<std::string>(std::move(text));
  const void* data = owner->data();
  const auto bytes = static_cast<std::int64_t>(owner->size());
  return {std::move(name), Dtype::u8, Shape{bytes}, data, std::move(owner)};
}

namespace detail {
/// A JSON string in quotes; control characters, quotes and backslashes escaped.
inline std::string json_string(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += c == '\n' ? std::string("\\n") : std::string("\\u00") + hex[byte >> 4] + hex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}
inline void require_utf8(std::string_view text, const std::string& file, const std::string& where) {
  for (std::size_t i = 0; i < text.size();) {
    const int length = utf8_length(text, i);
    if (length == 0)
      throw UsageError({"STOFM-3131", file, where, "invalid UTF-8: " + stofm::quoted(text, 40), "UTF-8 text",
                        "Encode names and metadata as UTF-8."});
    i += static_cast<std::size_t>(length);
  }
}

inline void write_safetensors_file(const std::filesystem::path& path,
                                   std::span<const SafetensorsEntry> entries,
                                   const std::map<std::string, std::string>& metadata,
                                   OutputOptions options) {
  const std::string file = path.string();
  std::vector<const SafetensorsEntry*> by_name, by_size;
  for (const SafetensorsEntry& entry : entries) by_name.push_back(&entry);
  std::sort(by_name.begin(), by_name.end(), [](auto* a, auto* b) { return a->name < b->name; });
  for (std::size_t i = 0; i < by_name.size(); ++i) {
    const std::string& name = by_name[i]->name;
    require_utf8(name, file, "tensor name");
    if (name.empty() || name == "__metadata__" || (i > 0 && name == by_name[i - 1]->name))
      throw UsageError({"STOFM-3130", file, "tensor " + stofm::quoted(name, 100),
                        "an empty, reserved or repeated name", "one name per tensor", "Rename the tensor."});
  }
  by_size = by_name;
  std::stable_sort(by_size.begin(), by_size.end(),
                   [](auto* a, auto* b) { return dtype_bytes(a->dtype) > dtype_bytes(b->dtype); });
  std::map<std::string_view, std::int64_t> begins;
  std::int64_t data_bytes = 0;
  for (const SafetensorsEntry* entry : by_size) {
    begins[entry->name] = data_bytes;
    data_bytes = checked_add(data_bytes, entry->bytes(), "data section");
  }

  std::string header = "{";
  auto separate = [&header] { header += header.size() > 1 ? "," : ""; };
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    bool first = true;
    for (const auto& [key, value] : metadata) {
      require_utf8(key, file, "metadata key");
      require_utf8(value, file, "metadata " + stofm::quoted(key, 100));
      header += concat(first ? "" : ",", json_string(key), ":", json_string(value));
      first = false;
    }
    header += "}";
  }
  for (const SafetensorsEntry* entry : by_name) {
    separate();
    header += json_string(entry->name) + ":{\"dtype\":\"" + std::string(dtype_name(entry->dtype)) +
              "\",\"shape\":[";
    for (int i = 0; i < entry->shape.rank(); ++i) header += concat(i ? "," : "", entry->shape[i]);
    const std::int64_t begin = begins[entry->name];
    header += concat("],\"data_offsets\":[", begin, ",", begin + entry->bytes(), "]}");
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');

  options.expected_bytes = checked_add(data_bytes, static_cast<std::int64_t>(header.size()) + 8, "file size");
  atomic_write(
      path,
      [&](OutputFile& output) {
        const std::uint64_t length = header.size();
        output.write(&length, 8);
        output.write(header);
        for (const SafetensorsEntry* entry : by_size) output.write(entry->data, entry->bytes());
      },
      options);
}

}  // namespace detail

/// Writes the file.
/// \throws UsageError (STOFM-3130 name twice or empty, 3131 not UTF-8, 3010 ff. the path);
/// ResourceError (STOFM-5011) when the disk is full; then nothing has changed.
STOFM_INLINE void write_safetensors(const std::filesystem::path& path,
                                    std::span<const SafetensorsEntry> entries,
                                    const std::map<std::string, std::string>& metadata = {},
                                    OutputOptions options = {});
STOFM_INLINE void write_safetensors(const std::filesystem::path& path,
                                    const std::vector<SafetensorsEntry>& entries,
                                    const std::map<std::string, std::string>& metadata = {},
                                    OutputOptions options = {});

}  // namespace stofm::io

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto io::write_safetensors(const std::filesystem::path& path,
                                        std::span<const SafetensorsEntry> entries,
                                        const std::map<std::string, std::string>& metadata,
                                        OutputOptions options) -> void {
  detail::with_memory_errors(path, [&] { detail::write_safetensors_file(path, entries, metadata, options); });
}

STOFM_INLINE auto io::write_safetensors(const std::filesystem::path& path,
                                        const std::vector<SafetensorsEntry>& entries,
                                        const std::map<std::string, std::string>& metadata,
                                        OutputOptions options) -> void {
  write_safetensors(path, std::span<const SafetensorsEntry>(entries), metadata, options);
}

}  // namespace stofm
#endif
