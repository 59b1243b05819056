// SPDX-License-Identifier: MIT
/// \file
/// stofm._stofm: what the Python files of stofm/ call. Errors of the library become stofm.Error there.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <exception>
#include <new>

#include "stofm/core/cpu_features.hpp"
#include "stofm/core/error.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/version.hpp"
#include "values.hpp"

namespace stofm::python {

nb::list notice_list(const Notices& notices) {
  nb::list list;
  for (const Notice& notice : notices) list.append(nb::make_tuple(notice.code, notice.text, notice.count));
  return list;
}

namespace {

void raise(ErrorKind kind, const ErrorParts& parts) {
  const nb::object error = nb::module_::import_("stofm._errors")
                               .attr("from_parts")(static_cast<int>(kind), parts.code, parts.file,
                                                   parts.where, parts.found, parts.expected, parts.remedy);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    raise(error.kind(), error.parts());
  } catch (const std::bad_alloc&) {
    raise(ErrorKind::resource,
          {"STOFM-5002", "", "memory", "no more", "", "Use fewer threads or smaller pieces (--split)."});
  }
}

}  // namespace
}  // namespace stofm::python

NB_MODULE(_stofm, module) {
  namespace nb = nanobind;
  nb::register_exception_translator(stofm::python::translate);
  module.attr("version") = STOFM_VERSION;
  module.def("cpu_kernels", [] { return std::string(stofm::to_string(stofm::cpu_kernels())); });
  module.def("thread_count", &stofm::thread_count);
  module.def("set_thread_count", &stofm::set_thread_count, nb::arg("threads"));
  stofm::python::define_slices(module);
  stofm::python::define_embedding(module);
  stofm::python::define_tasks(module);
}
