// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The data section of a safetensors file: what the header declares must cover it exactly.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/io/safetensors_types.hpp"

namespace stofm::io::detail {

/// "tensor \"a.weight\"".
inline std::string tensor_place(std::string_view name) { return "tensor " + stofm::quoted(name, 100); }

/// Rows S12 to S14: the ranges cover the data section exactly once, without holes.
inline void check_safetensors_layout(const SafetensorsHeader& header, std::int64_t data_bytes,
                                     const std::string& file) {
  using Item = std::pair<const std::string, SafetensorsInfo>;
  std::vector<const Item*> order;
  order.reserve(header.tensors.size());
  for (const Item& item : header.tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  auto range = [](const Item& item) {
    return concat(tensor_place(item.first), " at [", item.second.begin, ", ", item.second.end, "]");
  };
  const std::string remedy = "Write the file again with a safetensors library.";
  const Item* previous = nullptr;
  std::int64_t filled = 0;
  for (const Item* item : order) {
    if (item->second.begin < filled)
      throw FileError({"STOFM-3107", file, range(*item), "an overlap with " + range(*previous),
                       "ranges that do not overlap", remedy});
    if (item->second.begin > filled)
      throw FileError({"STOFM-3108", file, range(*item),
                       concat("a hole of ", item->second.begin - filled, " bytes before it"),
                       concat("data without holes, from byte ", filled), remedy});
    filled = item->second.end;
    previous = item;
  }
  if (data_bytes < filled)
    throw FileError({"STOFM-3110", file, "data section", concat(data_bytes, " bytes"),
                     concat(filled, " bytes by the header"),
                     concat("truncated? expected ", filled, " bytes of data; get the file again.")});
  if (data_bytes > filled)
    throw FileError({"STOFM-3109", file, "data section",
                     concat(data_bytes - filled, " bytes behind the last tensor"),
                     concat("the end of the file after ", filled, " bytes of data"), remedy});
}

}  // namespace stofm::io::detail
