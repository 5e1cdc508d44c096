// The parts of LibTorch that this project uses: tensors, automatic differentiation, random generators,
// devices. Its <torch/torch.h> would bring the neural-network modules too, whose templates cost every file
// fifteen seconds of compiling.
#pragma once

#include <torch/autograd.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>
