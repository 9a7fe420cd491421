/* Figures: what is registered is told, in each form, and no text breaks one. */
#include "daemon/figures.h"

#include "daemon/figures_json.h"
#include "daemon/figures_metrics.h"
#include "daemon/figures_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* -- Two groups -- */

static const struct figures_row one_rows[] = {
    {.key = "name", .kind = FIGURES_TEXT},
    {.key = "size",
     .kind = FIGURES_GAUGE,
     .metric = "size_bytes",
     .unit = "bytes",
     .help = "How large."},
    {.key = "hits", .kind = FIGURES_COUNTER, .metric = "hits", .help = "How often."},
    {.key = "time",
     .kind = FIGURES_HISTOGRAM,
     .metric = "time_seconds",
     .unit = "seconds",
     .help = "How long."},
};

static const int32_t ends[] = {500, 1000000, INT32_MAX};

static void read_one(struct figures *f)
{
    static const uint64_t counts[] = {3, 2, 1};
    figures_text(f, "one");
    figures_integer(f, -7);
    figures_integer(f, 12);
    figures_histogram(f, ends, counts, 3, 2500000);
}

static struct figures_group one = {.rows = one_rows, .count = 4, .read = read_one};

static const struct figures_row many_rows[] = {
    {.key = "part",
     .said = "Part",
     .kind = FIGURES_GAUGE,
     .metric = "part",
     .help = "P."},
    {.key = "since", .kind = FIGURES_GAUGE},
};

static const char *label; /* of the second entry */

static void read_many(struct figures *f)
{
    figures_entry(f, "a", "r");
    figures_real(f, 0);
    figures_moment(f, 0);
    figures_entry(f, label, "r");
    figures_real(f, 0.25);
    figures_moment(f, 1000000000);
}

static struct figures_group many = {.name = "many",
                                    .labels = {"script", "root"},
                                    .rows = many_rows,
                                    .count = 2,
                                    .depth = FIGURES_FULL,
                                    .read = read_many};

/* -- Steps -- */

static int set_up(void **state)
{
    (void)state;
    figures_register(&one);
    figures_register(&many);
    figures_register(&one); /* once is enough */
    label = "b";
    return 0;
}

typedef bool writer(const struct figures *f, struct buffer *out);

static bool write_text(const struct figures *f, struct buffer *out)
{
    return figures_text_write(f, NULL, out);
}

static bool write_blocks(const struct figures *f, struct buffer *out)
{
    return figures_text_write(f, "many", out);
}

static bool write_open(const struct figures *f, struct buffer *out)
{
    return figures_metrics_write(f, FIGURES_METRICS_OPEN, out);
}

static bool write_plain(const struct figures *f, struct buffer *out)
{
    return figures_metrics_write(f, FIGURES_METRICS_PLAIN, out);
}

static void expect(writer *write, enum figures_depth depth, const char *expected)
{
    struct figures f;
    struct buffer out = {0};
    assert_true(figures_take(&f, depth, NULL));
    assert_true(write(&f, &out));
    assert_true(buffer_append(&out, "", 1));
    assert_string_equal(out.data, expected);
    buffer_free(&out);
    figures_free(&f);
}

/* -- Tests -- */

static void as_text(void **state)
{
    (void)state;
    expect(write_text, FIGURES_BRIEF,
           "name:                 one\n"
           "size:                 -7\n"
           "hits:                 12\n"
           "time:                 count 6, mean 0.416667 s, 50 % within 0.0005 s, 99 % "
           "within longer\n");
    label = "x\ny";
    expect(write_blocks, FIGURES_FULL,
           "name:                 one\n"
           "size:                 -7\n"
           "hits:                 12\n"
           "time:                 count 6, mean 0.416667 s, 50 % within 0.0005 s, 99 % "
           "within longer\n"
           "\n************************\n"
           "Part:                 0.00\n"
           "since:                -\n"
           "\n************************\n"
           "Part:                 0.25\n"
           "since:                09/Sep/2001:01:46:40 +0000\n");
}

static void an_entry_is_a_line_of_the_text(void **state)
{
    (void)state;
    label = "x\ny";
    struct figures f;
    struct buffer out = {0};
    assert_true(figures_take(&f, FIGURES_FULL, NULL));
    assert_true(write_text(&f, &out) && buffer_append(&out, "", 1));
    assert_non_null(strstr(out.data, "\nmany a r: Part 0.00, since -\n"
                                     "many x\\x0ay r: Part 0.25, since 09/Sep/2001:"));
    buffer_free(&out);
    figures_free(&f);
}

static void as_json(void **state)
{
    (void)state;
    expect(figures_json_write, FIGURES_BRIEF,
           "{\"name\":\"one\",\"size\":-7,\"hits\":12,\"time\":{\"sum\":2.500000,\"ranges"
           "\":[[0.0005,3],[1,2],[null,1]]}}");
    label = "<\"\\\n\xff\xc3\xa4";
    expect(figures_json_write, FIGURES_FULL,
           "{\"name\":\"one\",\"size\":-7,\"hits\":12,\"time\":{\"sum\":2.500000,\"ranges"
           "\":[[0.0005,3],[1,2],[null,1]]},\"many\":["
           "{\"part\":0.00,\"since\":0,\"script\":\"a\",\"root\":\"r\"},"
           "{\"part\":0.25,\"since\":1000000000,\"script\":\"\\u003c\\\"\\\\\\u000a"
           "\xef\xbf\xbd\xc3\xa4\",\"root\":\"r\"}]}");
}

static void as_metrics(void **state)
{
    (void)state;
    label = "\"\\\n\xff";
    expect(write_open, FIGURES_FULL,
           "# TYPE luafcgid2_size_bytes gauge\n"
           "# UNIT luafcgid2_size_bytes bytes\n"
           "# HELP luafcgid2_size_bytes How large.\n"
           "luafcgid2_size_bytes -7\n"
           "# TYPE luafcgid2_hits counter\n"
           "# HELP luafcgid2_hits How often.\n"
           "luafcgid2_hits_total 12\n"
           "# TYPE luafcgid2_time_seconds histogram\n"
           "# UNIT luafcgid2_time_seconds seconds\n"
           "# HELP luafcgid2_time_seconds How long.\n"
           "luafcgid2_time_seconds_bucket{le=\"0.00050\"} 3\n"
           "luafcgid2_time_seconds_bucket{le=\"1.0\"} 5\n"
           "luafcgid2_time_seconds_bucket{le=\"+Inf\"} 6\n"
           "luafcgid2_time_seconds_sum 2.500000\n"
           "luafcgid2_time_seconds_count 6\n"
           "# TYPE luafcgid2_part gauge\n"
           "# HELP luafcgid2_part P.\n"
           "luafcgid2_part{script=\"a\",root=\"r\"} 0\n"
           "luafcgid2_part{script=\"\\\"\\\\\\n\xef\xbf\xbd\",root=\"r\"} 0.25\n"
           "# EOF\n");
}

static void the_plain_format_names_counters_as_their_samples(void **state)
{
    (void)state;
    struct figures f;
    struct buffer out = {0};
    assert_true(figures_take(&f, FIGURES_BRIEF, NULL));
    assert_true(write_plain(&f, &out) && buffer_append(&out, "", 1));
    assert_non_null(strstr(out.data, "# TYPE luafcgid2_hits_total counter\n"
                                     "# HELP luafcgid2_hits_total How often.\n"
                                     "luafcgid2_hits_total 12\n"));
    assert_null(strstr(out.data, "UNIT"));
    assert_null(strstr(out.data, "EOF"));
    buffer_free(&out);
    figures_free(&f);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(as_text, set_up),
        cmocka_unit_test_setup(an_entry_is_a_line_of_the_text, set_up),
        cmocka_unit_test_setup(as_json, set_up),
        cmocka_unit_test_setup(as_metrics, set_up),
        cmocka_unit_test_setup(the_plain_format_names_counters_as_their_samples, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
