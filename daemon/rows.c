/* The rows of the status, in their order. php-fpm's come first: programs that read its
 * status find theirs where they expect them. */
#include "daemon/rows.h"

#include "daemon/rows_daemon.h"
#include "daemon/rows_limits.h"
#include "daemon/rows_processes.h"
#include "daemon/rows_requests.h"
#include "daemon/rows_scripts.h"

void rows_register(void)
{
    rows_processes_register();
    rows_requests_register();
    rows_scripts_register();
    rows_daemon_register();
    rows_limits_register();
}
