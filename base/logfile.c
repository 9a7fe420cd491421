/* One log: its file and the writing.
 *
 * The main thread opens the file. Its descriptor, once made, keeps its number for the
 * life of the process: a rotation puts another file under the number with dup3, which the
 * kernel does in one step. So a thread that has just read the number writes to the old
 * file or to the new one, never to a closed or foreign one.
 *
 * Any thread writes. The log's own thread writes what is queued, and may block there. One
 * thread writes at a time: the one that has set `writing`, which `lock` guards together
 * with the queue. The lock is a leaf, and held for no longer than a copy takes.
 *
 * A log whose lines gather has neither queue nor turns: the thread of its batch is the
 * only one that writes. */
#include "base/logfile.h"

#include "base/batch.h"
#include "base/clock.h"
#include "base/path.h"
#include "base/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SOCKET_PATH = sizeof((struct sockaddr_un *)0)->sun_path };
enum {
    QUEUE_BYTES = 256 * 1024,
    SLOW_TIME = 100,   /* ms that a write may take */
    ANEW_TIME = 10000, /* ms in which a file that was removed is made anew */
};

struct logfile {
    size_t (*say_lost)(char *line, uint64_t count); /* immutable, as the next */
    struct batch *batch;                            /* see logfile_create_batched */
    char *path;            /* main thread; absolute; "": standard error */
    int own;               /* main thread; the descriptor made for files; -1: none yet */
    bool in_file;          /* main thread; lines go to `own` */
    atomic_int fd;         /* where lines go */
    atomic_int kind;       /* S_IFMT of the file behind `fd` */
    atomic_bool datagrams; /* it is a socket of messages, one for each line */
    atomic_bool torn; /* the last line is there in part; set by the thread that writes */
    pthread_mutex_t lock;
    pthread_cond_t queued, turn; /* something was queued; a write has ended */
    bool threaded, writing;      /* lock */
    bool slow;                /* lock; a write took long: the queue is for every line */
    uint64_t lost;            /* lock; lines lost that the log has not told of */
    uint64_t ever_lost;       /* lock; and the others */
    int loss_error;           /* lock; why the last were */
    char socket[SOCKET_PATH]; /* lock; the file's path, if it is a socket's */
    size_t len;               /* lock; bytes in `queue` */
    char *queue;              /* lock; of QUEUE_BYTES, or NULL */
    char *taken; /* belongs to the log's own thread: what it writes; as large, or NULL */
    bool there;  /* belongs to the batch's thread: its file has not been removed */
};

/* -- Opening: main thread only -- */

static void use(struct logfile *f, int fd)
{
    struct stat st;
    int kind = fstat(fd, &st) == 0 ? (int)(st.st_mode & S_IFMT) : 0;
    int type = 0;
    socklen_t len = sizeof type;
    bool datagrams = kind == S_IFSOCK &&
                     getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
                     type == SOCK_DGRAM;
    atomic_store(&f->torn, false);
    atomic_store(&f->kind, kind);
    atomic_store(&f->datagrams, datagrams);
    atomic_store(&f->fd, fd);
}

static struct logfile *create(void)
{
    struct logfile *f = calloc(1, sizeof *f);
    if (f == NULL || (f->path = strdup("")) == NULL) {
        free(f);
        return NULL;
    }
    pthread_mutex_init(&f->lock, NULL);
    clock_init_condition(&f->queued);
    clock_init_condition(&f->turn);
    f->own = -1;
    return f;
}

static void destroy(struct logfile *f)
{
    free(f->queue);
    free(f->taken);
    free(f->path);
    free(f);
}

struct logfile *logfile_create(size_t (*say_lost)(char *line, uint64_t count))
{
    struct logfile *f = create();
    if (f == NULL)
        return NULL;
    f->queue = malloc(QUEUE_BYTES);
    f->taken = malloc(QUEUE_BYTES);
    if (f->queue == NULL || f->taken == NULL) {
        destroy(f);
        return NULL;
    }
    f->say_lost = say_lost;
    use(f, STDERR_FILENO);
    return f;
}

static bool connect_to(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    strcpy(address.sun_path, path);
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

/* A reader of messages that was started anew has another socket at the same path. */
static bool connect_again(struct logfile *f, int fd)
{
    char path[SOCKET_PATH];
    pthread_mutex_lock(&f->lock);
    memcpy(path, f->socket, sizeof path);
    pthread_mutex_unlock(&f->lock);
    return connect_to(fd, path);
}

/* What a socket takes at once, such as that of syslogd. */
static int open_socket(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect_to(fd, path))
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* O_NONBLOCK only for the opening: a FIFO without a reader must not stop the start. */
static int open_file(const char *path)
{
    struct stat st;
    int fd = stat(path, &st) == 0 && S_ISSOCK(st.st_mode)
                 ? open_socket(path)
                 : reserve_open(path,
                                O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY |
                                    O_NONBLOCK,
                                0640);
    if (fd < 0)
        return -1;
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    if (fd > STDERR_FILENO)
        return fd;
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int saved = errno;
    close(fd);
    errno = saved;
    return higher;
}

/* Puts the file behind `fd` under the number of our own descriptor. */
static bool replace_file(struct logfile *f, int fd)
{
    int result;
    do
        result = dup3(fd, f->own, O_CLOEXEC);
    while (result < 0 && (errno == EINTR || errno == EBUSY));
    return result >= 0;
}

static bool use_path(struct logfile *f)
{
    int fd = open_file(f->path);
    if (fd < 0)
        return false;
    /* Before the file gets its number: who finds that a socket's reader has gone connects
     * the number to the new path. */
    pthread_mutex_lock(&f->lock);
    snprintf(f->socket, sizeof f->socket, "%s", f->path);
    pthread_mutex_unlock(&f->lock);
    if (f->own < 0) {
        f->own = fd;
    } else {
        bool done = replace_file(f, fd);
        int saved = errno;
        reserve_close(fd);
        errno = saved;
        if (!done)
            return false;
    }
    f->in_file = true;
    use(f, f->own);
    return true;
}

/* The number stays ours, so that no other file gets it while a thread writes. */
static void close_own(struct logfile *f)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    replace_file(f, fd);
    close(fd);
}

/* A thread that still holds the number of our own descriptor reaches standard error
 * through it; and the file, which may have been rotated, is closed. */
static void use_standard_error(struct logfile *f)
{
    f->in_file = false;
    use(f, f->batch != NULL ? -1 : STDERR_FILENO);
    if (f->own >= 0 && f->batch != NULL)
        close_own(f);
    else if (f->own >= 0)
        replace_file(f, STDERR_FILENO);
}

/* logfile_reopen must find the file wherever the daemon's directory is then. */
static bool set_path(struct logfile *f, const char *path)
{
    char *full = path[0] == '\0' ? NULL : path_absolute(path);
    if (full == NULL && (full = strdup(path)) == NULL) {
        errno = ENOMEM;
        return false;
    }
    free(f->path);
    f->path = full;
    return true;
}

bool logfile_open(struct logfile *f, const char *path)
{
    bool known = set_path(f, path);
    if (known && path[0] != '\0' && use_path(f))
        return true;
    int saved = errno;
    use_standard_error(f);
    errno = saved;
    return known && path[0] == '\0';
}

bool logfile_reopen(struct logfile *f)
{
    if (f->path[0] == '\0' || use_path(f))
        return true;
    int saved = errno;
    if (logfile_is_removed(f))
        use_standard_error(f);
    errno = saved;
    return false;
}

bool logfile_has_file(const struct logfile *f)
{
    return f->in_file;
}

bool logfile_is_removed(struct logfile *f)
{
    struct stat st;
    int fd = atomic_load(&f->fd);
    return fd > STDERR_FILENO && atomic_load(&f->kind) == S_IFREG &&
           fstat(fd, &st) == 0 && st.st_nlink == 0;
}

const char *logfile_path(const struct logfile *f)
{
    return f->path;
}

bool logfile_chown(struct logfile *f, unsigned uid, unsigned gid)
{
    struct stat st;
    return !f->in_file || fstat(f->own, &st) != 0 || !S_ISREG(st.st_mode) ||
           fchown(f->own, uid, gid) == 0;
}

/* -- Writing: by the thread that has set `writing` -- */

/* The next line as a message, without its newline. */
static ssize_t send_line(struct logfile *f, int fd, const char *data, size_t len,
                         bool wait)
{
    const char *newline = memchr(data, '\n', len);
    size_t n = newline == NULL ? len : (size_t)(newline - data);
    int flags = MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT);
    ssize_t sent = send(fd, data, n, flags);
    if (sent < 0 &&
        (errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET ||
         errno == EDESTADDRREQ || errno == ENOENT) &&
        connect_again(f, fd))
        sent = send(fd, data, n, flags);
    return sent < 0 ? -1 : (ssize_t)(n + (newline != NULL));
}

/* As write(2). Without `wait` it writes only as much as the file takes at once: a pipe
 * that is ready takes PIPE_BUF bytes, see pipe(7). */
static ssize_t write_part(struct logfile *f, const char *data, size_t len, bool wait)
{
    int fd = atomic_load(&f->fd), kind = atomic_load(&f->kind);
    if (fd < 0) {
        errno = ENOENT;
        return -1;
    }
    if (atomic_load(&f->datagrams))
        return send_line(f, fd, data, len, wait);
    if (wait || kind == S_IFREG)
        return write(fd, data, len);
    if (kind == S_IFSOCK)
        return send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (poll(&p, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd, data, len < PIPE_BUF ? len : PIPE_BUF);
}

/* Returns the number of bytes written. If these are not all, errno says why. */
static size_t write_all(struct logfile *f, const char *data, size_t len, bool wait)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = write_part(f, data + done, len - done, wait);
        if (n > 0) {
            done += (size_t)n;
        } else if (n < 0 && wait &&
                   errno == EAGAIN) { /* another process set O_NONBLOCK */
            struct pollfd p = {.fd = atomic_load(&f->fd), .events = POLLOUT};
            poll(&p, 1, SLOW_TIME);
        } else if (n == 0 || errno != EINTR) {
            break;
        }
    }
    return done;
}

/* If the disk was full in the middle of a line, the next text begins a new line. */
static void mend_line(struct logfile *f, bool wait)
{
    if (atomic_load(&f->torn) && write_all(f, "\n", 1, wait) == 1)
        atomic_store(&f->torn, false);
}

static size_t count_lines(const char *data, size_t len)
{
    size_t count = 0;
    const char *end = data + len;
    while (data < end && (data = memchr(data, '\n', (size_t)(end - data))) != NULL) {
        data++;
        count++;
    }
    return count;
}

/* How many of these lines could not be written. */
static size_t write_or_lose(struct logfile *f, const char *data, size_t len)
{
    mend_line(f, true);
    size_t done = write_all(f, data, len, true);
    if (done < len && done > 0 && data[done - 1] != '\n')
        atomic_store(&f->torn, true);
    return count_lines(data + done, len - done);
}

/* -- The queue -- */

static void enqueue_locked(struct logfile *f, const char *data, size_t len)
{
    if (len > QUEUE_BYTES - f->len) {
        f->lost++;
        f->loss_error = EAGAIN;
    } else {
        memcpy(f->queue + f->len, data, len);
        f->len += len;
    }
    if (!f->writing)
        pthread_cond_signal(&f->queued);
}

/* The rest of a line goes before what other threads have queued meanwhile. Without room
 * for it the line stays torn. */
static void put_first_locked(struct logfile *f, const char *data, size_t len)
{
    if (len > QUEUE_BYTES - f->len) {
        f->lost++;
        atomic_store(&f->torn, true);
        return;
    }
    memmove(f->queue + len, f->queue, f->len);
    memcpy(f->queue, data, len);
    f->len += len;
}

static void end_writing_locked(struct logfile *f, int64_t began)
{
    f->writing = false;
    f->slow = f->threaded && clock_milliseconds() - began > SLOW_TIME;
    if (f->len > 0 || f->lost > 0)
        pthread_cond_signal(&f->queued);
    pthread_cond_broadcast(&f->turn);
}

/* -- What every thread calls -- */

/* The caller has set `writing`. */
static void write_now(struct logfile *f, const char *line, size_t len, bool wait)
{
    int64_t began = clock_milliseconds();
    mend_line(f, wait);
    size_t done = write_all(f, line, len, wait);
    bool full = done < len && (errno == EAGAIN || errno == EWOULDBLOCK);
    pthread_mutex_lock(&f->lock);
    if (full) {
        put_first_locked(f, line + done, len - done);
    } else if (done < len) {
        f->lost++;
        if (done > 0)
            atomic_store(&f->torn, true);
    }
    end_writing_locked(f, began);
    pthread_mutex_unlock(&f->lock);
}

/* Waits for its turn, so that a thread that has logged finds its line in the file, and
 * nothing is lost in a burst. After one thread has waited too long no thread waits, until
 * lines are written quickly again. false: it is not its turn. */
static bool take_turn_locked(struct logfile *f)
{
    if ((f->writing || f->len > 0) && !f->slow) {
        struct timespec until = clock_after(SLOW_TIME);
        while ((f->writing || f->len > 0) && !f->slow)
            if (pthread_cond_timedwait(&f->turn, &f->lock, &until) != 0)
                f->slow = true;
        if (f->slow)
            pthread_cond_broadcast(&f->turn);
    }
    return !f->slow;
}

static void write_or_enqueue(struct logfile *f, const char *line, size_t len,
                             bool may_wait)
{
    pthread_mutex_lock(&f->lock);
    bool threaded = f->threaded;
    bool now = !threaded || (may_wait && take_turn_locked(f));
    if (now)
        f->writing = true;
    else
        enqueue_locked(f, line, len);
    pthread_mutex_unlock(&f->lock);
    if (now)
        write_now(f, line, len, !threaded);
}

void logfile_write(struct logfile *f, const char *line, size_t len)
{
    if (f->batch != NULL)
        batch_add(f->batch, NULL, line, len);
    else
        write_or_enqueue(f, line, len, true);
}

void logfile_enqueue(struct logfile *f, const char *line, size_t len)
{
    write_or_enqueue(f, line, len, false);
}

struct batch *logfile_batch(struct logfile *f)
{
    return f->batch;
}

uint64_t logfile_lost(struct logfile *f, int *error)
{
    if (f->batch != NULL)
        return batch_lost(f->batch, error);
    pthread_mutex_lock(&f->lock);
    uint64_t count = f->ever_lost + f->lost;
    *error = f->loss_error;
    pthread_mutex_unlock(&f->lock);
    return count;
}

bool logfile_flush(struct logfile *f, int64_t timeout)
{
    if (f->batch != NULL)
        return batch_flush(f->batch, timeout);
    struct timespec until = clock_after(timeout);
    int error = 0;
    pthread_mutex_lock(&f->lock);
    while (f->threaded && (f->writing || f->len > 0) && error == 0)
        error = pthread_cond_timedwait(&f->turn, &f->lock, &until);
    pthread_mutex_unlock(&f->lock);
    return error == 0;
}

/* -- The log's own thread -- */

/* Leaves empty memory in the place of what was queued. */
static size_t take_queue_locked(struct logfile *f)
{
    size_t len = f->len;
    char *lines = f->queue;
    f->queue = f->taken;
    f->taken = lines;
    f->len = 0;
    return len;
}

/* Once lines can be written again, the log says how many were lost. */
static void write_taken(struct logfile *f, size_t len, uint64_t lost)
{
    char line[LOGFILE_LINE_MAX];
    int64_t began = clock_milliseconds();
    uint64_t told = 0;
    size_t failed = write_or_lose(f, f->taken, len);
    if (failed == 0 && lost > 0) {
        failed = write_or_lose(f, line, f->say_lost(line, lost));
        told = failed > 0 ? 0 : lost;
        failed = 0;
    }
    pthread_mutex_lock(&f->lock);
    f->lost += failed;
    f->lost -= told;
    f->ever_lost += told;
    end_writing_locked(f, began);
    pthread_mutex_unlock(&f->lock);
}

/* While lines are lost the thread tries again every tenth of a second to say so. */
static void *run(void *arg)
{
    struct logfile *f = arg;
    for (;;) {
        pthread_mutex_lock(&f->lock);
        while (f->writing || (f->len == 0 && f->lost == 0))
            pthread_cond_wait(&f->queued, &f->lock);
        f->writing = true;
        size_t len = take_queue_locked(f);
        uint64_t lost = f->lost;
        pthread_mutex_unlock(&f->lock);
        write_taken(f, len, lost);
        if (lost > 0)
            poll(NULL, 0, SLOW_TIME);
    }
    return NULL;
}

bool logfile_start(struct logfile *f)
{
    if (f->batch != NULL)
        return batch_start(f->batch);
    pthread_t thread;
    pthread_mutex_lock(&f->lock);
    f->threaded = true;
    pthread_mutex_unlock(&f->lock);
    int error = pthread_create(&thread, NULL, run, f);
    if (error == 0) {
        pthread_detach(thread);
        return true;
    }
    pthread_mutex_lock(&f->lock);
    f->threaded = false;
    pthread_mutex_unlock(&f->lock);
    errno = error;
    return false;
}

/* -- A batch: in its thread -- */

/* Nobody would read what is written to a file that has been removed: lines wait until the
 * main thread has opened another, unless it does not, or the process ends. */
static void await_file(void *of)
{
    struct logfile *f = of;
    int64_t until = clock_milliseconds() + ANEW_TIME;
    while (!(f->there = !logfile_is_removed(f)) && !batch_is_flushing(f->batch) &&
           clock_milliseconds() <= until)
        poll(NULL, 0, BATCH_TIME);
}

static size_t write_lines(void *of, const char *lines, size_t len, int *error)
{
    struct logfile *f = of;
    size_t failed = f->there ? write_or_lose(f, lines, len) : count_lines(lines, len);
    if (failed > 0)
        *error = f->there ? errno : ENOENT;
    return failed;
}

static const struct batch_writer batch_writer = {await_file, write_lines};

struct logfile *logfile_create_batched(void)
{
    struct logfile *f = create();
    if (f == NULL)
        return NULL;
    f->batch = batch_create(&batch_writer, f);
    if (f->batch == NULL) {
        destroy(f);
        return NULL;
    }
    use(f, -1);
    return f;
}
