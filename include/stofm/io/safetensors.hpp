// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Reading safetensors files, strictly and by position. The writing side is io/safetensors_writer.hpp.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/core/tensor.hpp"
#include "stofm/io/file.hpp"
#include "stofm/io/safetensors_header.hpp"
#include "stofm/io/safetensors_writer.hpp"

namespace stofm::io {

/// An open safetensors file: the header is read and checked at once, tensors on demand by `pread`. Nothing is
/// mapped. Const members may be used from several threads.
class SafetensorsFile {
 public:
  /// \throws FileError (STOFM-30xx, 31xx, 32xx) for a path or file that is refused; ResourceError on I/O
  /// errors.
  static SafetensorsFile open(const std::filesystem::path& path, const SafetensorsLimits& limits = {});

  const std::string& path() const { return file_.path(); }
  std::int64_t file_bytes() const { return file_.size(); }
  /// Names of all tensors, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    names.reserve(header_.tensors.size());
    for (const auto& [name, info] : header_.tensors) names.push_back(name);
    return names;
  }
  bool contains(std::string_view name) const { return header_.tensors.find(name) != header_.tensors.end(); }
  /// \throws FileError (STOFM-3120) if there is no such tensor.
  const SafetensorsInfo& info(std::string_view name) const {
    const auto found = header_.tensors.find(name);
    if (found == header_.tensors.end())
      throw FileError({"STOFM-3120", path(), detail::tensor_place(name), "no tensor of this name",
                       concat("one of the ", header_.tensors.size(), " tensors in the file"),
                       "Check that the file belongs to this model."});
    return found->second;
  }
  const std::map<std::string, SafetensorsInfo, std::less<>>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string, std::less<>>& metadata() const { return header_.metadata; }
  /// What was accepted but deserves a word (row S22).
  const Notices& notices() const { return header_.notices; }

  /// One tensor as T, dense. Real T: from F16, BF16, F32, F64, rounded to nearest. Integer T: from integers
  /// and BOOL, where every value fits. *Cost* one read of the bytes; conversions go through a buffer of 1
  /// MiB. \throws FileError STOFM-3120 no such tensor, 3121 dtype does not convert, 3122 a value does not
  /// fit, 3003 the file was cut meanwhile; ResourceError without memory.
  template <Scalar T>
  Tensor<T> read(std::string_view name) const {
    const SafetensorsInfo& tensor = info(name);
    require_decodable<T>(name, tensor);
    return detail::with_memory_errors(path(), [&] {
      Tensor<T> result(tensor.shape);
      read_elements(name, 0, result.span());
      return result;
    });
  }
  /// Elements [first, first + out.size()) of a tensor in row-major order. \throws as read, and ShapeError
  /// (STOFM-3123) for a range outside.
  template <Scalar T>
  void read_elements(std::string_view name, std::int64_t first, std::span<T> out) const {
    const SafetensorsInfo& tensor = info(name);
    require_decodable<T>(name, tensor);
    const auto count = static_cast<std::int64_t>(out.size());
    if (first < 0 || count > tensor.shape.numel() || first > tensor.shape.numel() - count)
      throw ShapeError({"STOFM-3123", path(), detail::tensor_place(name),
                        concat("elements [", first, ", ", first, " + ", count, ")"),
                        concat("a range within ", tensor.shape.numel(), " elements"), "Check the range."});
    const std::int64_t width = dtype_bytes(tensor.dtype);
    const std::int64_t position = data_begin_ + tensor.begin + first * width;
    if (tensor.dtype == dtype_of<T>()) {
      file_.read(out.data(), position, count * width);
      return;
    }
    const std::int64_t chunk = (std::int64_t{1} << 20) / width;
    std::string buffer(static_cast<std::size_t>((std::min)(chunk, count) * width), '\0');
    for (std::int64_t done = 0; done < count; done += chunk) {
      const std::int64_t part = (std::min)(chunk, count - done);
      file_.read(buffer.data(), position + done * width, part * width);
      const std::int64_t bad = decode_elements(tensor.dtype, buffer.data(), part, out.data() + done);
      if (bad >= 0)
        throw FileError(
            {"STOFM-3122", path(), detail::tensor_place(name),
             concat("element ", first + done + bad, " of ", dtype_name(tensor.dtype), " out of range"),
             concat("values that fit ", dtype_name(dtype_of<T>())), "Check the weights."});
    }
  }
  /// The bytes of a tensor of any dtype, as stored.
  std::string read_bytes(std::string_view name) const {
    const SafetensorsInfo& tensor = info(name);
    return detail::with_memory_errors(path(), [&] {
      std::string bytes(static_cast<std::size_t>(tensor.bytes()), '\0');
      file_.read(bytes.data(), data_begin_ + tensor.begin, tensor.bytes());
      return bytes;
    });
  }
  /// Row S30: names the tensors that are converted when read as `wanted`, as one notice (STOFM-W3102), or
  /// nothing.
  Notices conversion_notices(Dtype wanted = Dtype::f32) const {
    std::int64_t count = 0;
    std::string first;
    for (const auto& [name, tensor] : header_.tensors)
      if (is_real(tensor.dtype) && tensor.dtype != wanted && count++ == 0)
        first = detail::tensor_place(name) + " is " + std::string(dtype_name(tensor.dtype));
    if (count == 0) return {};
    return {{"STOFM-W3102", concat(count, " tensor(s) are converted to ", dtype_name(wanted), "; ", first),
             count}};
  }

 private:
  SafetensorsFile(File file, const SafetensorsLimits& limits) : file_(std::move(file)) {
    const std::string remedy = "Check that it is a safetensors file, or get it again.";
    if (file_.size() < 8)
      throw FileError({"STOFM-3101", path(), "byte 0", concat("a file of ", file_.size(), " bytes"),
                       "the 8-byte header length", remedy});
    std::uint64_t length = 0;
    file_.read(&length, 0, 8);
    const std::string_view head(reinterpret_cast<const char*>(&length), 8);
    if (head == std::string_view("\x89HDF\r\n\x1a\n", 8))
      throw FileError(
          {"STOFM-3132", path(), "byte 0", "an HDF5 file (a slice, .h5ad?)", "a safetensors file",
           "Slices go to embed, which finds their virtual cells itself; here are taken arrays in a "
           ".safetensors file."});
    if (length == 0)
      throw FileError({"STOFM-3104", path(), "header length", "0", "a header of at least 2 bytes", remedy});
    const ForeignFile foreign =
        length > static_cast<std::uint64_t>(file_.size()) ? recognise_foreign(path(), head) : ForeignFile{};
    if (!foreign.what.empty())
      throw FileError(
          {"STOFM-3132", path(), "byte 0", foreign.what, "a safetensors or .h5ad file", foreign.remedy});
    if (length > static_cast<std::uint64_t>(limits.max_header_bytes))
      throw FileError({"STOFM-3103", path(), "header length",
                       concat(length, " bytes in a file of ", file_.size()),
                       concat("at most the cap of ", limits.max_header_bytes, " bytes"), remedy});
    const auto header_bytes = static_cast<std::int64_t>(length);
    if (header_bytes > file_.size() - 8)
      throw FileError({"STOFM-3102", path(), "header length",
                       concat(header_bytes, " bytes in a file of ", file_.size(), " bytes"),
                       "a header that ends within the file", "truncated? " + remedy});
    std::string text(static_cast<std::size_t>(header_bytes), '\0');
    file_.read(text.data(), 8, header_bytes);
    data_begin_ = 8 + header_bytes;
    header_ = parse_safetensors_header(text, file_.size() - data_begin_, path(), limits);
  }

  template <Scalar T>
  void require_decodable(std::string_view name, const SafetensorsInfo& tensor) const {
    if (!can_decode<T>(tensor.dtype))
      throw FileError({"STOFM-3121", path(), detail::tensor_place(name),
                       concat("dtype ", dtype_name(tensor.dtype)),
                       Real<T> ? "one of F16, BF16, F32, F64" : "an integer dtype",
                       "Check that the file belongs to this model."});
  }

  File file_;
  std::int64_t data_begin_ = 0;
  SafetensorsHeader header_;
};

}  // namespace stofm::io

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE io::SafetensorsFile io::SafetensorsFile::open(const std::filesystem::path& path,
                                                           const SafetensorsLimits& limits) {
  return detail::with_memory_errors(path, [&] { return SafetensorsFile(File::open(path), limits); });
}

}  // namespace stofm
#endif
