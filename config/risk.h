/* Warnings of values that are legal and risky. Each function is the `risk` of a row in
 * config/option.c. It returns whether there is a warning, and writes it into `text`.
 * Pure; nothing blocks. For the files of this folder only. */
#ifndef LUAFCGID2_CONFIG_RISK_H
#define LUAFCGID2_CONFIG_RISK_H

#include "config/fields.h"

bool risk_of_listen(const struct config *c, char *text, size_t size);
bool risk_of_status_listen(const struct config *c, char *text, size_t size);
bool risk_of_listen_mode(const struct config *c, char *text, size_t size);
bool risk_of_extensions(const struct config *c, char *text, size_t size);
bool risk_of_file_info_time(const struct config *c, char *text, size_t size);
bool risk_of_request_timeout(const struct config *c, char *text, size_t size);
bool risk_of_memory_limit(const struct config *c, char *text, size_t size);
bool risk_of_show_errors(const struct config *c, char *text, size_t size);
bool risk_of_error_page(const struct config *c, char *text, size_t size);
bool risk_of_script_cookies(const struct config *c, char *text, size_t size);
bool risk_of_target_score(const struct config *c, char *text, size_t size);

#endif
