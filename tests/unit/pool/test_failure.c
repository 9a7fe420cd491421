/* Why a checkout fails, as the pool says it. */
#include "pool/failure.h"

#include "tests/unit/pool_fixture.h"

static void the_message_is_a_copy(void **unused)
{
    (void)unused;
    char text[] = "no such file";
    struct script_error error = {0};
    failure_set(&error, 404, text);
    text[0] = 'X';
    assert_int_equal(error.status, 404);
    assert_string_equal(error.message, "no such file");
    state_error_clear(&error);
}

static void there_may_be_no_message(void **unused)
{
    (void)unused;
    struct script_error error = {0};
    failure_set(&error, 503, NULL);
    assert_int_equal(error.status, 503);
    assert_null(error.message);
}

static void without_memory_the_status_is_500(void **unused)
{
    (void)unused;
    struct script_error error = {0};
    failure_no_memory(&error);
    assert_int_equal(error.status, 500);
    assert_string_equal(error.message, "out of memory");
    state_error_clear(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_message_is_a_copy),
        cmocka_unit_test(there_may_be_no_message),
        cmocka_unit_test(without_memory_the_status_is_500),
    };
    return run_pool(tests);
}
