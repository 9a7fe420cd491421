/* The options as -h prints them. */
#ifndef LUAFCGID2_CONFIG_PRINT_H
#define LUAFCGID2_CONFIG_PRINT_H

#include <stdio.h>

/* Two lines for each option, in at most 80 columns. Blocks as `out` does. */
void print_options(FILE *out);

#endif
