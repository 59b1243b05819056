// SPDX-License-Identifier: MIT
/// \file
/// A slice from the arrays of an AnnData, by io/memory_slice.hpp.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "interruptible.hpp"
#include "stofm/io/memory_slice.hpp"
#include "values.hpp"

namespace stofm::python {
namespace {

/// (index name, names of the rows, [(column, codes or None, categories, text)], length)
io::MemoryFrame frame_of(const char* path, const nb::tuple& frame) {
  std::vector<io::MemoryColumn> columns;
  for (const nb::handle one : nb::cast<nb::list>(frame[2])) {
    const auto parts = nb::cast<nb::tuple>(one);
    io::MemoryColumn column;
    column.name = nb::cast<std::string>(parts[0]);
    column.text = nb::cast<bool>(parts[3]);
    if (!parts[1].is_none()) {
      const auto codes =
          nb::cast<nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>>(parts[1]);
      column.groups.codes.assign(codes.data(), codes.data() + codes.size());
      column.groups.categories = nb::cast<std::vector<std::string>>(parts[2]);
    }
    columns.push_back(std::move(column));
  }
  return {path, nb::cast<std::int64_t>(frame[3]), nb::cast<std::string>(frame[0]),
          nb::cast<std::vector<std::string>>(frame[1]), std::move(columns)};
}

/// (values, indices or None, indptr or None, rows, columns); arrays join `held`.
io::ArrayMatrix matrix_of(const std::string& source, const std::string& path, const nb::tuple& parts,
                          std::vector<AnyArray>& held) {
  io::ArrayMatrixParts matrix;
  matrix.source = source;
  matrix.path = path;
  matrix.rows = nb::cast<std::int64_t>(parts[3]);
  matrix.columns = nb::cast<std::int64_t>(parts[4]);
  const auto hold = [&](const nb::handle array) {
    held.push_back(nb::cast<AnyArray>(array));
    return numbers_of(held.back(), path.c_str());
  };
  matrix.values = hold(parts[0]);
  if (parts[2].is_none()) {
    matrix.row_stride = held.back().stride(0);
    matrix.column_stride = held.back().stride(1);
  } else {
    matrix.indices = hold(parts[1]);
    matrix.starts = hold(parts[2]);
  }
  return io::ArrayMatrix(std::move(matrix));
}

io::H5adReadOptions read_options(const nb::dict& options) {
  io::H5adReadOptions read;
  read.gene_key = value_or<std::string>(options, "gene_key", "");
  read.library_key = value_or<std::string>(options, "library_key", "");
  read.overlay = value_or(options, "overlay", false);
  read.positions_required = value_or(options, "positions_required", true);
  read.counts_scale = io::parse_counts_scale(value_or<std::string>(options, "counts_scale", "auto"));
  return read;
}

std::unique_ptr<ArraySlice> make_slice(const std::string& source, const std::string& path,
                                       const nb::tuple& counts, const nb::tuple& obs, const nb::tuple& var,
                                       const nb::object& positions, const std::string& positions_source,
                                       const nb::list& beside, const nb::dict& options) {
  auto made = std::make_unique<ArraySlice>();
  io::ArrayMatrixParts parts = matrix_of(source, path, counts, made->held).parts();
  for (const nb::handle one : beside) {
    const auto other = nb::cast<nb::tuple>(one);
    parts.beside.push_back(
        {nb::cast<std::string>(other[0]), nb::cast<std::string>(other[1]),
         std::make_shared<const io::ArrayMatrix>(
             matrix_of(source, nb::cast<std::string>(other[0]), nb::cast<nb::tuple>(other[2]), made->held))});
  }
  parts.genes_of_raw = value_or<std::int64_t>(options, "genes_of_raw", 0);
  parts.log_hint = io::parse_counts_scale(value_or<std::string>(options, "log_hint", "auto"));
  io::SliceArrays arrays{{source, value_or<std::vector<std::string>>(options, "spatial_libraries", {})},
                         io::ArrayMatrix(std::move(parts)),
                         frame_of("obs", obs),
                         frame_of(path == "raw/X" ? "raw/var" : "var", var)};
  if (!positions.is_none()) {
    const auto table =
        nb::cast<nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>>(positions);
    const std::size_t width = table.shape(1);
    for (std::size_t i = 0; i < table.shape(0); ++i) {
      const double* row = table.data() + i * width;
      arrays.positions.xy.insert(arrays.positions.xy.end(), row, row + 2);
      if (width > 2) arrays.positions.z.push_back(row[2]);
    }
    arrays.positions.source = positions_source;
  }
  const io::H5adReadOptions read = read_options(options);
  made->slice = run_interruptibly(nb::none(), [&](const pipeline::Progress& progress) {
    arrays.source.progress = [&progress] { progress.check(); };
    return io::slice_of_arrays(std::move(arrays), read);
  });
  return made;
}

}  // namespace

void define_slices(nb::module_& module) {
  nb::class_<ArraySlice>(module, "Slice")
      .def_prop_ro("counts_source", [](const ArraySlice& s) { return s.slice.counts_source; })
      .def_prop_ro("counts_scale", [](const ArraySlice& s) { return s.slice.counts_scale; })
      .def_prop_ro("positions_source", [](const ArraySlice& s) { return s.slice.coordinates_source; })
      .def_prop_ro("cells", [](const ArraySlice& s) { return s.slice.cells; })
      .def_prop_ro("genes", [](const ArraySlice& s) { return s.slice.genes(); })
      .def_prop_ro("libraries", [](const ArraySlice& s) { return s.slice.library_names; })
      .def_prop_ro("library", [](const ArraySlice& s) { return array_of(s.slice.library); })
      .def_prop_ro(
          "addresses",  // of the arrays that counts are read from: that nothing was copied can be told
          [](const ArraySlice& s) {
            nb::list list;
            for (const AnyArray& array : s.held) list.append(reinterpret_cast<std::uintptr_t>(array.data()));
            return list;
          })
      .def_prop_ro("notices", [](const ArraySlice& s) { return notice_list(s.slice.notices); });
  module.def("make_slice", &make_slice);
}

}  // namespace stofm::python
