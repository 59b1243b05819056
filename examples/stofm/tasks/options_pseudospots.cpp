// SPDX-License-Identifier: MIT
/// \file
/// Options of `stofm pseudospots`.

#include "command_line_options.hpp"

namespace stofm::program {

void add_pseudospots(CLI::App& app, PseudospotsArguments& a) {
  const char* files = "Input and output";
  add_task(app, a.task, {.inputs = true, .outputs = false, .model = false, .pictures = false});
  option(app, files, "--label", a.label, "Column of obs with the cell types", "COLUMN")->required();
  auto* out = option(app, files, "-o,--output", a.task.output,
                     "Result (default: NAME.pseudospots.h5ad in the current directory)", "FILE");
  option(app, files, "--output-dir", a.task.output_dir, "Directory for the results", "DIR")->excludes(out);
  flag(app, files, "--overwrite", a.task.overwrite, "Replace results that exist");

  const char* spots = "Spots";
  auto* size = option(app, spots, "--size", a.size,
                      "Side of the squares whose cells are a spot, in the unit of the positions (55 um is a "
                      "Visium spot)",
                      "LENGTH")
                   ->check(number_between(1e-9, 1e12, "a length > 0"));
  auto* cells =
      option(app, spots, "--cells-per-spot", a.cells_per_spot,
             "Cells of a spot on the mean: finds the size of the squares (10: Visium in brain)", "N")
          ->check(number_between(1, 1e6, "a number >= 1"))
          ->capture_default_str()
          ->excludes(size);
  (void)cells;
  option(app, spots, "--min-cells", a.min_cells, "Squares with fewer cells are left out", "N")
      ->check(integer(1, 1000000))
      ->capture_default_str();
  option(
      app, spots, "--random", a.random,
      "N spots of cells drawn at random, all types alike, in place of squares: for cells without positions",
      "N")
      ->check(integer(1, 1000000))
      ->excludes(size);
  const char* harder = "Harder, as real spots are";
  option(app, harder, "--depth", a.depth, "Share of the counts that is kept", "SHARE")
      ->check(number_between(1e-6, 1, "a share above 0, at most 1"))
      ->capture_default_str();
  option(app, harder, "--platform-noise", a.platform_noise,
         "Genes are lost unevenly: standard deviation of the log of what is kept of each (0.5: another "
         "chemistry, 1: single cells against imaging)",
         "SD")
      ->check(number_between(0, 10, "a number from 0 to 10"))
      ->capture_default_str();
}

}  // namespace stofm::program
