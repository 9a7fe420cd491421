/* What a request notes of its peer. */
#include "request/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

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
    peer_write(p, &part, 1, false, 20);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_as_new_when_a_request_begins),
        cmocka_unit_test(reading_notes_who_is_gone),
        cmocka_unit_test(who_takes_nothing_gets_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
