/* Answers to records that do not belong to the request in progress.
 *
 * By the owner of the connection. None blocks. false: the peer does not take the answer,
 * or the record is malformed; the connection must be closed. */
#ifndef LUAFCGID2_FASTCGI_ANSWER_H
#define LUAFCGID2_FASTCGI_ANSWER_H

#include "fastcgi/record.h"
#include "fastcgi/slot.h"
#include <stdbool.h>
#include <stdint.h>

/* To an FCGI_GET_VALUES, whole at `p`. */
bool answer_values(struct connection *c, const uint8_t *p);

/* To a record of a type that is not known. */
bool answer_unknown(struct connection *c, uint8_t type);

/* To a request that is not served, or no longer. */
bool answer_end(struct connection *c, uint16_t id, enum record_protocol_status status);

#endif
