/* What libfcgi itself costs: a threaded responder with FCGX_Accept_r, without Lua.
 *
 *     libfcgi ANSWER SOCKET THREADS
 *
 * Each thread is the accept loop of the library's own threaded example, without that
 * example's lock around accept, which Linux does not need. The library parses the
 * parameters, buffers the output and closes the connection. */
#include "answer.h"
#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>

static enum answer answer;
static int listener;
static char input[COMPUTE_SIZE]; /* filled before any thread starts */
static char body[BODY_SIZE];     /* the same */

static void send_head(FCGX_Request *request, size_t len)
{
    FCGX_FPrintF(request->out, CONTENT_TYPE "Content-Length: %u\r\n\r\n", (unsigned)len);
}

static void send_text(FCGX_Request *request, const char *text, size_t len)
{
    send_head(request, len);
    FCGX_PutStr(text, (int)len, request->out);
}

static void send_env(FCGX_Request *request)
{
    size_t len = 0;
    for (char **pair = request->envp; *pair != NULL; pair++)
        len += strlen(*pair) + 1;
    send_head(request, len);
    for (char **pair = request->envp; *pair != NULL; pair++) {
        FCGX_PutStr(*pair, (int)strlen(*pair), request->out);
        FCGX_PutChar('\n', request->out);
    }
}

static void send_stdin_length(FCGX_Request *request)
{
    char text[32 * 1024];
    size_t total = 0;
    for (int n; (n = FCGX_GetStr(text, sizeof text, request->in)) > 0;)
        total += (size_t)n;
    int len = snprintf(text, sizeof text, "%zu", total);
    send_text(request, text, (size_t)len);
}

static void respond(FCGX_Request *request)
{
    char encoded[ENCODED_SIZE];
    switch (answer) {
    case ANSWER_HELLO:
        send_text(request, "hello world", 11);
        break;
    case ANSWER_ENV:
        send_env(request);
        break;
    case ANSWER_COMPUTE:
        base64(input, sizeof input, encoded);
        send_text(request, encoded, sizeof encoded);
        break;
    case ANSWER_BODY:
        send_text(request, body, sizeof body);
        break;
    case ANSWER_POST:
        send_stdin_length(request);
        break;
    }
}

static void *run(void *unused)
{
    FCGX_Request request;
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        respond(&request);
        FCGX_Finish_r(&request);
    }
    return unused;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: libfcgi ANSWER SOCKET THREADS\n");
        return 1;
    }
    answer = answer_by_name(argv[1]);
    compute_input(input);
    memset(body, 'x', sizeof body);
    if (FCGX_Init() != 0 || (listener = FCGX_OpenSocket(argv[2], 511)) < 0) {
        perror(argv[2]);
        return 1;
    }
    signal(SIGTERM, SIG_DFL); /* the library's handler would only set a flag */
    for (int i = atoi(argv[3]); i > 1; i--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, NULL) != 0) {
            fprintf(stderr, "libfcgi: cannot start a thread\n");
            return 1;
        }
    }
    run(NULL);
    return 1;
}
