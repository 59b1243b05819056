// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the parts of the module share: models and slices as Python holds them, options, notices.

#include <nanobind/nanobind.h>

#include <string>
#include <vector>

#include "arrays.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/embed_options.hpp"
#include "stofm/pipeline/load_model.hpp"

namespace stofm::python {

/// A bundle that was loaded.
struct LoadedModel {
  pipeline::Model model;
  std::string path, sha256;
};

/// A slice over arrays of Python, which it keeps alive.
struct ArraySlice {
  io::Slice slice;
  std::vector<AnyArray> held;
};

/// Options by name; those that are missing stay at their defaults. \throws nb::python_error another type
pipeline::EmbedOptions embed_options(const nb::dict& options);

/// A member of a dict, or `otherwise`.
template <class T>
T value_or(const nb::dict& of, const char* name, T otherwise) {
  return of.contains(name) ? nb::cast<T>(of[name]) : otherwise;
}

/// [(code, text, count)].
nb::list notice_list(const Notices& notices);

/// Parts of the module, each in a file of its own.
void define_slices(nb::module_& module);
void define_embedding(nb::module_& module);
void define_tasks(nb::module_& module);

}  // namespace stofm::python
