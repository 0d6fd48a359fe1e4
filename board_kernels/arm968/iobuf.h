/* Text for the host: a chain of buffers in the system's heap, which starts in the VCPU block. */
#ifndef IOBUF_H
#define IOBUF_H

#include <stdint.h>

/* Append; without a heap, or when it is full, the text is lost. */
void iobuf_text(const char *text);
void iobuf_hexadecimal(uint32_t word); /* 8 digits */

#endif
