/* Channels: who gets which messages, what is dropped, who is woken; and all of that from
 * many threads at once, to be run under ThreadSanitizer as well. */
#include "store/channel.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/backlog.h"

static struct bytes b(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static size_t publish(const char *channel, const char *text, int64_t max)
{
    size_t count;
    assert_int_equal(channel_publish(b(channel), b(text), max, &count), CHANNEL_DONE);
    return count;
}

struct one {
    struct channel_subscription *subscription;
    struct waker *waker;
};

static struct one subscribe_to(size_t count, const char *const *channels, int64_t max)
{
    struct bytes names[CHANNEL_COUNT_MAX];
    struct one one = {malloc(channel_subscription_size(count)), waker_create()};
    for (size_t i = 0; i < count; i++)
        names[i] = b(channels[i]);
    assert_non_null(one.subscription);
    assert_non_null(one.waker);
    assert_true(channel_subscribe(one.subscription, names, count, max, one.waker));
    return one;
}

#define subscribe(max, ...)                                                              \
    subscribe_to(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *),           \
                 (const char *[]){__VA_ARGS__}, max)

static void end(struct one *one)
{
    channel_unsubscribe(one->subscription);
    waker_unref(one->waker);
    free(one->subscription);
}

/* "text@channel" of the next message, until the next call; "" when there is none. */
static const char *next(struct one *one)
{
    static char said[256];
    struct bytes text, channel;
    struct message *m = channel_next(one->subscription, &text, &channel);
    if (m == NULL)
        return "";
    snprintf(said, sizeof said, "%.*s@%.*s", (int)text.len, text.data, (int)channel.len,
             channel.data);
    channel_release(m);
    return said;
}

/* -- Who gets what -- */

static void a_message_goes_to_every_subscription_of_its_channel(void **state)
{
    (void)state;
    assert_int_equal(publish("a", "to nobody", 0), 0);
    struct one one = subscribe(0, "a"), two = subscribe(0, "a"),
               other = subscribe(0, "b");
    assert_int_equal(publish("a", "1", 0), 2);
    assert_int_equal(publish("a", "2", 0), 2);
    assert_string_equal(next(&one), "1@a");
    assert_string_equal(next(&one), "2@a");
    assert_string_equal(next(&one), "");
    struct one late = subscribe(0, "a");
    assert_int_equal(publish("a", "3", 0), 3);
    assert_string_equal(next(&late), "3@a");
    assert_string_equal(next(&one), "3@a");
    end(&one);
    assert_int_equal(publish("a", "4", 0), 2);
    for (int i = 1; i <= 4; i++) {
        char expected[8];
        snprintf(expected, sizeof expected, "%d@a", i);
        assert_string_equal(next(&two), expected);
    }
    assert_string_equal(next(&two), "");
    assert_string_equal(next(&other), "");
    end(&two);
    end(&late);
    end(&other);
    assert_int_equal(publish("a", "5", 0), 0);
}

static void names_and_messages_are_any_bytes(void **state)
{
    (void)state;
    struct one one = subscribe(0, "", "x");
    size_t count;
    struct bytes text = {"a\0b", 3}, channel;
    assert_int_equal(channel_publish((struct bytes){"x\0", 2}, text, 0, &count),
                     CHANNEL_DONE);
    assert_int_equal(count, 0);
    assert_int_equal(channel_publish(b(""), text, 0, &count), CHANNEL_DONE);
    assert_int_equal(count, 1);
    struct message *m = channel_next(one.subscription, &text, &channel);
    assert_non_null(m);
    assert_int_equal(text.len, 3);
    assert_memory_equal(text.data, "a\0b", 3);
    assert_int_equal(channel.len, 0);
    channel_release(m);
    end(&one);
}

static void the_order_of_several_channels_is_that_of_publishing(void **state)
{
    (void)state;
    struct one one = subscribe(0, "a", "b", "c", "b");
    publish("b", "1", 0);
    publish("a", "2", 0);
    publish("b", "3", 0);
    publish("c", "4", 0);
    assert_int_equal(publish("b", "5", 0), 1); /* a name that is repeated counts once */
    assert_string_equal(next(&one), "1@b");
    assert_string_equal(next(&one), "2@a");
    assert_string_equal(next(&one), "3@b");
    assert_string_equal(next(&one), "4@c");
    assert_string_equal(next(&one), "5@b");
    assert_string_equal(next(&one), "");
    end(&one);
}

static void a_message_stays_while_somebody_reads_it(void **state)
{
    (void)state;
    struct one one = subscribe(0, "a");
    struct bytes text, channel;
    publish("a", "still there", 0);
    struct message *m = channel_next(one.subscription, &text, &channel);
    end(&one);
    assert_memory_equal(text.data, "still there", text.len);
    channel_release(m);
}

/* -- What is dropped -- */

enum { TEN = 10 * (BACKLOG_OVERHEAD + 1) }; /* bytes counted of ten short messages */

static void the_oldest_go_and_are_counted(void **state)
{
    (void)state;
    struct one slow = subscribe(TEN, "a"), quick = subscribe(TEN, "a");
    for (int i = 0; i < 25; i++) {
        char text[2] = {(char)('a' + i), '\0'};
        assert_int_equal(publish("a", text, TEN), 2);
        assert_int_equal(next(&quick)[0], text[0]);
    }
    assert_int_equal(channel_missed(slow.subscription), 15);
    assert_int_equal(channel_missed(quick.subscription), 0);
    for (int i = 15; i < 25; i++)
        assert_int_equal(next(&slow)[0], 'a' + i);
    assert_string_equal(next(&slow), "");
    assert_int_equal(channel_missed(slow.subscription), 15);
    end(&slow);
    end(&quick);
}

static void several_channels_have_one_bound(void **state)
{
    (void)state;
    struct one slow = subscribe(TEN, "a", "b", "c");
    for (int i = 0; i < 24; i++) {
        char text[2] = {(char)('a' + i), '\0'};
        publish(i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "c", text, TEN);
    }
    assert_string_equal(next(&slow), "o@c");
    assert_int_equal(channel_missed(slow.subscription), 14);
    publish("c", "z", TEN);
    for (int i = 15; i < 24; i++)
        assert_int_equal(next(&slow)[0], 'a' + i);
    assert_string_equal(next(&slow), "z@c");
    assert_string_equal(next(&slow), "");
    assert_int_equal(channel_missed(slow.subscription), 14);
    end(&slow);
}

static void expect_figures(size_t channels, size_t subscriptions, uint64_t published,
                           uint64_t lost, const struct channel_figures *before)
{
    struct channel_figures now = channel_read();
    assert_int_equal(now.channels, channels);
    assert_int_equal(now.subscriptions, subscriptions);
    assert_int_equal(now.published - before->published, published);
    assert_int_equal(now.lost - before->lost, lost);
}

static void the_figures_are_what_subscriptions_miss(void **state)
{
    (void)state;
    struct channel_figures before = channel_read();
    expect_figures(0, 0, 0, 0, &before);
    publish("a", "x", TEN); /* for nobody */
    struct one slow = subscribe(TEN, "a"), other = subscribe(TEN, "a");
    struct one both = subscribe(TEN, "a", "b");
    expect_figures(2, 4, 0, 0, &before);
    for (int i = 0; i < 12; i++) {
        publish("a", "x", TEN);
        next(&other);
    }
    expect_figures(2, 4, 12, 2 * 2, &before);
    assert_int_equal(channel_read().bytes, TEN);
    for (int i = 0; i < 10; i++)
        publish("b", "x", TEN);
    assert_string_equal(next(&both), "x@b"); /* the ten of the other channel went */
    expect_figures(2, 4, 22, 2 * 2 + 10, &before);
    assert_int_equal(channel_missed(slow.subscription) +
                         channel_missed(both.subscription) +
                         channel_missed(other.subscription),
                     2 * 2 + 10);
    end(&slow);
    end(&other);
    end(&both);
    expect_figures(0, 0, 22, 2 * 2 + 10, &before);
    assert_int_equal(channel_read().bytes, 0);
}

static void the_last_message_stays_and_a_larger_one_is_refused(void **state)
{
    (void)state;
    struct one one = subscribe(10, "a", "b");
    size_t count;
    publish("a", "0123456789", 10);
    publish("b", "123456789", 10);
    assert_string_equal(next(&one), "123456789@b");
    assert_int_equal(channel_missed(one.subscription), 1);
    assert_int_equal(channel_publish(b("a"), b("01234567890"), 10, &count),
                     CHANNEL_TOO_LARGE);
    assert_string_equal(next(&one), "");
    end(&one);
}

static void all_channels_together_have_a_bound(void **state)
{
    (void)state;
    enum { MANY = 3 * CHANNEL_SHARE };
    struct one all[MANY];
    char name[8], text[1001];
    int there = 0;
    memset(text, 'x', 1000);
    text[1000] = '\0';
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "%d", i);
        all[i] = subscribe(2000, name);
        publish(name, text, 2000);
    }
    for (int i = 0; i < MANY; i++) {
        bool got = next(&all[i])[0] != '\0';
        assert_int_equal(channel_missed(all[i].subscription), got ? 0 : 1);
        assert_int_equal(got, i >= MANY - 2000 * CHANNEL_SHARE / 1100);
        there += got;
        end(&all[i]);
    }
    assert_int_equal(there, 2000 * CHANNEL_SHARE / 1100);
}

/* -- Who is woken -- */

static void who_found_nothing_is_woken_by_the_next_message(void **state)
{
    (void)state;
    struct one one = subscribe(0, "a", "b"), other = subscribe(0, "c");
    publish("a", "1", 0);
    assert_false(waker_is_woken(one.waker)); /* it has not looked yet */
    next(&one);
    assert_string_equal(next(&one), "");
    assert_string_equal(next(&other), "");
    publish("b", "2", 0);
    assert_true(waker_is_woken(one.waker));
    assert_false(waker_is_woken(other.waker));
    waker_reset(one.waker);
    assert_string_equal(next(&one), "2@b");
    assert_string_equal(next(&one), "");
    publish("a", "3", 0);
    assert_true(waker_is_woken(one.waker));
    end(&one);
    end(&other);
}

/* -- Many threads -- */

enum { READERS = 6, WRITERS = 3, MESSAGES = 2000 };

static atomic_uint wrong;

static void expect(bool right)
{
    if (!right)
        atomic_fetch_add(&wrong, 1);
}

/* Looks again and again until the waker is woken, as the test has no condition. */
static void *read_all(void *arg)
{
    struct one *one = arg;
    int seen[WRITERS] = {0}, left = WRITERS * MESSAGES;
    while (left > 0) {
        struct bytes text, channel;
        waker_reset(one->waker);
        struct message *m = channel_next(one->subscription, &text, &channel);
        if (m == NULL) {
            for (int64_t end = clock_milliseconds() + 60000; !waker_is_woken(one->waker);)
                if (clock_milliseconds() > end) {
                    expect(false); /* a wake was lost */
                    return NULL;
                }
            continue;
        }
        int writer, number;
        expect(sscanf(text.data, "%d %d", &writer, &number) == 2);
        expect(number == seen[writer]++);
        channel_release(m);
        left--;
    }
    return NULL;
}

static void *write_all(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < MESSAGES; i++) {
        char text[32];
        size_t count;
        int len = snprintf(text, sizeof text, "%d %d", me, i);
        struct bytes message = {text, (size_t)len + 1};
        expect(channel_publish(b(i % 2 == 0 ? "even" : "odd"), message, 0, &count) ==
               CHANNEL_DONE);
        expect(count >= READERS);
    }
    return NULL;
}

static atomic_bool stop;

/* Comes and goes, reads some, is slow. */
static void *come_and_go(void *arg)
{
    unsigned seed = (unsigned)(intptr_t)arg;
    while (!atomic_load(&stop)) {
        struct bytes names[2] = {b("even"), b("odd")}, text, channel;
        struct channel_subscription *s = malloc(channel_subscription_size(2));
        struct waker *w = waker_create();
        expect(s != NULL && w != NULL && channel_subscribe(s, names, 2, 500, w));
        for (int reads = rand_r(&seed) % 20; reads > 0; reads--)
            channel_release(channel_next(s, &text, &channel));
        channel_missed(s);
        channel_unsubscribe(s);
        waker_unref(w);
        free(s);
    }
    return NULL;
}

static void every_message_reaches_every_reader_once_and_in_order(void **state)
{
    (void)state;
    pthread_t threads[READERS + WRITERS], others[2];
    struct one readers[READERS];
    atomic_store(&wrong, 0);
    atomic_store(&stop, false);
    for (int i = 0; i < READERS; i++)
        readers[i] = subscribe(0, "even", "odd");
    for (intptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&others[i], NULL, come_and_go, (void *)(i + 1)),
                         0);
    for (intptr_t i = 0; i < READERS + WRITERS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < READERS ? read_all : write_all,
                           i < READERS ? (void *)&readers[i] : (void *)(i - READERS)),
            0);
    for (int i = 0; i < READERS + WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(others[i], NULL), 0);
    for (int i = 0; i < READERS; i++)
        end(&readers[i]);
    assert_int_equal(atomic_load(&wrong), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_to_every_subscription_of_its_channel),
        cmocka_unit_test(names_and_messages_are_any_bytes),
        cmocka_unit_test(the_order_of_several_channels_is_that_of_publishing),
        cmocka_unit_test(a_message_stays_while_somebody_reads_it),
        cmocka_unit_test(the_oldest_go_and_are_counted),
        cmocka_unit_test(several_channels_have_one_bound),
        cmocka_unit_test(the_figures_are_what_subscriptions_miss),
        cmocka_unit_test(the_last_message_stays_and_a_larger_one_is_refused),
        cmocka_unit_test(all_channels_together_have_a_bound),
        cmocka_unit_test(who_found_nothing_is_woken_by_the_next_message),
        cmocka_unit_test(every_message_reaches_every_reader_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
