/* What a request notes of its peer, and what the log says of it. */
#include "request/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "tests/unit/peer_fixture.h"

static struct fake_peer fake;

static struct peer new_peer(void)
{
    fake_peer_clear(&fake);
    return (struct peer){.operations = &fake_peer_operations, .context = &fake};
}

static enum io_status read_one(struct peer *p, enum io_status end)
{
    char byte;
    size_t got;
    fake.body_end = end;
    return peer_read(p, &byte, 1, &got, 10);
}

static void write_text(struct peer *p, const char *text)
{
    struct iovec part = {(void *)text, strlen(text)};
    peer_write(p, &part, 1, 20);
}

static bool refuse_to_begin(void *context, char **pairs, size_t *len)
{
    (void)context;
    (void)pairs;
    (void)len;
    return false;
}

static void who_cannot_begin_must_not_be_used_again(void **state)
{
    (void)state;
    struct peer p = new_peer();
    struct peer_operations operations = fake_peer_operations;
    char *pairs;
    size_t len;
    operations.begin = refuse_to_begin;
    p.operations = &operations;
    assert_false(peer_begin(&p, &pairs, &len));
    assert_true(p.cut);
    assert_false(p.gone);
}

static void it_is_as_new_when_a_request_begins(void **state)
{
    (void)state;
    struct peer p = new_peer();
    char *pairs;
    size_t len;
    p.gone = p.cut = true;
    fake_peer_set(&fake, (const char *const[]){"A=1", ""});
    assert_true(peer_begin(&p, &pairs, &len));
    assert_int_equal(len, 4);
    assert_memory_equal(pairs, "\1\1A1", 4);
    assert_false(p.gone || p.cut);
}

static void reading_notes_who_is_gone(void **state)
{
    (void)state;
    struct peer p = new_peer();
    assert_int_equal(read_one(&p, IO_END), IO_END);
    assert_int_equal(fake.patience, 10);
    assert_int_equal(read_one(&p, IO_TIMEOUT), IO_TIMEOUT);
    assert_false(p.gone || p.cut);
    assert_int_equal(read_one(&p, IO_ABORTED), IO_ABORTED);
    assert_true(p.gone && p.cut);
}

static void who_takes_nothing_gets_no_more(void **state)
{
    (void)state;
    static const enum io_status failures[] = {IO_TIMEOUT, IO_ABORTED};
    for (size_t i = 0; i < 2; i++) {
        struct peer p = new_peer();
        write_text(&p, "one");
        assert_int_equal(fake.patience, 20);
        assert_false(p.gone || p.cut);
        fake.out_status = failures[i];
        write_text(&p, "two");
        assert_true(p.gone && p.cut);
        fake.out_status = IO_OK;
        write_text(&p, "three");
        assert_int_equal(fake.writes, 2);
        assert_sent(&fake, "one");
    }
    fake_peer_clear(&fake);
}

static void who_stopped_sending_gets_nothing(void **state)
{
    (void)state;
    struct peer p = new_peer();
    read_one(&p, IO_ABORTED);
    write_text(&p, "page");
    assert_int_equal(fake.writes, 0);
}

static void what_is_read_and_written_goes_through(void **state)
{
    (void)state;
    struct peer p = new_peer();
    struct iovec parts[] = {{(char[]){"one "}, 4}, {(char[]){"two"}, 3}};
    struct buffer body = {.data = (char[]){"three"}, .len = 5};
    char data[8];
    size_t got;
    fake.body = "0123456789";
    assert_int_equal(peer_read(&p, data, sizeof data, &got, -1), IO_OK);
    assert_int_equal(fake.patience, -1);
    assert_int_equal(got, 8);
    assert_memory_equal(data, "01234567", 8);
    peer_write(&p, parts, 2, 20);
    assert_false(fake.ended);
    peer_end(&p, parts[0], &body, 30);
    assert_int_equal(fake.patience, 30);
    assert_true(fake.ended);
    assert_sent(&fake, "one twoone three");
    fake_peer_clear(&fake);
}

/* The log after `what` has one line with `part` in it; "": it has none. */
static void assert_logged(void (*what)(struct peer *p), const char *part)
{
    char path[] = "/tmp/test_peer.XXXXXX", text[1024];
    struct peer p = new_peer();
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(log_open(path, LOG_LEVEL_INFO));
    what(&p);
    assert_true(log_open("/dev/null", LOG_LEVEL_INFO));
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    unlink(path);
    assert_true(n >= 0);
    text[n] = '\0';
    if (*part == '\0' ? n > 0 : strstr(text, part) == NULL)
        fail_msg("the log says \"%s\", not \"%s\"", text, part);
    assert_ptr_equal(strchr(text, '\n'), strrchr(text, '\n'));
}

static void read_late(struct peer *p)
{
    read_one(p, IO_TIMEOUT);
}

static void read_broken_off(struct peer *p)
{
    read_one(p, IO_ABORTED);
}

static void write_late(struct peer *p)
{
    fake.out_status = IO_TIMEOUT;
    write_text(p, "one");
    write_text(p, "two");
}

static void write_broken_off(struct peer *p)
{
    fake.out_status = IO_ABORTED;
    write_text(p, "one");
}

/* Who goes away is no fault of anybody. */
static void the_log_names_the_timeout_that_was_over(void **state)
{
    (void)state;
    assert_logged(read_late, "warning: the request's body came too slowly (ReadTimeout)");
    assert_logged(write_late, "warning: the web server did not take the response "
                              "(WriteTimeout)");
    assert_logged(read_broken_off, "");
    assert_logged(write_broken_off, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_cannot_begin_must_not_be_used_again),
        cmocka_unit_test(it_is_as_new_when_a_request_begins),
        cmocka_unit_test(reading_notes_who_is_gone),
        cmocka_unit_test(who_takes_nothing_gets_no_more),
        cmocka_unit_test(who_stopped_sending_gets_nothing),
        cmocka_unit_test(what_is_read_and_written_goes_through),
        cmocka_unit_test(the_log_names_the_timeout_that_was_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
