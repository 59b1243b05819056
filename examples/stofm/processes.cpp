// SPDX-License-Identifier: MIT
#include "processes.hpp"

#include "console.hpp"

#if defined(STOFM_WITH_MPI)
#include "stofm/distributed/mpi_communicator.hpp"
#endif

namespace stofm::program {

std::unique_ptr<distributed::Communicator> start_processes() {
#if defined(STOFM_WITH_MPI)
  if (distributed::MpiCommunicator::launched()) {
    auto ranks = std::make_unique<distributed::MpiCommunicator>();
    if (!ranks->is_first()) Console::get().configure(true, 0, false);
    return ranks;
  }
#endif
  return std::make_unique<distributed::SingleProcess>();
}

}  // namespace stofm::program
