// SPDX-License-Identifier: MIT
// Any bytes as CSV. What is accepted, written again and parsed again, is the same table.
#include <string>

#include "stofm/io/csv.hpp"
#include "stofm/io/csv_writer.hpp"
#include "tests/fuzz/fuzz_target.hpp"

using namespace stofm;
using namespace stofm::io;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::accepts([&] {
    const CsvTable table = parse_csv(text, "fuzz");
    std::string again;
    auto put = [&again](std::string_view field, bool first) {
      if (!first) again += ',';
      again += csv_field(field, ',', first);
    };
    for (std::int64_t row = -1; row < table.rows(); ++row) {
      for (std::int64_t column = 0; column < table.columns(); ++column) {
        const std::string_view field = row < 0 ? table.header(column) : table.at(row, column);
        put(field, column == 0);
        (void)parse_decimal(field);
      }
      again += '\n';
    }
    const CsvTable second = parse_csv(again, "fuzz");
    if (second.rows() != table.rows() || second.columns() != table.columns()) fuzz::finding("another size");
    for (std::int64_t column = 0; column < table.columns(); ++column)
      if (second.header(column) != table.header(column)) fuzz::finding("another header");
    for (std::int64_t row = 0; row < table.rows(); ++row)
      for (std::int64_t column = 0; column < table.columns(); ++column)
        if (second.at(row, column) != table.at(row, column)) fuzz::finding("another field");
  });
  return 0;
}
