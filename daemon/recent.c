/* The last errors of requests. Workers note them, the status reads them. `lock`, a leaf,
 * guards everything; it is held for as long as some texts take to copy. */
#include "daemon/recent.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct recent_error ring[RECENT_MOST]; /* lock */
static int count, next;                       /* lock */

static void copy_line(char *to, const char *from)
{
    size_t len = from == NULL ? 0 : strcspn(from, "\r\n");
    if (len > RECENT_TEXT - 1)
        len = RECENT_TEXT - 1;
    if (len > 0)
        memcpy(to, from, len);
    to[len] = '\0';
}

void recent_note(int status, const char *script, const char *uri, const char *message)
{
    struct recent_error e = {.moment = time(NULL), .status = status};
    copy_line(e.script, script);
    copy_line(e.uri, uri);
    copy_line(e.message, message);
    pthread_mutex_lock(&lock);
    ring[next] = e;
    next = (next + 1) % RECENT_MOST;
    count += count < RECENT_MOST;
    pthread_mutex_unlock(&lock);
}

int recent_read(struct recent_error errors[RECENT_MOST])
{
    pthread_mutex_lock(&lock);
    int n = count;
    for (int i = 0; i < n; i++)
        errors[i] = ring[(next - 1 - i + RECENT_MOST) % RECENT_MOST];
    pthread_mutex_unlock(&lock);
    return n;
}
