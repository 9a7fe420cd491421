/* Warnings of values that are legal and risky. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_fixture.h"

static void test_risky_values_are_warned_about(void **state)
{
    (void)state;
    assert_warning("Listen = '*:9000'", "whoever can connect to *:9000");
    assert_warning("Listen = '192.168.1.4:9000'", "whoever can connect to");
    assert_warning("Listen = '[::]:9000'", "whoever can connect to");
    assert_warning("ListenMode = '0666'", "every user of this machine");
    assert_warning("AllowedExtensions = {}", "lets every file be run");
    assert_warning("showerrors = true", "showerrors: visitors see error messages");
    assert_warning("RequestTimeout = 0", "run for ever");
    assert_warning("ScriptMemoryLimit = 0", "use all memory");
    assert_warning("ScriptMemoryLimit = 1000", "hardly enough");
    assert_warning("BodySize = 1048576 BodySectors = 1024", "1073741824 bytes");
    assert_warning("MinFileInfoTime = 1", "keeps a processor busy");
    assert_warning("SessionTargetScore = 7", "cannot be reached: all scores add up to 6");
    assert_warning("SessionCookieHttpOnly = false", "read the key");
    assert_warning("SessionTime = 0 SessionMaxAge = 0", "no session ever ends");
    assert_silent("Listen = ':9000'");
    assert_silent("Listen = '127.0.0.1:9000'");
    assert_silent("Listen = '[::1]:9000'");
    assert_silent("SessionTargetScore = 0 SessionIpScore = 0 SessionUserAgentScore = 0");
}

static void test_risks_are_logged_when_the_configuration_is_published(void **state)
{
    (void)state;
    write_file("ShowErrors = true workers = 3 WorkerThreads = 3");
    struct config *c = config_load(file, stderr);
    assert_non_null(c);
    read_log();
    assert_string_equal(logged, ""); /* at the start the log is not open yet */
    config_publish(c);
    config_publish(NULL);
    read_log();
    assert_non_null(strstr(logged, "ShowErrors: visitors see"));
    assert_non_null(strstr(logged, "workers is ignored"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_risky_values_are_warned_about),
        TEST(test_risks_are_logged_when_the_configuration_is_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
