// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Device tags. A tag selects the overload set of a backend at compile time; the ordinal picks the card at
/// run time.

#include <concepts>
#include <string>

namespace stofm {

/// Host memory, computed on by the CPU backend.
struct Cpu {
  bool operator==(const Cpu&) const = default;
};

/// Device memory of one CUDA card. Only a tag here: its memory and its ops are declared in `backend/cuda/`.
struct Cuda {
  int ordinal = 0;
  bool operator==(const Cuda&) const = default;
};

template <class D>
concept DeviceTag = std::same_as<D, Cpu> || std::same_as<D, Cuda>;

inline std::string device_name(Cpu) { return "cpu"; }
inline std::string device_name(Cuda device) { return "cuda:" + std::to_string(device.ordinal); }

}  // namespace stofm
