// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// std::from_chars for a double, also where the standard library has it for whole numbers only (libc++ before
/// 20; Apple's, unless the oldest system that is built for has a newer one).

#include <locale.h>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#if defined(__APPLE__) || defined(__FreeBSD__)
#include <xlocale.h>
#endif

namespace stofm {
namespace detail {

/// std::from_chars(first, last, value) by strtod_l in the C locale: the same texts, values and error codes;
/// the process' locale is neither read nor changed. Both round to nearest, so the bits are the same too.
inline std::from_chars_result parse_double_by_strtod(const char* first, const char* last, double& value) {
  const std::string_view text(first, static_cast<std::size_t>(last - first));
  const std::size_t sign = text.substr(0, 1) == "-" ? 1 : 0;
  // strtod takes more: blanks before the number, a plus, hexadecimal digits after 0x.
  const std::string_view number = text.substr(sign);
  const bool begins =
      !number.empty() && (number[0] == '.' || (number[0] >= '0' && number[0] <= '9') || number[0] == 'i' ||
                          number[0] == 'I' || number[0] == 'n' || number[0] == 'N');
  if (!begins) return {first, std::errc::invalid_argument};
  const bool hexadecimal = number.size() > 1 && number[0] == '0' && (number[1] == 'x' || number[1] == 'X');
  const std::string copy(text.substr(0, hexadecimal ? sign + 1 : text.size()));  // ends in a zero byte
  static const locale_t c_locale = ::newlocale(LC_ALL_MASK, "C", nullptr);
  char* end = nullptr;
  const double parsed = ::strtod_l(copy.c_str(), &end, c_locale);
  if (end == copy.c_str()) return {first, std::errc::invalid_argument};
  const char* const stop = first + (end - copy.c_str());
  const std::string_view used = text.substr(0, static_cast<std::size_t>(stop - first));
  const bool is_word = used.find_first_of("iInN") != std::string_view::npos;
  const std::string_view digits = used.substr(0, (std::min)(used.find_first_of("eE"), used.size()));
  const bool overflowed = !is_word && std::isinf(parsed);
  const bool vanished = parsed == 0 && digits.find_first_of("123456789") != std::string_view::npos;
  if (overflowed || vanished) return {stop, std::errc::result_out_of_range};
  value = parsed;
  return {stop, std::errc{}};
}

}  // namespace detail

/// Reads the longest number at the start of [first, last) as std::from_chars does: no blanks, no plus, a
/// point whatever the locale; "inf" and "nan" are numbers. Too large or too small for a double:
/// result_out_of_range, `value` stays.
inline std::from_chars_result parse_double(const char* first, const char* last, double& value) {
#if !defined(_LIBCPP_VERSION) || defined(__cpp_lib_to_chars)
  return std::from_chars(first, last, value);
#else
  return detail::parse_double_by_strtod(first, last, value);
#endif
}

}  // namespace stofm
