/* One HTTP request, between the peer that sent it and the scripts that answer it: the
 * face of the folder request/, whose rooms do the work. Runs in the thread that works on
 * the request; no lock. */
#include "request.h"

#include "base/log.h"
#include "base/random.h"
#include "http/multipart.h"
#include "request/body.h"
#include "request/peer.h"
#include "request/response.h"

#include <stdlib.h>
#include <string.h>

/* Web servers send some 25 parameters, and one for each header of the client. A client
 * can choose header names that Lua's hash makes the same, and in a script's Env each of
 * them costs a walk along all the others. */
#define PARAMS_MAX 1000
#define ID_KEYS    3
#define TEXT_OF(x) #x
#define NUMBER(x)  TEXT_OF(x)
#define EACH(byte) ((uint64_t)(byte)*0x0101010101010101)

struct request {
    struct config *config; /* borrowed for this request */
    struct peer peer;
    struct params params;
    struct body body;
    struct response response;
    struct log_request about;    /* this one */
    uint64_t number;             /* of the request, among those that this struct was */
    char id[REQUEST_ID_LEN + 1]; /* made here; "": not yet. The second half stays */
    uint64_t keys[ID_KEYS];      /* of such names; random */
};

/* -- Its name in the logs -- */

/* Highest byte first. Written out it is one instruction, where the machine has one. */
static void store(char to[8], uint64_t x)
{
    to[0] = (char)(x >> 56);
    to[1] = (char)(x >> 48);
    to[2] = (char)(x >> 40);
    to[3] = (char)(x >> 32);
    to[4] = (char)(x >> 24);
    to[5] = (char)(x >> 16);
    to[6] = (char)(x >> 8);
    to[7] = (char)x;
}

/* The eight digits of a number: spreads them to a byte each, and makes all of them text
 * at once. */
static void put_hex(char to[8], uint32_t n)
{
    uint64_t x = n;
    x = (x | x << 16) & 0x0000ffff0000ffff;
    x = (x | x << 8) & 0x00ff00ff00ff00ff;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0f;
    uint64_t letters = (x + EACH(6)) >> 4 & EACH(1);
    store(to, x + EACH('0') + letters * ('a' - '0' - 10));
}

static void put_half(char to[16], uint64_t half)
{
    put_hex(to, (uint32_t)(half >> 32));
    put_hex(to + 8, (uint32_t)half);
}

/* Another number for each number: whoever knows the keys can undo each step. */
static uint64_t mix(uint64_t x, const uint64_t keys[ID_KEYS])
{
    x = (x ^ keys[0]) * 0x9e3779b97f4a7c15;
    x = (x ^ x >> 32 ^ keys[1]) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 29 ^ keys[2]) * 0x94d049bb133111eb;
    return x ^ x >> 32;
}

/* The first half tells the requests of one struct apart, the second one those of
 * different structs and of different processes. It is a name, and no secret: the keys
 * only keep who sees one from naming other requests, or telling how many there were. */
static void make_id(struct request *r)
{
    put_half(r->id, mix(r->number, r->keys));
}

const char *request_id(struct request *r)
{
    const char *given = r->params.values[PARAM_REQUEST_ID];
    if (given[0] != '\0')
        return given;
    if (r->id[0] == '\0')
        make_id(r);
    return r->id;
}

static const char *id_for_log(void *of)
{
    return request_id(of);
}

static void note_for_log(struct request *r)
{
    const char *const *values = r->params.values;
    const char *uri = values[PARAM_REQUEST_URI];
    r->about = (struct log_request){
        .client = values[PARAM_REMOTE_ADDR],
        .method = values[PARAM_REQUEST_METHOD],
        .uri = uri[0] != '\0' ? uri : values[PARAM_SCRIPT_NAME],
        .id = id_for_log,
        .of = r,
    };
}

const struct log_request *request_for_log(const struct request *r)
{
    return &r->about;
}

/* -- Life -- */

struct request *request_create(void)
{
    struct request *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    uint64_t half = 0;
    if (!random_bytes(r->keys, sizeof r->keys) || !random_bytes(&half, sizeof half))
        half = (uint64_t)(uintptr_t)r; /* names that are not so well apart */
    put_half(r->id + REQUEST_ID_LEN / 2, half);
    r->id[0] = '\0';
    return r;
}

void request_destroy(struct request *r)
{
    if (r == NULL)
        return;
    params_free(&r->params);
    response_free(&r->response);
    free(r);
}

static bool is_head(const struct request *r)
{
    const char *method = r->params.values[PARAM_REQUEST_METHOD];
    return method[0] == 'H' && strcmp(method, "HEAD") == 0;
}

bool request_begin(struct request *r, const struct peer_operations *operations,
                   void *context, struct config *config)
{
    r->config = config;
    r->peer = (struct peer){.operations = operations, .context = context};
    char *pairs;
    size_t len;
    bool ok = peer_begin(&r->peer, &pairs, &len) &&
              params_parse(&r->params, pairs, len) &&
              response_begin(&r->response, &r->peer, config, is_head(r));
    if (ok) {
        r->id[0] = '\0';
        r->number++;
        note_for_log(r);
        body_begin(&r->body, &r->peer, config, &r->params);
    }
    r->peer.cut = !ok;
    return ok;
}

/* -- Refusing -- */

static bool extension_allowed(const struct request *r)
{
    char **allowed = r->config->allowed_extensions;
    const char *file = r->params.values[PARAM_SCRIPT_FILENAME];
    size_t len = strlen(file);
    for (size_t i = 0; allowed[i] != NULL; i++) {
        size_t n = strlen(allowed[i]);
        if (n < len && strcmp(file + len - n, allowed[i]) == 0)
            return true;
    }
    return allowed[0] == NULL;
}

static bool is_upload(const struct request *r)
{
    size_t len;
    const char *type = request_find_param(r, "CONTENT_TYPE", &len);
    return type != NULL && multipart_is_type(type, len);
}

/* Whoever raises one limit is to think of the other. */
#define ALSO                                                                             \
    "; the web server has a limit of its own, which is client_max_body_size in nginx"
static const char post_too_large[] = "the body is larger than MaxPostSize" ALSO;
static const char upload_too_large[] = "the body is larger than MaxUploadSize" ALSO;

/* Of a form with files it is not known yet how the script will read it. */
static int refuse_large(const struct request *r, const char **why)
{
    int64_t length = r->params.content_length, upload = r->config->max_upload_size;
    if (r->config->max_post_size <= 0 || length <= r->config->max_post_size)
        return 0;
    *why = post_too_large;
    if (!is_upload(r))
        return 413;
    if (upload > r->config->max_post_size)
        *why = upload_too_large;
    return upload <= 0 || length <= upload ? 0 : 413;
}

int request_refuse(const struct request *r, const char **why)
{
    if (r->params.values[PARAM_SCRIPT_FILENAME][0] == '\0') {
        *why = "the web server sent no SCRIPT_FILENAME: add, for nginx, \"fastcgi_param "
               "SCRIPT_FILENAME $document_root$fastcgi_script_name;\" to its location";
        return 500;
    }
    if (!extension_allowed(r)) {
        *why = "its extension is not in AllowedExtensions";
        return 404;
    }
    if (r->params.count > PARAMS_MAX) {
        *why = "the request has more than " NUMBER(PARAMS_MAX) " parameters";
        return 431;
    }
    return refuse_large(r, why);
}

/* -- What is known of it -- */

const char *request_param(const struct request *r, enum param_name name)
{
    return r->params.values[name];
}

const char *request_find_param(const struct request *r, const char *name, size_t *len)
{
    size_t name_len = strlen(name);
    for (size_t i = 0; i < r->params.count; i++) {
        const struct param *p = &r->params.list[i];
        if (p->name_len == name_len && memcmp(p->name, name, name_len) == 0) {
            *len = p->value_len;
            return p->value;
        }
    }
    return NULL;
}

const struct param *request_params(const struct request *r, size_t *count)
{
    *count = r->params.count;
    return r->params.list;
}

const struct params *request_all_params(const struct request *r)
{
    return &r->params;
}

const struct config *request_config(const struct request *r)
{
    return r->config;
}

bool request_is_gone(const struct request *r)
{
    return r->peer.gone;
}

bool request_is_cut(const struct request *r)
{
    return r->peer.cut;
}

/* -- Body -- */

size_t request_read(struct request *r, void *data, size_t size)
{
    return body_read(&r->body, data, size);
}

size_t request_try_read(struct request *r, void *data, size_t size, bool *later)
{
    return body_try_read(&r->body, data, size, later);
}

int64_t request_body_patience(const struct request *r)
{
    return body_patience(&r->body);
}

void request_note_body_wait(struct request *r, int64_t awaited, bool late)
{
    body_note_wait(&r->body, awaited, late);
}

int64_t request_body_left(const struct request *r)
{
    return body_left(&r->body);
}

bool request_body_failed(const struct request *r)
{
    return r->body.state == BODY_FAILED;
}

bool request_body_too_large(const struct request *r)
{
    return r->body.state == BODY_TOO_LARGE;
}

const char *request_too_large_text(const struct request *r)
{
    return r->body.max == r->config->max_post_size ? post_too_large : upload_too_large;
}

void request_expect_upload(struct request *r)
{
    r->body.max = r->config->max_upload_size;
}

bool request_body_begun(const struct request *r)
{
    return r->body.received > 0;
}

/* -- Status and headers -- */

const char *request_status(const struct request *r)
{
    return r->response.head.status;
}

bool request_set_status(struct request *r, const char *text, size_t len)
{
    return head_set_status(&r->response.head, text, len);
}

const char *request_header(const struct request *r, const char *name, size_t *len)
{
    return headers_get(&r->response.head.headers, name, len);
}

bool request_header_is_own(const struct request *r, const char *name)
{
    return head_header_is_own(&r->response.head, name);
}

bool request_write_headers(const struct request *r, struct buffer *out)
{
    return headers_write(&r->response.head.headers, out);
}

enum headers_result request_set_header(struct request *r, const char *name,
                                       size_t name_len, const char *value,
                                       size_t value_len)
{
    return head_set(&r->response.head, name, name_len, value, value_len);
}

enum headers_result request_replace_headers(struct request *r, const char *text,
                                            size_t len)
{
    return head_replace(&r->response.head, text, len);
}

struct buffer *request_session_cookie(struct request *r)
{
    return &r->response.head.session_cookie;
}

bool request_head_sent(const struct request *r)
{
    return r->response.head_sent;
}

/* -- The response's body -- */

bool request_is_buffering(const struct request *r)
{
    return r->response.buffering;
}

void request_set_buffering(struct request *r, bool buffering)
{
    r->response.buffering = buffering;
}

struct buffer *request_buffer(struct request *r)
{
    return &r->response.body;
}

bool request_has_sent(const struct request *r)
{
    return r->response.body_sent || r->response.body.len > 0;
}

bool request_send(struct request *r, const void *data, size_t len)
{
    return response_send(&r->response, data, len);
}

bool request_append(struct request *r, const void *data, size_t len)
{
    return response_append(&r->response, data, len);
}

bool request_is_due(const struct request *r)
{
    return response_is_due(&r->response);
}

bool request_push(struct request *r)
{
    return response_push(&r->response);
}

bool request_settle(struct request *r, bool waits, bool *moved)
{
    return response_settle(&r->response, waits, moved);
}

void request_give_up(struct request *r)
{
    peer_give_up(&r->peer);
}

bool request_flush(struct request *r)
{
    return response_flush(&r->response);
}

void request_reset(struct request *r, bool all)
{
    response_reset(&r->response, all);
}

void request_fail(struct request *r, int status, const struct page_detail *detail)
{
    const char *path = request_param(r, PARAM_SCRIPT_NAME); /* as a visitor knows it */
    if (path[0] == '\0')
        path = request_param(r, PARAM_SCRIPT_FILENAME);
    response_fail(&r->response, status, path, detail);
}

uint64_t request_body_sent(const struct request *r)
{
    return r->response.sent;
}

void request_report(struct request *r, const char *message, size_t len)
{
    peer_report(&r->peer, message, len);
}

void request_finish(struct request *r)
{
    if (r->peer.over)
        return;
    response_finish(&r->response);
    r->peer.over = true;
}

bool request_rest(struct request *r)
{
    response_rest(&r->response);
    bool kept = params_keep(&r->params);
    note_for_log(r);
    return kept;
}

bool request_is_over(const struct request *r)
{
    return r->peer.over;
}

void request_set_gone(struct request *r)
{
    r->peer.gone = r->peer.cut = true;
}
