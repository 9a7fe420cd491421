/* The temporary files of a request. Runs in the thread that works on the request; no
 * lock. Its memory is counted by the limit of the state that serves the request. */
#include "lua/spool.h"

#include "base/tempfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct spool_file *spool_file(const struct spool *s, size_t number)
{
    if (number >= s->count)
        return NULL;
    return (struct spool_file *)(void *)s->files.data + number;
}

/* Writes the path of a file that does not exist to `path`. */
static bool choose_path(struct buffer *path, const char *directory)
{
    char name[TEMPFILE_NAME_SIZE];
    if (!tempfile_name(name))
        return false;
    if (buffer_puts(path, directory) && buffer_append(path, "/", 1) &&
        buffer_append(path, name, strlen(name) + 1))
        return true;
    errno = ENOMEM;
    return false;
}

static bool create(struct spool_file *f, const char *directory)
{
    if (!choose_path(&f->path, directory))
        return false;
    f->fd = tempfile_create(f->path.data);
    return f->fd >= 0;
}

int spool_add(struct spool *s, const struct buffer_memory *memory, const char *directory)
{
    struct spool_file f = {.path = {.memory = memory}, .fd = -1};
    if (s->count == 0)
        s->files = (struct buffer){.memory = memory};
    if (!buffer_reserve(&s->files, sizeof f)) {
        errno = ENOMEM;
        return -1;
    }
    if (!create(&f, directory)) {
        int error = errno;
        buffer_free(&f.path);
        errno = error;
        return -1;
    }
    buffer_append(&s->files, &f, sizeof f); /* there is room */
    return (int)s->count++;
}

bool spool_write(struct spool_file *f, const void *data, size_t len)
{
    if (!tempfile_write(f->fd, data, len))
        return false;
    f->size += (int64_t)len;
    return true;
}

bool spool_open(struct spool_file *f)
{
    if (f->fd < 0)
        f->fd = open(f->path.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return f->fd >= 0;
}

void spool_close(struct spool_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

bool spool_keep(struct spool_file *f, const char *path, bool (*go_on)(void *arg),
                void *arg)
{
    struct buffer kept = {.memory = f->path.memory};
    if (!buffer_append(&kept, path, strlen(path) + 1)) {
        errno = ENOMEM;
        return false;
    }
    if (!tempfile_move(f->path.data, path, go_on, arg)) {
        int error = errno;
        buffer_free(&kept);
        errno = error;
        return false;
    }
    buffer_free(&f->path);
    f->path = kept;
    f->kept = true;
    return true;
}

void spool_end(struct spool *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct spool_file *f = spool_file(s, i);
        spool_close(f);
        if (!f->kept)
            unlink(f->path.data);
        buffer_free(&f->path);
    }
    buffer_free(&s->files);
    s->count = 0;
}
