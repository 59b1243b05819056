// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// NumPy arrays: `NpyFile` reads .npy by position (cell embeddings), `write_npy` writes what numpy.save
/// writes.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "stofm/core/tensor.hpp"
#include "stofm/io/file.hpp"
#include "stofm/io/npy_header.hpp"

namespace stofm::io {

/// An open .npy file. Const members may be used from several threads.
class NpyFile {
 public:
  /// \throws FileError (STOFM-30xx, 33xx) for a path or file that is refused.
  static NpyFile open(const std::filesystem::path& path) {
    return detail::with_memory_errors(path, [&] { return NpyFile(File::open(path)); });
  }

  const std::string& path() const { return file_.path(); }
  const NpyHeader& header() const { return header_; }
  const Shape& shape() const { return header_.shape; }

  /// The array as T, row-major. Real T takes float16/32/64 (rounded), integer T integers and bool that fit.
  /// *Cost* one read; Fortran order takes the memory twice. \throws FileError STOFM-3309 type, 3310 a value
  /// does not fit.
  template <Scalar T>
  Tensor<T> read() const {
    return detail::with_memory_errors(path(), [&] { return read_dense<T>(); });
  }
  /// Rows [begin, end) of an array in C order with at least one dimension, for files larger than memory.
  /// \throws as read; ShapeError (STOFM-3311) for a range outside; FileError (STOFM-3312) for Fortran order.
  template <Scalar T>
  Tensor<T> read_rows(std::int64_t begin, std::int64_t end) const {
    require_decodable<T>();
    if (header_.fortran_order && shape().rank() > 1)
      throw FileError({"STOFM-3312", path(), "header", "Fortran order", "C order to read row by row",
                       "Save numpy.ascontiguousarray(array)."});
    if (shape().rank() == 0 || begin < 0 || begin > end || end > shape()[0])
      throw ShapeError({"STOFM-3311", path(), "rows", concat("[", begin, ", ", end, ")"),
                        "a range within shape " + to_string(shape()), "Check the range."});
    std::array<std::int64_t, max_rank> sizes{};
    std::copy(shape().sizes().begin(), shape().sizes().end(), sizes.begin());
    sizes[0] = end - begin;
    Tensor<T> rows(Shape(std::span<const std::int64_t>(sizes.data(), shape().sizes().size())));
    std::int64_t width = 1;  // elements of one row
    for (int i = 1; i < shape().rank(); ++i) width *= shape()[i];
    read_stored(begin * width, rows.span());
    return rows;
  }

 private:
  explicit NpyFile(File file) : file_(std::move(file)) {
    std::string start(static_cast<std::size_t>((std::min)(file_.size(), 12 + npy_max_header_bytes)), '\0');
    file_.read(start.data(), 0, static_cast<std::int64_t>(start.size()));
    header_ = parse_npy_header(start, file_.size(), path());
  }

  template <Scalar T>
  Tensor<T> read_dense() const {
    require_decodable<T>();
    if (!header_.fortran_order || shape().rank() < 2) {
      Tensor<T> result(shape());
      read_stored(0, result.span());
      return result;
    }
    std::array<std::int64_t, max_rank> reversed{};
    const int rank = shape().rank();
    for (int i = 0; i < rank; ++i) reversed[static_cast<std::size_t>(i)] = shape()[rank - 1 - i];
    Tensor<T> stored(Shape(std::span<const std::int64_t>(reversed.data(), static_cast<std::size_t>(rank))));
    read_stored(0, stored.span());
    for (int i = 0; i < rank / 2; ++i) stored = stored.transpose(i, rank - 1 - i);
    return stored.contiguous();
  }
  template <Scalar T>
  void require_decodable() const {
    if (!can_decode<T>(header_.dtype))
      throw FileError({"STOFM-3309", path(), "header", concat("elements of type ", dtype_name(header_.dtype)),
                       Real<T> ? "F16, F32 or F64" : "integers",
                       "Convert the array first (array.astype('<f4'))."});
  }
  /// Elements from `first` on, in the order of the file.
  template <Scalar T>
  void read_stored(std::int64_t first, std::span<T> out) const {
    const std::int64_t width = dtype_bytes(header_.dtype), count = static_cast<std::int64_t>(out.size());
    const std::int64_t position = header_.data_begin + first * width, chunk = (std::int64_t{1} << 20) / width;
    std::string buffer(static_cast<std::size_t>((std::min)(chunk, count) * width), '\0');
    for (std::int64_t done = 0; done < count; done += chunk) {
      const std::int64_t part = (std::min)(chunk, count - done);
      file_.read(buffer.data(), position + done * width, part * width);
      if (header_.big_endian)
        for (std::int64_t i = 0; i < part; ++i)
          std::reverse(buffer.begin() + i * width, buffer.begin() + (i + 1) * width);
      const std::int64_t bad = decode_elements(header_.dtype, buffer.data(), part, out.data() + done);
      if (bad >= 0)
        throw FileError({"STOFM-3310", path(), concat("element ", first + done + bad),
                         concat("a value of ", dtype_name(header_.dtype), " out of range"),
                         concat("values that fit ", dtype_name(dtype_of<T>())), "Check the array."});
    }
  }

  File file_;
  NpyHeader header_;
};

/// The header that numpy.save writes for a row-major array of this type and shape (bfloat16 has none in
/// NumPy).
template <Scalar T>
requires(!std::same_as<T, bfloat16>) std::string npy_header_text(const Shape& shape) {
  constexpr char kind = std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
  std::string dict = concat("{'descr': '", sizeof(T) > 1 ? '<' : '|', kind, sizeof(T),
                            "', 'fortran_order': False, 'shape': (");
  for (int i = 0; i < shape.rank(); ++i) dict += (i ? ", " : "") + std::to_string(shape[i]);
  dict += shape.rank() == 1 ? ",), }" : "), }";
  const std::size_t unpadded = 10 + dict.size() + 1;
  dict.append((64 - unpadded % 64) % 64, ' ');
  dict += '\n';
  std::string header = std::string("\x93NUMPY\x01", 7) + '\0';
  header += static_cast<char>(dict.size() & 255U);
  header += static_cast<char>(dict.size() >> 8);
  return header + dict;
}

/// Writes an array as numpy.save does (format 1.0, C order, little endian); whole or not at all.
/// \throws as OutputFile.
template <Scalar T>
void write_npy(const std::filesystem::path& path, const Tensor<T>& tensor, OutputOptions options = {}) {
  const Tensor<T> dense = tensor.contiguous();
  const std::string header = npy_header_text<T>(dense.shape());
  const std::int64_t bytes = dense.numel() * static_cast<std::int64_t>(sizeof(T));
  options.expected_bytes = static_cast<std::int64_t>(header.size()) + bytes;
  atomic_write(
      path,
      [&](OutputFile& output) {
        output.write(header);
        output.write(dense.data(), bytes);
      },
      options);
}

}  // namespace stofm::io
