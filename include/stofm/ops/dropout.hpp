// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// y = x * keep * factor, keep the bits of a DropoutMask (core/random_key.hpp).

#include <span>

#include "stofm/backend/cpu/dropout_mask.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// *Shapes* [N] both; element e is drawn as element e of the mask; y may be x. \throws ShapeError. *Cost*
/// O(N). *Deterministic* yes: the same bits on every kernel level.
template <Computed T>
void dropout(std::span<T> y, std::type_identity_t<std::span<const T>> x, const DropoutMask& mask, T factor) {
  if (y.size() != x.size())
    detail::refuse("dropout", concat(y.size(), " results, ", x.size(), " numbers"),
                   "a result for each number");
  backend::dropout(y.data(), x.data(), static_cast<std::int64_t>(x.size()), mask, factor);
}

}  // namespace stofm::ops
