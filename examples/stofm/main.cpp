// SPDX-License-Identifier: MIT
/// \file
/// The program `stofm`: parse, run one verb, turn whatever goes wrong into one line and an exit code.

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <new>
#include <string_view>

#include "command_line.hpp"
#include "console.hpp"
#include "signals.hpp"
#include "stofm/core/parallel.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

constexpr int internal_error = 70;  // EX_SOFTWARE of sysexits.h

/// What no `try` reaches: memory that runs out while static objects are made (CLI11 has many), before main.
[[noreturn]] void end_without_main() {
  try {
    if (const auto now = std::current_exception()) std::rethrow_exception(now);
  } catch (const std::bad_alloc&) {
    try {
      io::TemporaryFiles::of_process().remove_all_and_close();
    } catch (...) {  // there were none yet, and there is no memory for an empty list
    }
    static constexpr std::string_view text = "stofm: error: memory: the system has no more. [STOFM-5002]\n";
    (void)!::write(STDERR_FILENO, text.data(), text.size());
    ::_exit(static_cast<int>(ErrorKind::resource));
  } catch (...) {
  }
  static constexpr std::string_view text = "stofm: error: internal: ended by the C++ runtime. [STOFM-9003]\n";
  (void)!::write(STDERR_FILENO, text.data(), text.size());
  ::_exit(internal_error);
}
[[gnu::constructor(101)]] void install_last_handler() { std::set_terminate(end_without_main); }

int run(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)  // refusals of the command line itself are to be JSON, too
    if (std::string_view(argv[i]) == "--log-json") Console::get().configure(false, 0, true);
  const ParsedCommandLine parsed = parse_command_line(argc, argv);
  if (!parsed.text.empty()) {
    print(parsed.text);
    return 0;
  }
  const Arguments& a = parsed.arguments;
  Console::get().configure(a.common.quiet, a.common.verbose, a.common.log_json);
  if (a.common.threads > 0) set_thread_count(a.common.threads);
  switch (a.verb) {
    case Verb::embed:
      return run_embed(a);
    case Verb::import_slice:
      return run_import(a.import_slice);
    case Verb::corpus:
      return run_corpus(a);
    case Verb::adapt:
      return run_adapt(a);
    case Verb::pretrain:
      return run_pretrain(a);
    case Verb::info:
      return run_info(a.info);
    case Verb::verify:
      return run_verify(a.verify);
    case Verb::tokenize:
      return run_tokenize(a.tokenize);
    case Verb::segment:
      return run_segment(a);
    case Verb::annotate:
      return run_annotate(a);
    case Verb::cluster:
      return run_cluster(a);
    case Verb::deconvolve:
      return run_deconvolve(a);
    case Verb::pseudospots:
      return run_pseudospots(a);
    case Verb::impute:
      return run_impute(a);
    case Verb::evaluate:
      return run_evaluate(a);
    case Verb::ablate:
      return run_ablate(a);
    case Verb::virtual_cells:
      return run_virtual_cells(a.graph);
    case Verb::subslices:
      return run_subslices(a.graph);
    case Verb::none:
      break;
  }
  return 0;
}

int guarded(int argc, char** argv) noexcept {
  try {
    try {
      return run(argc, argv);
    } catch (const Error& e) {
      Console::get().end_progress();
      Console::get().error(e);
      return e.exit_code();
    } catch (const std::bad_alloc&) {
      Console::get().end_progress();
      Console::get().error(
          "memory: the system has no more. Use fewer threads, smaller pieces (--split) or a larger "
          "machine. [STOFM-5002]",
          static_cast<int>(ErrorKind::resource));
      return static_cast<int>(ErrorKind::resource);
    } catch (const std::exception& e) {
      Console::get().end_progress();
      Console::get().error(
          std::string("internal: ") + stofm::quoted(e.what()) + ". Please report this. [STOFM-9001]",
          internal_error);
      return internal_error;
    }
  } catch (...) {  // even the message could not be made
    static const char text[] =
        "stofm: error: internal: out of resources while reporting an error. [STOFM-9002]\n";
    std::fputs(text, stderr);
    return internal_error;
  }
}

}  // namespace
}  // namespace stofm::program

int main(int argc, char** argv) {
  try {
    stofm::program::install_signal_handling();
  } catch (...) {  // no thread to be had: signals then end the program the default way
  }
  return stofm::program::guarded(argc, argv);
}
