// SPDX-License-Identifier: MIT
// Any bytes as a .npy file. What is accepted has exactly the data of its shape; header text written for that
// shape parses to the same.
#include <algorithm>
#include <string>

#include "stofm/io/npy.hpp"
#include "tests/fuzz/fuzz_target.hpp"

using namespace stofm;
using namespace stofm::io;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  const auto bytes = static_cast<std::int64_t>(size);
  fuzz::accepts([&] {
    const NpyHeader header = parse_npy_header(text.substr(0, 12 + npy_max_header_bytes), bytes, "fuzz");
    const std::int64_t elements = header.shape.numel();
    if (header.data_begin + elements * dtype_bytes(header.dtype) != bytes)
      fuzz::finding("data of another size");
    const std::string again = npy_header_text<double>(header.shape);
    if (again.size() % 64 != 0) fuzz::finding("a header that is not aligned");
    const auto total = static_cast<std::int64_t>(again.size()) + elements * 8;
    const NpyHeader parsed = parse_npy_header(again, total, "fuzz");
    if (parsed.shape != header.shape || parsed.dtype != Dtype::f64)
      fuzz::finding("a header does not survive");
    std::vector<double> reals(static_cast<std::size_t>(is_real(header.dtype) ? elements : 0));
    std::vector<std::int64_t> integers(static_cast<std::size_t>(is_real(header.dtype) ? 0 : elements));
    const char* payload = text.data() + header.data_begin;
    if (is_real(header.dtype))
      (void)decode_elements(header.dtype, payload, elements, reals.data());
    else
      (void)decode_elements(header.dtype, payload, elements, integers.data());
  });
  return 0;
}
