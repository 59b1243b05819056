// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The library names the fields of its options structs in what it says ("H5adReadOptions::layer = counts");
/// here they become the flags of this program ("--layer counts").

#include <string>
#include <string_view>

namespace stofm::program {

/// `text` with each field that has a flag as that flag; others stay as they are. Cost: O(text x fields).
std::string with_flags(std::string_view text);

}  // namespace stofm::program
