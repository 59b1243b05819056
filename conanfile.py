# SPDX-License-Identifier: MIT
"""Conan 2: the headers of stofm, as `cmake --install` lays them, for find_package(stofm COMPONENTS hdf5).

    conan create . -tf tests/packaging/conan
"""
import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain
from conan.tools.files import copy

required_conan_version = ">=2.0"


class Stofm(ConanFile):
    name = "stofm"
    description = "SToFM in C++ and CUDA: embeddings of spatial transcriptomics slices"
    topics = ("spatial transcriptomics", "foundation model", "header-only")
    license = "MIT"
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"hdf5": [True, False]}  # reading and writing of .h5ad
    default_options = {"hdf5": True}
    exports_sources = "CMakeLists.txt", "cmake/*", "include/*", "kernels/*", "src/*", "LICENSE", "NOTICE"
    no_copy_source = True

    def set_version(self):
        header = (Path(self.recipe_folder) / "include" / "stofm" / "version.hpp").read_text(encoding="utf-8")
        self.version = re.search(r'STOFM_VERSION "([\d.]+)"', header)[1]

    def requirements(self):
        self.requires("eigen/[>=3.4 <5]", transitive_headers=True)
        self.requires("nlohmann_json/[>=3.10 <4]", transitive_headers=True)
        if self.options.hdf5:
            self.requires("hdf5/[>=1.10 <2]", transitive_headers=True, transitive_libs=True)
            self.requires("zlib/[>=1.2 <2]", transitive_headers=True, transitive_libs=True)

    def validate(self):
        check_min_cppstd(self, 20)

    def package_id(self):
        self.info.clear()  # headers: one package for all settings

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables.update(
            STOFM_DEVELOPER=False, STOFM_COMPILED=False, STOFM_HDF5=bool(self.options.hdf5), STOFM_MPI=False)
        toolchain.generate()

    def package(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.install()
        for name in ("LICENSE", "NOTICE"):
            copy(self, name, self.source_folder, str(Path(self.package_folder) / "licenses"))

    def package_info(self):
        # stofm's own configuration makes the targets, so that components are the same with and without Conan.
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.builddirs = ["lib/cmake/stofm"]
        self.cpp_info.bindirs = self.cpp_info.libdirs = []
