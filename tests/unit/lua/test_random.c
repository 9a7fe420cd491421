/* Random numbers of scripts. */
#include "lua/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/script_fixture.h"

static void random_numbers_are_a_states_own(void **state)
{
    (void)state;
    struct script *a = script("math.randomseed(42) first = math.random(1 << 30)");
    struct script *b = script("math.randomseed(42) first = math.random(1 << 30)");
    for (int i = 0; i < 100; i++)
        run(b, "math.random()"); /* does not move the other's on */
    run(a, "math.randomseed(42) assert(math.random(1 << 30) == first)");
    run(b, "math.randomseed(42) assert(math.random(1 << 30) == first)");
    run(a, "for i = 1, 1000 do local x = math.random() assert(x >= 0 and x < 1) "
           "local n = math.random(6) assert(n >= 1 and n <= 6 and math.type(n) == "
           "'integer') "
           "n = math.random(-3, 3) assert(n >= -3 and n <= 3) end "
           "assert(not pcall(math.random, 0) and not pcall(math.random, 2, 1)) "
           "assert(math.random(math.mininteger, math.maxinteger))");
    script_close(a);
    script_close(b);
}

static void states_that_set_no_seed_differ(void **state)
{
    (void)state;
    struct script *a = script("print('seed ' .. math.random(1 << 52))");
    struct script *b = script("print('seed ' .. math.random(1 << 52))");
    const char *first = strstr(logged(), "seed "), *second = strstr(first + 5, "seed ");
    assert_non_null(second);
    assert_true(strtoll(first + 5, NULL, 10) != strtoll(second + 5, NULL, 10));
    script_close(a);
    script_close(b);
}

static void every_number_of_an_interval_comes(void **state)
{
    (void)state;
    struct script *s = script("");
    run(s, "local seen, n = {}, 0 for i = 1, 10000 do local x = math.random(7) "
           "if not seen[x] then seen[x] = true n = n + 1 end end assert(n == 7)");
    run(s, "local ones = 0 for i = 1, 10000 do ones = ones + math.random(0, 1) end "
           "assert(ones > 4500 and ones < 5500, ones)");
    script_close(s);
}

static void a_seed_is_any_number_or_the_systems(void **state)
{
    (void)state;
    struct script *s = script("function first(...) math.randomseed(...) "
                              "return math.random(1 << 52) end");
    run(s, "assert(first(1.5) == first(1.5) and first(1) ~= first(2))");
    run(s, "assert(first(0) == first(0) and first(0) ~= 0)");
    run(s, "assert(first() ~= first() and first(nil) ~= first(nil))");
    assert_raises(s, "first({})", "bad argument #1 to 'randomseed'");
    assert_raises(s, "math.random(1, 2, 3)", "wrong number of arguments");
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_numbers_are_a_states_own),
        TEST(states_that_set_no_seed_differ),
        TEST(every_number_of_an_interval_comes),
        TEST(a_seed_is_any_number_or_the_systems),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
