/* Answers to records that do not belong to the request in progress.
 *
 * The owner of the connection calls these. None blocks. false: the peer does not take the
 * answer, or the record is malformed; the connection must be closed. */
#ifndef LUAFCGID2_FASTCGI_ANSWER_H
#define LUAFCGID2_FASTCGI_ANSWER_H

#include "fastcgi/record.h"
#include "fastcgi/slot.h"
#include <stdbool.h>
#include <stdint.h>

/* Answers an FCGI_GET_VALUES record, which is wholly at `p`. */
bool answer_values(struct connection *c, const uint8_t *p);

/* Answers a record of an unknown type. */
bool answer_unknown(struct connection *c, uint8_t type);

/* Answers a request that is not served, or is served no longer. */
bool answer_end(struct connection *c, uint16_t id, enum record_protocol_status status);

#endif
