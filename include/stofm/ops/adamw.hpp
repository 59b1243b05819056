// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One AdamW step of a run of numbers. Formula and source: nn/adamw.hpp.

#include <span>

#include "stofm/backend/cpu/adamw.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

using stofm::backend::AdamWStep;

/// x and both moments m, v after one step with gradient `grad`. *Shapes* [N] all. \throws ShapeError. *Cost*
/// O(N). *Deterministic* yes: the same bits on every kernel level.
template <Computed T>
void adamw_step(std::span<T> x, std::span<T> m, std::span<T> v, std::type_identity_t<std::span<const T>> grad,
                const AdamWStep<T>& step) {
  if (m.size() != x.size() || v.size() != x.size() || grad.size() != x.size())
    detail::refuse("adamw_step",
                   concat(x.size(), ", ", m.size(), ", ", v.size(), ", ", grad.size(), " numbers"),
                   "one of each moment and gradient for each value");
  backend::adamw_step(x.data(), m.data(), v.data(), grad.data(), static_cast<std::int64_t>(x.size()), step);
}

}  // namespace stofm::ops
