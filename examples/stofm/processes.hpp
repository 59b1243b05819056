// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Whether this process is alone or one of several that mpirun started.

#include <memory>

#include "stofm/distributed/communicator.hpp"

namespace stofm::program {

/// MPI if this program was built with it and started by mpirun, srun or the like; else one process.
/// All ranks but the first are made quiet. \throws DeviceError
std::unique_ptr<distributed::Communicator> start_processes();

}  // namespace stofm::program
