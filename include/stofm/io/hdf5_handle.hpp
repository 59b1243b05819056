// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// libhdf5's handles as C++ objects, its error stack as our errors, and its one-thread rule as a mutex.

#if !__has_include(<hdf5.h>)
#error \
    "hdf5.h is not found: install libhdf5 (apt-get install libhdf5-dev) and link stofm::hdf5, or use pkg-config stofm-hdf5"
#endif
#include <hdf5.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "stofm/core/error.hpp"
#include "stofm/io/system_calls.hpp"

#if !H5_VERSION_GE(1, 10, 7) || (H5_VERSION_GE(1, 12, 0) && !H5_VERSION_GE(1, 12, 1))
#error "stofm needs libhdf5 1.10.7 or newer (of 1.12: 1.12.1), which opens a file without a lock"
#endif

namespace stofm::io {

/// Debian's libhdf5 is not thread-safe: whoever calls it holds this mutex.
inline std::mutex& hdf5_mutex() {
  static std::mutex mutex;
  return mutex;
}

/// An hid_t that closes itself. Move-only.
class Hdf5Handle {
 public:
  using Closer = herr_t (*)(hid_t);

  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, Closer closer) : id_(id), closer_(closer) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), closer_(other.closer_) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    if (this != &other) {
      close();
      id_ = std::exchange(other.id_, H5I_INVALID_HID);
      closer_ = other.closer_;
    }
    return *this;
  }
  ~Hdf5Handle() { close(); }

  hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }
  /// Closes now. \return false if libhdf5 reports that something could not be written.
  bool close() noexcept {
    const hid_t id = std::exchange(id_, H5I_INVALID_HID);
    return id < 0 || closer_ == nullptr || closer_(id) >= 0;
  }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Closer closer_ = nullptr;
};

/// While it lives libhdf5 prints nothing and loads no filter plugins; afterwards all is as before.
/// The caller holds hdf5_mutex().
class Hdf5Quiet {
 public:
  Hdf5Quiet() {
    H5open();
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    H5PLget_loading_state(&plugins_);
    H5PLset_loading_state(0);
  }
  Hdf5Quiet(const Hdf5Quiet&) = delete;
  Hdf5Quiet& operator=(const Hdf5Quiet&) = delete;
  ~Hdf5Quiet() {
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, function_, data_);
    H5PLset_loading_state(plugins_);
  }

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
  unsigned plugins_ = 0;
};

namespace detail {
inline herr_t keep_innermost(unsigned depth, const H5E_error2_t* error, void* text) {
  if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}
}  // namespace detail

/// The innermost complaint of libhdf5.
struct Hdf5Failure {
  std::string text;  ///< "file write failed: No space left on device"; empty if it gives no reason
  int error = 0;     ///< errno if a call of the system failed, else 0

  /// Quoted, or "no reason given".
  std::string reason() const { return text.empty() ? "no reason given" : stofm::quoted(text); }
};

/// Takes it off libhdf5's error stack. What it says about failed system calls (times, descriptors, addresses
/// of buffers) is cut down to the error itself.
inline Hdf5Failure hdf5_failure() {
  Hdf5Failure failure;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, detail::keep_innermost, &failure.text);
  H5Eclear2(H5E_DEFAULT);
  constexpr std::string_view mark = "errno = ";
  const std::size_t at = failure.text.find(mark);
  if (at == std::string::npos) return failure;
  for (std::size_t i = at + mark.size(); i < failure.text.size() && failure.error < 100000; ++i) {
    const char digit = failure.text[i];
    if (digit < '0' || digit > '9') break;
    failure.error = 10 * failure.error + (digit - '0');
  }
  if (failure.error == 0) return failure;
  failure.text.resize((std::min)(failure.text.find(':'), at));
  failure.text += ": " + errno_text(failure.error);
  return failure;
}

/// As text.
inline std::string hdf5_reason() { return hdf5_failure().reason(); }

/// Throws if libhdf5 failed. `where` is the path in the file. \throws ResourceError if the system failed,
/// FileError for a file that may not be opened, or is damaged
inline void require_hdf5(bool success, const std::string& file, const std::string& where,
                         const char* action) {
  if (success) return;
  const Hdf5Failure failure = hdf5_failure();
  const int error = failure.error;
  if (error != 0)
    detail::throw_errno(error, file,
                        error == EACCES || error == EPERM || error == ENOENT || error == ELOOP
                            ? "open"
                            : concat(action, where.empty() ? "" : ": ", where));
  throw FileError(
      {"STOFM-3532", file, where, concat("libhdf5 can not ", action, " (", failure.reason(), ")"),
       "an undamaged HDF5 object",
       "The file is damaged, or of a newer HDF5: download it again, or write it with default settings."});
}

/// Owns `id`, or throws as require_hdf5.
inline Hdf5Handle checked_handle(hid_t id, Hdf5Handle::Closer closer, const std::string& file,
                                 const std::string& where, const char* action) {
  require_hdf5(id >= 0, file, where, action);
  return {id, closer};
}

}  // namespace stofm::io
