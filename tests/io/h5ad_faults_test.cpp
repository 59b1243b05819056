// SPDX-License-Identifier: MIT
// What the system and others do to a file while it is read or written: failing and lost writes of libhdf5, an
// input that is cut, changed or replaced, locks of other programs, files without permission to write.
//
// libhdf5 calls pwrite and ftruncate through the dynamic linker, so that the definitions of this program come
// first: they pass everything on unless a test has armed them. The counters are shared with children.
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmath>

#include "stofm/io/h5ad_info.hpp"
#include "stofm/io/h5ad_writer.hpp"
#include "tests/io/make_h5ad_files.hpp"

#if defined(__linux__) && defined(SYS_pwrite64) && defined(SYS_ftruncate)

namespace {

/// Lives in memory that children share.
struct WriteFaults {
  long armed = 0;  ///< the call that fails, from 1; 0: none
  long seen = 0;   ///< calls so far
  int error = 0;   ///< its errno; 0: it claims success and does nothing
  bool for_ever = false;
};
WriteFaults& write_faults() {
  static auto* shared = static_cast<WriteFaults*>(
      ::mmap(nullptr, sizeof(WriteFaults), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  return *shared;
}
bool fault_due() {
  WriteFaults& faults = write_faults();
  if (faults.armed == 0) return false;
  ++faults.seen;
  return faults.seen == faults.armed || (faults.for_ever && faults.seen > faults.armed);
}

}  // namespace

extern "C" ssize_t pwrite(int descriptor, const void* data, std::size_t size, off_t offset) {
  if (fault_due()) {
    if (write_faults().error == 0) return static_cast<ssize_t>(size);
    errno = write_faults().error;
    return -1;
  }
  return ::syscall(SYS_pwrite64, descriptor, data, size, offset);
}
extern "C" int ftruncate(int descriptor, off_t size) noexcept {
  if (fault_due() && write_faults().error != 0) {
    errno = write_faults().error;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_ftruncate, descriptor, size));
}

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

struct Results {
  std::vector<float> values;
  H5adResult result;
  explicit Results(std::int64_t cells) {
    for (std::int64_t i = 0; i < cells * 3; ++i) values.push_back(static_cast<float>(i) / 8 + 1);
    H5adColumn cluster, number, real;
    cluster.name = "stofm_macro";
    cluster.categories = {"left", "right", "µ"};
    number.name = "stofm_number";
    real.name = "stofm_real";
    for (std::int64_t i = 0; i < cells; ++i) {
      cluster.codes.push_back(static_cast<std::int32_t>(1 + i % 2));
      number.integers.push_back(i * i + 1);
      real.reals.push_back(static_cast<double>(i) + 0.5);
    }
    result.obsm.push_back({"X_stofm", matrix_view<const float>(values.data(), cells, 3)});
    result.obs = {cluster, number, real};
    result.uns = {{"seed", std::int64_t{42}},
                  {"alpha", 0.25},
                  {"version", std::string("0.1.0")},
                  {"notices", std::vector<std::string>{"a", "b"}}};
  }
};

struct Armed {
  Armed(long call, int error, bool for_ever = false) { write_faults() = {call, 0, error, for_ever}; }
  ~Armed() { write_faults() = {}; }
  static long seen() { return write_faults().seen; }
};

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

/// The code of what `call` throws, "" if it returns.
template <class Call>
std::string code_of(Call&& call) {
  try {
    call();
    return "";
  } catch (const Error& error) {
    return error.code();
  }
}

}  // namespace

TEST_CASE("R07: any write of libhdf5 that fails ends in a ResourceError about the output, and no output") {
  const std::string original = bytes_of(zoo("csr_f32_gzip"));
  for (const bool in_place : {false, true}) {
    for (const auto& [error, for_ever] :
         {std::pair{EIO, false}, std::pair{ENOSPC, false}, std::pair{ENOSPC, true}}) {
      long refused = 0;
      for (long n = 1;; ++n) {
        REQUIRE(n < 200);
        const H5Case test;
        const Results results(60);
        const std::string output = in_place ? test.path : (test.scratch / "out.h5ad").string();
        const Armed armed(n, error, for_ever);
        try {
          write_h5ad_result(test.path, output, results.result, {.in_place = in_place});
          CHECK(Armed::seen() < n);  // the last round: everything was written
          break;
        } catch (const ResourceError& refusal) {
          ++refused;
          const std::string text = refusal.where() + refusal.found();
          CAPTURE(text);
          CHECK(refusal.file() == output);
          CHECK(refusal.code() == (error == EIO ? "STOFM-5010" : "STOFM-5011"));
          CHECK(text.find("0x") == std::string::npos);
          CHECK(text.find("time =") == std::string::npos);
        }
        CHECK(files_in(test.scratch.path()) == 1);
        CHECK(bytes_of(test.path) == original);
      }
      CHECK(refused >= 5);
    }
  }
}

TEST_CASE("R07: the same without a child process") {
  // In a process that ends by _exit: libhdf5 1.10 crashes in its exit handler after a close that failed.
  long refused = 0;
  for (long n = 1;; ++n) {
    REQUIRE(n < 200);
    const H5Case test;
    const Results results(60);
    const std::string output = (test.scratch / "out.h5ad").string();
    const Armed armed(n, ENOSPC);
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        write_h5ad_result(test.path, output, results.result,
                          {.in_place = false, .overwrite = false, .isolation = H5adIsolation::none});
        ::_exit(Armed::seen() < n ? 1 : 2);
      } catch (const ResourceError& refusal) {
        ::_exit(refusal.file() == output && refusal.code() == "STOFM-5011" ? 0 : 3);
      } catch (const std::exception&) {
        ::_exit(4);
      }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 1) break;  // everything was written
    CHECK(WEXITSTATUS(status) == 0);
    CHECK(files_in(test.scratch.path()) == 1);
    ++refused;
  }
  CHECK(refused >= 5);
}

TEST_CASE("R07: a write that the system loses without a word leaves no wrong result") {
  long found = 0;
  for (long n = 1;; ++n) {
    REQUIRE(n < 200);
    const H5Case test;
    const Results results(60);
    const std::string output = (test.scratch / "out.h5ad").string();
    bool lost = false;
    try {
      const Armed armed(n, 0);
      write_h5ad_result(test.path, output, results.result);
      lost = Armed::seen() >= n;
    } catch (const ResourceError& refusal) {
      ++found;
      CHECK(refusal.code() == "STOFM-5038");
      CHECK(refusal.file() == output);
      CHECK(files_in(test.scratch.path()) == 1);
      continue;
    }
    // Whatever was lost is no part of the results.
    const Hdf5Quiet quiet;
    verify_h5ad_result(output, output, results.result);
    if (!lost) break;
  }
  CHECK(found >= 5);
}

TEST_CASE("R16: an input that was changed or replaced since it was read is refused, and nothing is written") {
  for (const bool in_place : {false, true}) {
    for (const char* how : {"replaced", "written", "grown"}) {
      CAPTURE(how);
      const H5Case test;
      const std::string output = in_place ? test.path : (test.scratch / "out.h5ad").string();
      Results results(60);
      {
        const Slice slice = read_h5ad(test.path);
        REQUIRE(slice.identity.known());
        results.result.input = slice.identity;
      }
      const std::string other = (test.scratch / "other.h5ad").string();
      if (how == std::string("replaced")) {
        std::filesystem::copy_file(zoo("csr_i32"), other);
        std::filesystem::rename(other, test.path);
      } else {
        std::fstream file(test.path, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(0, how == std::string("grown") ? std::ios::end : std::ios::beg);
        file.write(how == std::string("grown") ? "x" : "\x89", 1);
        file.close();
        // A file system's clock may not have ticked since the file was made.
        const timespec times[2] = {{0, UTIME_OMIT}, {1000000000, 0}};
        REQUIRE(::utimensat(AT_FDCWD, test.path.c_str(), times, 0) == 0);
      }
      const std::string before = bytes_of(test.path);
      CHECK(code_of([&] { write_h5ad_result(test.path, output, results.result, {.in_place = in_place}); }) ==
            "STOFM-3543");
      CHECK(files_in(test.scratch.path()) == 1);
      CHECK(bytes_of(test.path) == before);
    }
  }
}

TEST_CASE("R16: a file that is cut while it is read gives an error for its rows, never zeros") {
  for (const char* name : {"csr_f32_gzip", "dense_i2_contiguous", "csr_i32", "csc"}) {
    for (const auto isolation : {H5adIsolation::child_process, H5adIsolation::none}) {
      CAPTURE(name);
      const H5Case test(name);
      const auto size = static_cast<off_t>(std::filesystem::file_size(test.path));
      H5adReadOptions options;
      options.isolation = isolation;
      const Slice slice = read_h5ad(test.path, options);
      REQUIRE(::truncate(test.path.c_str(), size / 4) == 0);
      CHECK(code_of([&] { (void)slice.read_counts(0, slice.cells); }) == "STOFM-3502");
    }
  }
}

TEST_CASE(
    "H03: a file that another process has open for writing is refused, readers do not disturb each other") {
  const H5Case test;
  const Results results(60);
  const H5adWriteOptions in_place{.in_place = true};
  const auto read = [&] { (void)read_h5ad(test.path); };
  const auto describe = [&] { (void)describe_h5ad(test.path); };
  const auto replace = [&] { write_h5ad_result(test.path, "", results.result, in_place); };
  // A lock of another open file description is what another process has.
  const int other = ::open(test.path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(::flock(other, LOCK_EX | LOCK_NB) == 0);
  CHECK(code_of(read) == "STOFM-3503");
  CHECK(code_of(describe) == "STOFM-3503");
  CHECK(code_of(replace) == "STOFM-3503");
  CHECK(code_of([&] { check_in_place(test.path); }) == "STOFM-3503");
  REQUIRE(::flock(other, LOCK_SH | LOCK_NB) == 0);  // another reader
  CHECK(code_of(read).empty());
  CHECK(code_of(replace) == "STOFM-3503");
  ::close(other);
  // Our own slices and children hold shared locks and do not keep us out.
  const Slice first = read_h5ad(test.path);
  const Slice second = read_h5ad(test.path);
  const int writer = ::open(test.path.c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(::flock(writer, LOCK_EX | LOCK_NB) != 0);  // others are told
  ::close(writer);
  CHECK(code_of([&] { check_in_place(test.path); }).empty());
  CHECK(code_of(replace).empty());
  CHECK(first.read_counts(0, 60).values == second.read_counts(0, 60).values);
}

TEST_CASE("in place, a group: the file is held alone until all have their names") {
  const H5Case test;
  const Results results(60);
  for (const bool commit : {false, true}) {
    CAPTURE(commit);
    const int other = ::open(test.path.c_str(), O_RDONLY | O_CLOEXEC);  // the old file, whatever its name
    {
      OutputGroup group;
      write_h5ad_result(test.path, "", results.result, {.in_place = true, .group = &group});
      CHECK(::flock(other, LOCK_SH | LOCK_NB) != 0);
      if (commit) {
        group.commit();
        CHECK(::flock(other, LOCK_SH | LOCK_NB) == 0);
      }
    }
    CHECK(::flock(other, LOCK_SH | LOCK_NB) == 0);
    ::close(other);
  }
  CHECK(read_all(test.path).slice.cells == 60);
}

TEST_CASE("writer: a protected input keeps its mode in a new output, and is not replaced in place") {
  const H5Case test;
  const Results results(60);
  REQUIRE(::chmod(test.path.c_str(), 0444) == 0);
  const std::string output = (test.scratch / "out.h5ad").string();
  const std::string old = (test.scratch / "old.h5ad").string();
  write_bytes(old, "old");
  REQUIRE(::chmod(old.c_str(), 0444) == 0);
  const auto run_as_nobody = [&](const std::function<int()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::geteuid() == 0 && (::setegid(65534) != 0 || ::seteuid(65534) != 0)) ::_exit(90);
      ::_exit(body());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
  };
  REQUIRE(::chmod(test.scratch.path().c_str(), 0777) == 0);
  REQUIRE(::chmod(test.scratch.path().parent_path().c_str(), 0755) == 0);
  const int code = run_as_nobody([&] {
    // access() asks for the real user, which is root here: only what is written can be tested.
    write_h5ad_result(test.path, old, results.result, {.in_place = false, .overwrite = true});
    struct stat status {};
    return ::stat(old.c_str(), &status) == 0 && (status.st_mode & 0777) == 0444 ? 0 : 1;
  });
  CHECK(code == 0);
  write_h5ad_result(test.path, output, results.result);
  CHECK(read_all(output).slice.cells == 60);
  if (::geteuid() != 0) {
    CHECK(code_of([&] { check_in_place(test.path); }) == "STOFM-3016");
    return;
  }
  REQUIRE(::chown(test.path.c_str(), 65534, 65534) == 0);
  const auto refused_as_nobody = [&] {
    return run_as_nobody([&] { return code_of([&] { check_in_place(test.path); }) == "STOFM-3016" ? 0 : 1; });
  };
  CHECK(refused_as_nobody() == 0);  // write-protected
  REQUIRE(::chmod(test.path.c_str(), 0644) == 0);
  CHECK(refused_as_nobody() == 1);
  REQUIRE(::chmod(test.scratch.path().c_str(), 0755) == 0);
  CHECK(refused_as_nobody() == 0);  // a folder that takes no new file
  REQUIRE(::chmod(test.scratch.path().c_str(), 0777) == 0);
  REQUIRE(::chown(test.path.c_str(), 0, 0) == 0);
  CHECK(refused_as_nobody() == 0);  // a file of another user
}

#endif  // __linux__
