/* Templates, rendered as scripts do it. */
#include "lua/template_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/source.h"
#include "tests/unit/page_fixture.h"

/* A template with this text gives that with data of this source. */
static void assert_renders(const char *template, const char *data, const char *expected)
{
    char body[256];
    write_file("t.html", template);
    snprintf(body, sizeof body, "return lf.render('t.html', %s)", data);
    assert_page(body, expected);
}

static void assert_fails(const char *template, const char *part)
{
    write_file("t.html", template);
    assert_page_fails("return lf.render('t.html', {x = 1})", part);
}

static void text_is_put_in_as_it_is(void **state)
{
    (void)state;
    assert_renders("", "nil", "");
    assert_renders("plain \"text\" \\n 'x' \t\r\n]] %> 5 % 2\n", "nil",
                   "plain \"text\" \\n 'x' \t\r\n]] %> 5 % 2\n");
    assert_renders("a <%% b %>", "nil", "a <% b %>");
    assert_renders("\xef\xbb\xbf"
                   "x",
                   "nil", "x");
}

static void values_are_escaped_unless_they_are_to_be_raw(void **state)
{
    (void)state;
    assert_renders("<b title=\"<%= t %>\"><%- t %></b>", "{t = '<\"&\\'>'}",
                   "<b title=\"&lt;&quot;&amp;&#39;&gt;\"><\"&'></b>");
    assert_renders("<%= 1 %>,<%= 1.5 %>,<%= true %>,<%= nil %>,<%=x%>", "{x = false}",
                   "1,1.5,true,,false");
    assert_renders("<%= 0 %>,<%= -70 %>,<%- math.maxinteger %>,<%- math.mininteger %>",
                   "nil", "0,-70,9223372036854775807,-9223372036854775808");
    assert_renders("<%= 2.0 %>,<%= '7' %>", "nil", "2.0,7");
    assert_renders("<%= ('a'):gsub('a', 'b') %>", "nil", "b");
    assert_renders("<%= setmetatable({}, {__tostring = function() return '<x>' end}) %>",
                   "nil", "&lt;x&gt;");
}

static void code_runs(void **state)
{
    (void)state;
    assert_renders(
        "<ul>\n<% for i, name in ipairs(names) do %>\n<li><%= i %> <%= name %>\n"
        "<% end %>\n</ul>\n",
        "{names = {'Ada', '<Bob>'}}", "<ul>\n<li>1 Ada\n<li>2 &lt;Bob&gt;\n</ul>\n");
    assert_renders("<% if a then %>yes<% else %>no<% end %>", "{a = 1}", "yes");
    assert_renders("<% local function f(x) %>[<%= x %>]<% end f(1) f(2) %>", "nil",
                   "[1][2]");
    assert_renders("<%%><% %>", "nil", "<%>");
}

static void comments_swallow_nothing(void **state)
{
    (void)state;
    assert_renders("a<% -- note %>b<%= 1 -- one %>c<%# x\n y %>d\n", "nil", "ab1cd\n");
    assert_renders("a<% -- note\n local x = 2 -- x %>\nb<%= x %>", "nil", "ab2");
}

static void data_comes_before_globals_and_keeps_its_own(void **state)
{
    (void)state;
    write_file("t.html",
               "<% x = (x or 0) + 1 y = 5 %><%= x %><%= print == nil %><%= lf ~= "
               "nil %>");
    assert_page("local d = {x = 1, print = false} "
                "local s = lf.render('t.html', d) .. lf.render('t.html', d) "
                "assert(d.x == 1 and x == nil and y == nil) return s",
                "2falsetrue2falsetrue");
    assert_page("local d = setmetatable({}, {__index = function(_, k) "
                "if k == 'x' then return 41 end end}) return lf.render('t.html', d)",
                "42falsetrue");
}

static void templates_include_others(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "mkdir %s/sub", directory);
    assert_int_equal(system(command), 0);
    write_file("sub/a.html", "<a><% include 'b.html' %></a>");
    write_file("sub/b.html", "<%= x %>");
    assert_renders("1<% include 'sub/a.html' %>2<%- include('sub/b.html', {x = '&'}) %>3"
                   "<%= include \"sub/b.html\" %>",
                   "{x = '<'}", "1<a>&lt;</a>2&amp;3&lt;");
    write_file("loop.html", "<% include 'loop.html' %>");
    assert_page_fails("lf.render('loop.html')", "stack overflow");
}

static void errors_have_the_line_of_the_template(void **state)
{
    (void)state;
    assert_fails("\n\n<%= x.y.z %>", "t.html:3: attempt to index");
    assert_fails("\"\\\r\n<% -- a %>\n<%# b\n %>\n<%= 1 -- c %> d\n<% error('here') %>",
                 "t.html:6: here");
    assert_fails("<% --[[ a\n b ]] -- c %>x\ny\n<% error('here') %>", "t.html:4: here");
    assert_fails("a\n<% if %>", "t.html:2: unexpected symbol near");
    assert_fails("a\nb <% x = 1", "t.html:2: <% without %>");
    write_file("part.html", "\n<%= nothing.x %>");
    assert_fails("\n\n\n<% include 'part.html' %>", "part.html:2: attempt to index");
    assert_fails("\n\n\n<% include 'part.html' %>", "t.html:4: in ");
    assert_page_fails("lf.render('missing.html')",
                      "cannot open template missing.html: No");
}

static void a_wrong_argument_is_named(void **state)
{
    (void)state;
    assert_page_fails("lf.render()", "bad argument #1 to 'render'");
    write_file("t.html", "<% include() %>");
    assert_page_fails("lf.render('t.html', 5)", "bad argument #2 to 'render'");
    assert_page_fails("lf.render('t.html')", "bad argument #1 to 'include'");
    assert_page_fails("lf.watch()", "bad argument #1 to 'watch'");
    assert_page_fails("lf.watch('.')", "cannot watch .: Is a directory");
}

static void a_template_is_compiled_once(void **state)
{
    (void)state;
    write_file("t.html", "<%= debug.getinfo(1, 'f').func %>");
    assert_page("return tostring(lf.render('t.html') == lf.render('t.html'))", "true");
}

static void what_was_read_renews_the_state_when_it_changes(void **state)
{
    (void)state;
    write_file("t.html", "x");
    write_file("data.txt", "x");
    struct script *s =
        page("lf.render('t.html') return tostring(lf.watch('data.txt')) .. "
             "tostring(lf.watch('none.txt'))");
    const char *const changed[] = {"t.html", "data.txt", "none.txt"};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(serve(s, "A=1"), "truefalse");
        assert_true(state_is_current(s));
        write_file(changed[i], "another");
        source_sweep(true);
        assert_false(state_is_current(s));
        script_close(s);
        unlink(path_of("none.txt"));
        s = page("lf.render('t.html') return tostring(lf.watch('data.txt')) .. "
                 "tostring(lf.watch('none.txt'))");
    }
    script_close(s);
}

static void a_page_that_grows_meets_the_memory_limit(void **state)
{
    (void)state;
    config->script_memory_limit = 4 * 1024 * 1024;
    assert_fails("<% local s = ('<'):rep(100000) while true do %><%= s %><% end %>",
                 "memory");
    assert_fails("<% while true do %>text<% end %>", "memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_is_put_in_as_it_is),
        TEST(values_are_escaped_unless_they_are_to_be_raw),
        TEST(code_runs),
        TEST(comments_swallow_nothing),
        TEST(data_comes_before_globals_and_keeps_its_own),
        TEST(templates_include_others),
        TEST(errors_have_the_line_of_the_template),
        TEST(a_wrong_argument_is_named),
        TEST(a_template_is_compiled_once),
        TEST(what_was_read_renews_the_state_when_it_changes),
        TEST(a_page_that_grows_meets_the_memory_limit),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
