// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// stofm.hpp and everything for training. Slices in .h5ad files need libhdf5: include
/// <stofm/train/corpus_h5ad.hpp> besides and link stofm::hdf5; runs of several processes
/// <stofm/distributed/mpi_communicator.hpp> and stofm::mpi.

#include "stofm/autograd/rules/pair_attention.hpp"
#include "stofm/distributed/gradient_reducer.hpp"
#include "stofm/distributed/thread_communicator.hpp"
#include "stofm/model/cell_encoder_training.hpp"
#include "stofm/model/pretraining_heads.hpp"
#include "stofm/model/se2_training.hpp"
#include "stofm/nn/losses.hpp"
#include "stofm/nn/modules.hpp"
#include "stofm/stofm.hpp"
#include "stofm/train/adapt.hpp"
#include "stofm/train/adapt_batches.hpp"
#include "stofm/train/adapt_slices.hpp"
#include "stofm/train/cell_features.hpp"
#include "stofm/train/checkpoint.hpp"
#include "stofm/train/contrastive.hpp"
#include "stofm/train/corpus.hpp"
#include "stofm/train/corpus_files.hpp"
#include "stofm/train/corpus_loader.hpp"
#include "stofm/train/corpus_sampler.hpp"
#include "stofm/train/data_split.hpp"
#include "stofm/train/gene_masking.hpp"
#include "stofm/train/gene_masking_head.hpp"
#include "stofm/train/masked_input.hpp"
#include "stofm/train/masking.hpp"
#include "stofm/train/pretrain.hpp"
#include "stofm/train/pretrain_joint.hpp"
#include "stofm/train/pretrain_validation.hpp"
#include "stofm/train/run_log.hpp"
#include "stofm/train/slice_cache.hpp"
#include "stofm/train/training_loop_run.hpp"
