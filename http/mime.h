/* Media types by the extensions of file names. Constant data; nothing blocks. */
#ifndef LUAFCGID2_HTTP_MIME_H
#define LUAFCGID2_HTTP_MIME_H

#include <stddef.h>

/* The type of a file of that name, whatever its case; "application/octet-stream" when the
 * extension says nothing. Names a character set for no type. */
const char *mime_type(const char *path, size_t len);

#endif
