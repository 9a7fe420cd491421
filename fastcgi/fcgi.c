/* Everything that knows libfcgi. See fastcgi/fcgi.h.
 *
 * Runs in the worker that owns the request, fcgi_start in the main thread. Owns libfcgi's
 * request and its memory; no locks. */
#include "fastcgi/fcgi.h"

#include "base/log.h"
#include <errno.h>
#include <fcgiapp.h>
#include <stdlib.h>
#include <string.h>

struct fcgi {
    FCGX_Request request;
};

bool fcgi_start(void)
{
    return FCGX_Init() == 0;
}

/* Without a listening socket libfcgi cannot accept. */
struct fcgi *fcgi_create(void)
{
    struct fcgi *f = malloc(sizeof *f);
    if (f != NULL)
        FCGX_InitRequest(&f->request, -1, 0);
    return f;
}

void fcgi_destroy(struct fcgi *f)
{
    free(f);
}

/* ipcFd is -1 outside this function, so that libfcgi cannot read, write or close a
 * descriptor of ours. With keepConnection 1 its FCGX_Finish_r closes nothing. libfcgi
 * closes the descriptor that it failed on. */
bool fcgi_begin(struct fcgi *f, struct feed *feed, size_t used,
                const struct record_head *head, char **params)
{
    FCGX_Request *request = &f->request;
    if (feed->read_end < 0)
        feed_replace(feed, used);
    if (!feed_offer(feed, head->start, head->end - head->start)) {
        log_error("cannot hand over the head of a request: %s", strerror(errno));
        return false;
    }
    request->ipcFd = feed->read_end;
    request->keepConnection = 1;
    int failed = FCGX_Accept_r(request);
    if (failed && request->ipcFd < 0)
        feed_replace(feed, used);
    request->ipcFd = -1;
    request->keepConnection = 1;
    if (failed || FCGX_GetError(request->in) != 0 || request->envp[0] == NULL ||
        request->envp[1] == NULL) {
        log_error("libfcgi refused the head of a request (%d)", failed);
        return false;
    }
    *params = request->envp[1] + 1; /* behind "FCGI_ROLE=RESPONDER", and an "=" */
    return true;
}

void fcgi_release(struct fcgi *f)
{
    FCGX_Free(&f->request, 0);
    f->request.ipcFd = -1;
}
