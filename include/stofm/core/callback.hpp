// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A function held in an options struct: what std::function is, without its header, which brings hash tables
/// and searchers along and is a twentieth of what a compiler holds for <stofm/cluster.hpp>.

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace stofm {

template <class Signature>
class Callback;

/// Holds anything callable as Result(Arguments...), or nothing. Copies share the function they hold, which
/// may be called by several threads at once if it allows that itself. Calling an empty one is undefined: ask
/// first. *Cost* an allocation when made, an indirect call.
template <class Result, class... Arguments>
class Callback<Result(Arguments...)> {
 public:
  Callback() = default;
  /// Implicit, so that a lambda can be assigned. A function object that is empty itself makes an empty one.
  template <class Function>
  requires(!std::same_as<std::remove_cvref_t<Function>, Callback> &&
           std::is_invocable_r_v<Result, std::decay_t<Function>&, Arguments...>)
      Callback(Function&& function) {
    using Held = std::decay_t<Function>;
    auto held = std::make_shared<Held>(std::forward<Function>(function));
    if constexpr (std::is_constructible_v<bool, const Held&> && std::is_default_constructible_v<Held>)
      if (!static_cast<bool>(*held)) return;
    held_ = std::move(held);
    call_ = [](void* at, Arguments... arguments) -> Result {
      return static_cast<Result>((*static_cast<Held*>(at))(std::forward<Arguments>(arguments)...));
    };
  }

  /// Whether there is a function to call.
  explicit operator bool() const noexcept { return call_ != nullptr; }
  Result operator()(Arguments... arguments) const {
    return call_(held_.get(), std::forward<Arguments>(arguments)...);
  }

 private:
  std::shared_ptr<void> held_;
  Result (*call_)(void*, Arguments...) = nullptr;
};

}  // namespace stofm
