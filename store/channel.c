/* Channels. Called by workers.
 *
 * One lock guards all: the table of channels, their messages, and the members of each
 * subscription. It is a leaf. No message is copied or freed and no waker woken under it,
 * and what takes long, to wake a thousand subscriptions or to skip a thousand messages,
 * releases it every few steps. */
#include "store/channel.h"

#include "base/hash.h"
#include "base/list.h"
#include "store/backlog.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WAKE_STEP 32 /* subscriptions that are taken to be woken under one lock */
#define SKIP_STEP 16 /* messages that are skipped under one lock */

struct channel {
    struct hash_link by_name;
    struct backlog backlog;
    size_t members;
    struct link waiting; /* members that found nothing to read */
    size_t name_len;
    char name[];
};

/* A subscription's part in one channel. */
struct member {
    struct channel *channel;
    struct backlog_reader reader;
    struct link waiting; /* in the channel's list, or in that of who wakes it */
    struct channel_subscription *subscription;
};

struct channel_subscription {
    struct waker *waker; /* immutable, a reference */
    uint64_t max;        /* immutable */
    uint64_t missed;     /* lock */
    size_t count;        /* owner */
    struct member members[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* All else is guarded by the lock. */
static struct hash channels;
static struct link by_age = {&by_age, &by_age}; /* the messages of all channels */
static uint64_t bytes_held;                     /* as the backlogs count */
static uint64_t published;                      /* so many messages, which orders them */
static size_t subscriptions;                    /* members of all channels */
static uint64_t lost;                           /* as struct channel_figures says */

/* -- What is dropped -- */

/* Under no lock. */
static void release_all(struct link *dropped)
{
    while (!list_is_empty(dropped)) {
        struct message *m = CONTAINER(struct message, by_age, dropped->next);
        list_remove(&m->by_age);
        backlog_release(m);
    }
}

/* Calls of the backlog change its size, and so that of all. */
static void recount_locked(const struct backlog *b, uint64_t before)
{
    bytes_held += backlog_size(b);
    bytes_held -= before;
}

static void drop_locked(struct backlog *b, struct link *dropped)
{
    uint64_t before = backlog_size(b);
    backlog_drop(b, dropped);
    recount_locked(b, before);
}

/* Readers of the oldest message are those that have not read it. */
static void lose_locked(struct backlog *b, struct link *dropped)
{
    lost += backlog_unread(b);
    drop_locked(b, dropped);
}

static void pass_locked(struct member *m, struct link *dropped)
{
    struct backlog *b = &m->channel->backlog;
    uint64_t before = backlog_size(b);
    backlog_pass(b, &m->reader, dropped);
    recount_locked(b, before);
}

/* -- The table -- */

static struct channel *find_locked(struct bytes name)
{
    uint32_t hash = hash_bytes(name.data, name.len);
    for (struct hash_link *l = hash_find(&channels, hash); l != NULL; l = hash_next(l)) {
        struct channel *c = CONTAINER(struct channel, by_name, l);
        if (c->name_len == name.len && memcmp(c->name, name.data, name.len) == 0)
            return c;
    }
    return NULL;
}

/* NULL: out of memory. */
static struct channel *obtain_locked(struct bytes name)
{
    struct channel *c = find_locked(name);
    if (c != NULL)
        return c;
    c = calloc(1, sizeof *c + name.len);
    if (c == NULL)
        return NULL;
    list_init(&c->waiting);
    c->name_len = name.len;
    memcpy(c->name, name.data, name.len);
    hash_insert(&channels, &c->by_name, hash_bytes(name.data, name.len));
    return c;
}

static void destroy_locked(struct channel *c)
{
    hash_remove(&channels, &c->by_name);
    backlog_free(&c->backlog);
    free(c);
    if (channels.count == 0)
        hash_free(&channels);
}

/* -- Publishing -- */

/* Makes room for the message that was just appended, which stays: in its channel, then in
 * all. */
static void make_room_locked(struct backlog *b, uint64_t max, struct link *dropped)
{
    if (max == 0)
        return;
    while (backlog_size(b) > max && b->count > 1)
        lose_locked(b, dropped);
    while (bytes_held / CHANNEL_SHARE > max && by_age.next != by_age.prev) {
        struct message *oldest = CONTAINER(struct message, by_age, by_age.next);
        lose_locked(oldest->backlog, dropped);
    }
}

/* Appends the message, and moves those that wait for it to `waiting`. */
static bool append_locked(struct channel *c, struct message *m, uint64_t max,
                          struct link *waiting, struct link *dropped)
{
    uint64_t before = backlog_size(&c->backlog);
    if (!backlog_append(&c->backlog, m))
        return false;
    m->order = published++;
    list_append(&by_age, &m->by_age);
    recount_locked(&c->backlog, before);
    make_room_locked(&c->backlog, max, dropped);
    list_splice(waiting, &c->waiting);
    return true;
}

/* A member may leave the list meanwhile, and its subscription end: the list is guarded by
 * the lock, and a waker that was taken from it is held by a reference. */
static void wake_all(struct link *waiting)
{
    struct waker *wakers[WAKE_STEP];
    int count;
    do {
        count = 0;
        pthread_mutex_lock(&lock);
        while (count < WAKE_STEP && !list_is_empty(waiting)) {
            struct member *m = CONTAINER(struct member, waiting, waiting->next);
            list_remove(&m->waiting);
            wakers[count++] = waker_ref(m->subscription->waker);
        }
        pthread_mutex_unlock(&lock);
        for (int i = 0; i < count; i++) {
            waker_wake(wakers[i]);
            waker_unref(wakers[i]);
        }
    } while (count == WAKE_STEP);
}

static size_t count_members(struct bytes name)
{
    pthread_mutex_lock(&lock);
    const struct channel *c = find_locked(name);
    size_t count = c == NULL ? 0 : c->members;
    pthread_mutex_unlock(&lock);
    return count;
}

/* Takes over the message. */
static enum channel_result deliver(struct bytes name, struct message *m, uint64_t max,
                                   size_t *count)
{
    struct link waiting, dropped;
    list_init(&waiting);
    list_init(&dropped);
    pthread_mutex_lock(&lock);
    struct channel *c = find_locked(name);
    *count = c == NULL ? 0 : c->members;
    bool ok = c != NULL && append_locked(c, m, max, &waiting, &dropped);
    pthread_mutex_unlock(&lock);
    if (!ok)
        backlog_release(m);
    release_all(&dropped);
    wake_all(&waiting);
    return ok || *count == 0 ? CHANNEL_DONE : CHANNEL_NO_MEMORY;
}

/* Looks first whether anybody is there, so that nothing is copied for nobody. */
enum channel_result channel_publish(struct bytes name, struct bytes text, int64_t max,
                                    size_t *count)
{
    *count = 0;
    if (max > 0 && text.len > (uint64_t)max)
        return CHANNEL_TOO_LARGE;
    if (count_members(name) == 0)
        return CHANNEL_DONE;
    struct message *m = backlog_message(text.data, text.len);
    if (m == NULL)
        return CHANNEL_NO_MEMORY;
    return deliver(name, m, (uint64_t)max, count);
}

struct channel_figures channel_read(void)
{
    pthread_mutex_lock(&lock);
    struct channel_figures f = {.channels = channels.count,
                                .subscriptions = subscriptions,
                                .published = published,
                                .lost = lost,
                                .bytes = bytes_held};
    pthread_mutex_unlock(&lock);
    return f;
}

/* -- Subscriptions -- */

size_t channel_subscription_size(size_t count)
{
    return sizeof(struct channel_subscription) + count * sizeof(struct member);
}

static bool is_member(const struct channel_subscription *s, const struct channel *c)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->members[i].channel == c)
            return true;
    return false;
}

static bool join(struct channel_subscription *s, struct bytes name)
{
    pthread_mutex_lock(&lock);
    struct channel *c = obtain_locked(name);
    if (c != NULL && !is_member(s, c)) {
        struct member *m = &s->members[s->count++];
        *m = (struct member){.channel = c, .subscription = s};
        list_init(&m->waiting);
        backlog_join(&c->backlog, &m->reader);
        c->members++;
        subscriptions++;
    }
    pthread_mutex_unlock(&lock);
    return c != NULL;
}

static void leave(struct member *m)
{
    struct link dropped;
    struct channel *c = m->channel;
    list_init(&dropped);
    pthread_mutex_lock(&lock);
    uint64_t before = backlog_size(&c->backlog);
    backlog_leave(&c->backlog, &m->reader, &dropped);
    recount_locked(&c->backlog, before);
    list_remove(&m->waiting);
    subscriptions--;
    if (--c->members == 0)
        destroy_locked(c);
    pthread_mutex_unlock(&lock);
    release_all(&dropped);
}

bool channel_subscribe(struct channel_subscription *s, const struct bytes *names,
                       size_t count, int64_t max, struct waker *waker)
{
    *s = (struct channel_subscription){.waker = waker_ref(waker), .max = (uint64_t)max};
    for (size_t i = 0; i < count; i++) {
        if (!join(s, names[i])) {
            channel_unsubscribe(s);
            return false;
        }
    }
    return true;
}

void channel_unsubscribe(struct channel_subscription *s)
{
    while (s->count > 0)
        leave(&s->members[--s->count]);
    waker_unref(s->waker);
    s->waker = NULL;
}

/* The member whose next message is the oldest; NULL: there is no message. */
static struct member *oldest_locked(struct channel_subscription *s, struct message **out)
{
    struct member *found = NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct member *m = &s->members[i];
        struct message *next = backlog_look(&m->channel->backlog, &m->reader, &s->missed);
        if (next != NULL && (found == NULL || next->order < (*out)->order)) {
            found = m;
            *out = next;
        }
    }
    return found;
}

static uint64_t waiting_locked(const struct channel_subscription *s)
{
    uint64_t waiting = 0;
    for (size_t i = 0; i < s->count; i++)
        waiting +=
            backlog_waiting(&s->members[i].channel->backlog, &s->members[i].reader);
    return waiting;
}

/* false: there may be more to skip. The last message stays, however large. */
static bool skip_some_locked(struct channel_subscription *s, struct link *dropped)
{
    for (int i = 0; i < SKIP_STEP; i++) {
        uint64_t waiting = waiting_locked(s);
        if (waiting <= s->max)
            return true;
        struct message *oldest = NULL;
        struct member *m = oldest_locked(s, &oldest);
        if (m == NULL || waiting == oldest->len + BACKLOG_OVERHEAD)
            return true;
        pass_locked(m, dropped);
        s->missed++;
        lost++;
    }
    return false;
}

/* What is too much of several channels together is dropped when the subscription looks:
 * that leaves the same messages as if each had dropped others when it came. */
static void skip(struct channel_subscription *s)
{
    struct link dropped;
    bool done = s->max == 0 || s->count < 2; /* one channel sees to it when they come */
    list_init(&dropped);
    while (!done) {
        pthread_mutex_lock(&lock);
        done = skip_some_locked(s, &dropped);
        pthread_mutex_unlock(&lock);
    }
    release_all(&dropped);
}

static void wait_locked(struct channel_subscription *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct member *m = &s->members[i];
        list_remove(&m->waiting);
        list_append(&m->channel->waiting, &m->waiting);
    }
}

struct message *channel_next(struct channel_subscription *s, struct bytes *text,
                             struct bytes *channel)
{
    struct message *message = NULL;
    struct link dropped;
    list_init(&dropped);
    skip(s);
    pthread_mutex_lock(&lock);
    struct member *m = oldest_locked(s, &message);
    if (m != NULL) {
        atomic_fetch_add_explicit(&message->owners, 1, memory_order_relaxed);
        pass_locked(m, &dropped);
        *text = (struct bytes){message->text, message->len};
        *channel = (struct bytes){m->channel->name, m->channel->name_len};
    } else {
        wait_locked(s);
    }
    pthread_mutex_unlock(&lock);
    release_all(&dropped);
    return message;
}

void channel_release(struct message *m)
{
    backlog_release(m);
}

uint64_t channel_missed(struct channel_subscription *s)
{
    struct message *message = NULL;
    skip(s);
    pthread_mutex_lock(&lock);
    oldest_locked(s, &message); /* counts what was dropped */
    uint64_t missed = s->missed;
    pthread_mutex_unlock(&lock);
    return missed;
}
