/* What elaboration writes into gemmini_params.h, as far as our programs see it. The sizes come from the compiler's
   command line, so that one stub serves every design. */
#ifndef GEMMINI_PARAMS_H
#define GEMMINI_PARAMS_H

#include <limits.h>
#include <stdint.h>

#ifndef DIM
#define DIM 16
#endif
#define BANK_NUM 4
#ifndef BANK_ROWS
#define BANK_ROWS 4096
#endif
#ifndef ACC_ROWS
#define ACC_ROWS 1024
#endif

typedef int8_t elem_t;
typedef int32_t acc_t;
typedef float scale_t;
typedef int32_t scale_acc_t;
typedef float acc_scale_t;

#define MVIN_SCALE_IDENTITY 1.0
#define HAS_FIRST_LAYER_OPTIMIZATIONS

#endif
