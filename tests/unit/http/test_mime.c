/* Media types. */
#include "http/mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_type(const char *path, const char *type)
{
    assert_string_equal(mime_type(path, strlen(path)), type);
}

static void the_extension_tells_the_type(void **state)
{
    (void)state;
    assert_type("a.7z", "application/x-7z-compressed");
    assert_type("index.html", "text/html");
    assert_type("/srv/site/photo.JPG", "image/jpeg");
    assert_type("app.min.js", "text/javascript");
    assert_type("data.json", "application/json");
    assert_type(".png", "image/png");
    assert_type("a.zst", "application/zstd");
}

static void without_a_known_extension_it_is_just_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",          ".",       "png",
        "a.",        "a.b/c",   "a.html/",
        "a.unknown", "a.html ", "a.averyverylongextension"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_type(names[i], "application/octet-stream");
}

static void every_row_is_found(void **state)
{
    (void)state;
    static const char *const extensions[] = {
        "aac", "css", "csv", "gif",  "ico",  "m4a",  "map",   "md",  "mp3", "mp4", "ogg",
        "pdf", "svg", "txt", "wasm", "webp", "woff", "woff2", "xml", "xz",  "yml", "zip"};
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        char name[32] = "file.";
        strcat(name, extensions[i]);
        assert_string_not_equal(mime_type(name, strlen(name)),
                                "application/octet-stream");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_extension_tells_the_type),
        cmocka_unit_test(without_a_known_extension_it_is_just_bytes),
        cmocka_unit_test(every_row_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
