// SPDX-License-Identifier: MIT
#include "parquet_table.hpp"

#if defined(STOFM_WITH_ARROW)
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>

#include <charconv>
#include <memory>

#include "stofm/core/error.hpp"
#endif

namespace stofm::program {

#if defined(STOFM_WITH_ARROW)
namespace {

[[noreturn]] void refuse_parquet(const std::string& file, const std::string& found) {
  throw FileError({"STOFM-3905", file, "", stofm::quoted(found, 200), "a whole Parquet file",
                   "The file is damaged or cut short: get it again."});
}

void require_arrow(const std::string& file, const arrow::Status& status) {
  if (!status.ok()) refuse_parquet(file, status.message());
}

template <class Number>
std::string shortest(Number value) {
  char text[40];
  return {text, std::to_chars(text, text + sizeof(text), value).ptr};
}

/// An entry as text; nothing is "".
std::string entry(const std::string& file, const arrow::Array& column, std::int64_t row) {
  if (column.IsNull(row)) return {};
  switch (column.type_id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return std::string(static_cast<const arrow::BinaryArray&>(column).GetView(row));
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return std::string(static_cast<const arrow::LargeBinaryArray&>(column).GetView(row));
    case arrow::Type::DOUBLE:
      return shortest(static_cast<const arrow::DoubleArray&>(column).Value(row));
    case arrow::Type::FLOAT:
      return shortest(static_cast<const arrow::FloatArray&>(column).Value(row));
    case arrow::Type::INT64:
      return shortest(static_cast<const arrow::Int64Array&>(column).Value(row));
    case arrow::Type::INT32:
      return shortest(static_cast<const arrow::Int32Array&>(column).Value(row));
    case arrow::Type::INT16:
      return shortest(static_cast<const arrow::Int16Array&>(column).Value(row));
    case arrow::Type::INT8:
      return shortest(static_cast<const arrow::Int8Array&>(column).Value(row));
    case arrow::Type::UINT64:
      return shortest(static_cast<const arrow::UInt64Array&>(column).Value(row));
    case arrow::Type::UINT32:
      return shortest(static_cast<const arrow::UInt32Array&>(column).Value(row));
    case arrow::Type::UINT16:
      return shortest(static_cast<const arrow::UInt16Array&>(column).Value(row));
    case arrow::Type::UINT8:
      return shortest(static_cast<const arrow::UInt8Array&>(column).Value(row));
    case arrow::Type::BOOL:
      return static_cast<const arrow::BooleanArray&>(column).Value(row) ? "1" : "0";
    case arrow::Type::DICTIONARY: {
      const auto& coded = static_cast<const arrow::DictionaryArray&>(column);
      return entry(file, *coded.dictionary(), coded.GetValueIndex(row));
    }
    default:
      refuse_parquet(file, "a column of " + column.type()->ToString());
  }
}

/// One group of rows at a time, in this thread.
void read_parquet(const std::string& file, const std::vector<std::string>& columns,
                  const std::function<void(const std::vector<std::string>&)>& row) {
  auto opened = arrow::io::ReadableFile::Open(file);
  require_arrow(file, opened.status());
  parquet::arrow::FileReaderBuilder builder;
  require_arrow(file, builder.Open(*opened));
  std::unique_ptr<parquet::arrow::FileReader> reader;
  require_arrow(file, builder.Build(&reader));
  reader->set_use_threads(false);
  std::vector<int> indices;
  for (const std::string& name : columns) {
    indices.push_back(reader->parquet_reader()->metadata()->schema()->ColumnIndex(name));
    if (indices.back() < 0)
      throw FileError({"STOFM-3907", file, "schema", "no column " + stofm::quoted(name, 60),
                       "the table as the instrument wrote it", "Get the file again."});
  }
  std::vector<std::string> fields(columns.size());
  for (int group = 0; group < reader->num_row_groups(); ++group) {
    std::shared_ptr<arrow::Table> table;
    require_arrow(file, reader->ReadRowGroup(group, indices, &table));
    auto combined = table->CombineChunks();
    require_arrow(file, combined.status());
    std::vector<std::shared_ptr<arrow::Array>> arrays;
    for (const std::string& name : columns) {
      const auto column = (*combined)->GetColumnByName(name);
      if (column == nullptr || column->num_chunks() != 1) refuse_parquet(file, "no column " + name);
      arrays.push_back(column->chunk(0));
    }
    for (std::int64_t i = 0; i < (*combined)->num_rows(); ++i) {
      for (std::size_t c = 0; c < columns.size(); ++c) fields[c] = entry(file, *arrays[c], i);
      row(fields);
    }
  }
}

}  // namespace

io::ParquetReader parquet_reader() {
  return [](const std::string& file, const std::vector<std::string>& columns,
            const std::function<void(const std::vector<std::string>&)>& row) {
    try {
      read_parquet(file, columns, row);
    } catch (const parquet::ParquetException& e) {
      refuse_parquet(file, e.what());
    }
  };
}
#else
io::ParquetReader parquet_reader() { return {}; }
#endif

}  // namespace stofm::program
