# SPDX-License-Identifier: MIT
# Runs the R of docs/r.md, block by block, in a folder with slice.stofm.h5ad, and compares what it read with the array of the same run.
# Usage: Rscript r_opens.R PAGE EMBEDDING.npy. Blocks whose packages are not here are named and left out; exit 77: that is the first.
arguments <- commandArgs(TRUE)

lines <- readLines(arguments[1])
inside <- cumsum(grepl("^```", lines)) %% 2 == 1
starts <- which(lines == "```r")
blocks <- lapply(starts, function(start) {
  end <- which(seq_along(lines) > start & lines == "```")[1]
  lines[(start + 1):(end - 1)]
})
stopifnot(length(blocks) == 7, sum(inside & lines == "```r") == 7)

packages <- function(block) sub(".*library\\((\\w+)\\).*", "\\1", grep("^library\\(", block, value = TRUE))
runs <- function(block) {
  wanted <- packages(block)
  if (!all(vapply(wanted, requireNamespace, TRUE, quietly = TRUE))) return(FALSE)
  if (any(grepl("0.2 or later", block, fixed = TRUE)) && packageVersion("anndataR") < "0.2") return(FALSE)
  if (!"Seurat" %in% wanted) return(TRUE)
  (packageVersion("Seurat") < "5") == any(grepl("before 5", block))
}
if (!runs(blocks[[1]])) {
  cat("R has no anndataR or SingleCellExperiment\n")
  quit(status = 77)
}
for (i in seq_along(blocks)) {
  if (!runs(blocks[[i]])) {
    cat(sprintf("block %d left out: it needs %s\n", i, paste(packages(blocks[[i]]), collapse = ", ")))
    next
  }
  suppressPackageStartupMessages(source(exprs = parse(text = blocks[[i]]), echo = TRUE, max.deparse.length = Inf))
}

bytes <- file(arguments[2], "rb")
head <- readBin(bytes, "raw", 10)
text <- rawToChar(readBin(bytes, "raw", sum(as.integer(head[9:10]) * c(1, 256))))
shape <- as.integer(strsplit(sub(".*\\((\\d+), (\\d+)\\).*", "\\1 \\2", text), " ")[[1]])
stored <- matrix(readBin(bytes, "numeric", prod(shape), size = 4, endian = "little"), nrow = shape[1], byrow = TRUE)
close(bytes)
stopifnot(
  identical(dim(reducedDim(sce, "X_stofm")), shape),
  all(reducedDim(sce, "X_stofm") == stored),
  identical(dim(reducedDim(sce, "spatial")), c(shape[1], 2L)),
  is.factor(sce$stofm_cluster), nlevels(sce$stofm_cluster) == 10, !anyNA(sce$stofm_cluster),
  length(colours) == 10, all(grepl("^#[0-9a-f]{6}$", colours)),
  startsWith(metadata(sce)$stofm$program, "stofm "))
if (exists("spe")) stopifnot(all(spatialCoords(spe) == reducedDim(sce, "spatial")))
if (exists("seurat")) stopifnot(all(Embeddings(seurat, "X_stofm") == stored))
cat("R has what stofm wrote\n")
