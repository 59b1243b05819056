// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Shapes and tensors as text, for messages and for looking at them.
///
///     std::cout << x.shape() << '\n' << x << '\n';
///
/// Four digits, columns aligned, brackets as NumPy sets them; of more than 1,000 elements the first and the
/// last three of each dimension. Host memory only.

#include <charconv>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "stofm/core/tensor.hpp"

namespace stofm {

/// How a tensor is shortened and rounded.
struct PrintOptions {
  std::int64_t most = 1000;  ///< elements that are printed in full; as NumPy's threshold
  std::int64_t edge = 3;     ///< first and last of a dimension that is shortened; as NumPy's edgeitems
  int digits = 4;            ///< significant ones of a real number, 1 to 17
};

namespace detail {

/// "0.25", "1e-07", "nan"; whole numbers in full.
template <Scalar T>
std::string number_text(T value, int digits) {
  char buffer[64];
  std::to_chars_result end{};
  if constexpr (std::is_integral_v<T>) {
    end = std::to_chars(buffer, buffer + sizeof buffer, static_cast<std::int64_t>(value));
    if constexpr (std::same_as<T, std::uint64_t>) end = std::to_chars(buffer, buffer + sizeof buffer, value);
  } else {
    const auto real = static_cast<double>(value);
    if (std::isnan(real)) return "nan";
    if (std::isinf(real)) return real > 0 ? "inf" : "-inf";
    end = std::to_chars(buffer, buffer + sizeof buffer, real, std::chars_format::general, digits);
  }
  return {buffer, end.ptr};
}

/// Walks a tensor twice: for the width of its numbers, then for the text.
template <Scalar T>
class TensorText {
 public:
  TensorText(const TensorView<const T>& x, const PrintOptions& options)
      : x_(x), options_(options), shortened_(x.numel() > options.most) {
    if (x_.numel() > 0) visit(0, 0, [this](const T& value) { measure(value); });
  }
  std::string text() {
    if (x_.rank() == 0) return number_text(*x_.data, options_.digits);
    write(0, 0);
    return std::move(text_);
  }

 private:
  void measure(const T& value) { width_ = (std::max)(width_, number_text(value, options_.digits).size()); }
  bool is_left_out(int d, std::int64_t i) const {
    return shortened_ && x_.dim(d) > 2 * options_.edge && i >= options_.edge && i < x_.dim(d) - options_.edge;
  }
  template <class Function>
  void visit(int d, std::int64_t offset, Function&& function) const {
    if (d == x_.rank()) return function(x_.data[offset]);
    for (std::int64_t i = 0; i < x_.dim(d); ++i) {
      if (is_left_out(d, i)) i = x_.dim(d) - options_.edge;
      visit(d + 1, offset + i * x_.stride(d), function);
    }
  }
  void write(int d, std::int64_t offset) {
    if (d == x_.rank()) {
      const std::string number = number_text(x_.data[offset], options_.digits);
      text_.append(width_ - number.size(), ' ').append(number);
      return;
    }
    text_ += '[';
    for (std::int64_t i = 0; i < x_.dim(d); ++i) {
      if (i > 0) separate(d);
      if (is_left_out(d, i)) {
        text_ += "...";
        i = x_.dim(d) - options_.edge;
        separate(d);
      }
      write(d + 1, offset + i * x_.stride(d));
    }
    text_ += ']';
  }
  /// Between elements a blank, between rows a line, between matrices an empty line more.
  void separate(int d) {
    text_ += ',';
    const auto inside = static_cast<std::size_t>(x_.rank() - 1 - d);
    if (inside == 0) {
      text_ += ' ';
    } else {
      text_.append(inside, '\n').append(static_cast<std::size_t>(d) + 1, ' ');
    }
  }

  TensorView<const T> x_;
  PrintOptions options_;
  bool shortened_;
  std::size_t width_ = 0;
  std::string text_;
};

}  // namespace detail

/// The elements as text; nothing of memory that is not shown is read. *Cost* what is shown.
template <Scalar T>
std::string to_string(TensorView<const T> x, const PrintOptions& options = {}) {
  return detail::TensorText<T>(x, options).text();
}
template <Scalar T>
std::string to_string(const Tensor<T>& x, const PrintOptions& options = {}) {
  return to_string<T>(x.view(), options);
}

inline std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << to_string(shape); }

template <Scalar T>
std::ostream& operator<<(std::ostream& out, const Tensor<T>& x) {
  return out << to_string(x);
}

}  // namespace stofm
