/* Host functions in place of inner products; substitute.c holds the list. */
#ifndef EMULATOR_SUBSTITUTE_H
#define EMULATOR_SUBSTITUTE_H

#include "core.h"

substitute_fn substitute_dot_run;
substitute_fn substitute_outer_tile;

#endif
