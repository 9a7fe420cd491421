/* Channels: what one script publishes, others receive, in every state of every script.
 *
 * A channel is a name, and is there while somebody is subscribed to it. A message is any
 * bytes, goes to those that are subscribed when it is published, in the order in which
 * messages are published, and is stored once. There is no Lua here. There is one set of
 * channels in the process; any thread may call any function, unless it says otherwise.
 * The lock is a leaf, held for microseconds; wakers are woken after it was released. */
#ifndef LUAFCGID2_STORE_CHANNEL_H
#define LUAFCGID2_STORE_CHANNEL_H

#include "base/bytes.h"
#include "base/waker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Channels of one subscription, and bytes of a channel's name. */
#define CHANNEL_COUNT_MAX 1000
#define CHANNEL_NAME_MAX  1000

/* All channels together hold at most so many times SubscriptionMaxSize. */
#define CHANNEL_SHARE 64

enum channel_result { CHANNEL_DONE, CHANNEL_TOO_LARGE, CHANNEL_NO_MEMORY };

/* Hands the message to every subscription of the channel, of which there are `*count`.
 * `max` is SubscriptionMaxSize; 0: no limit. CHANNEL_TOO_LARGE: the text is larger. Then,
 * and without memory, nobody gets it. */
enum channel_result channel_publish(struct bytes channel, struct bytes text, int64_t max,
                                    size_t *count);

struct channel_figures {
    size_t channels;      /* that somebody is subscribed to */
    size_t subscriptions; /* to each channel, together */
    uint64_t published;   /* messages to these, ever */
    uint64_t lost;        /* messages that went before a subscription had read them, ever,
                             each as often as there were such subscriptions */
    uint64_t bytes;       /* that wait, with BACKLOG_OVERHEAD for each message */
};

struct channel_figures channel_read(void);

/* -- Subscriptions --
 *
 * A subscription has one owner at a time, who alone calls these functions with it. */

struct channel_subscription;

/* Bytes of a subscription to `count` channels. The memory is the caller's, from
 * channel_subscribe to channel_unsubscribe. */
size_t channel_subscription_size(size_t count);

/* Begins a subscription in such memory. `waker` is woken for a message that comes after
 * channel_next found none; the subscription takes a reference of its own. `max` as above:
 * when more bytes wait the oldest go, but never the last message. Each message counts
 * BACKLOG_OVERHEAD bytes more than its text. Names may be repeated. false: out of memory,
 * there is none. */
bool channel_subscribe(struct channel_subscription *s, const struct bytes *names,
                       size_t count, int64_t max, struct waker *waker);
void channel_unsubscribe(struct channel_subscription *s);

struct message;

/* Takes the next message. `text` is valid until channel_release; `channel` is its name,
 * valid until channel_unsubscribe. NULL: there is none yet, and the waker will be
 * woken. */
struct message *channel_next(struct channel_subscription *s, struct bytes *text,
                             struct bytes *channel);
void channel_release(struct message *m); /* NULL is allowed; whoever took it */

/* How many messages went because too many bytes waited, since the subscription began. */
uint64_t channel_missed(struct channel_subscription *s);

#endif
