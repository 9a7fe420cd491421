"""Templates in a site: edits, errors, waits."""

import os

import pytest

from servers import wait_until

DAEMON = {"WorkerThreads": 2, "MinFileInfoTime": 100, "ShowErrors": True}
LIST = "<ul>\n<% for _, v in ipairs(list) do %>\n<li><%= v %>\n<% end %>\n</ul>\n"


def test_an_edit_shows_by_itself(web, site):
    site.write("t.html", "<% include 'part.html' %>")
    site.write("part.html", "one <%= x %>")
    page = web.script("function main() return lf.render('t.html', {x = '<'}) end")
    assert web.get(page).text == "one &lt;"
    site.write("part.html", "two <%- x %>")
    wait_until(lambda: web.get(page).text == "two <", "the edited part")
    site.write("t.html", "three")
    wait_until(lambda: web.get(page).text == "three", "the edited template")


def test_an_edit_of_a_watched_file_renews_the_state(solo, site):
    site.write("data.csv", "a,b")
    page = solo.script("lf.watch('data.csv') local n = 0 "
                      "local text = io.open('data.csv'):read('a') "
                      "function main() n = n + 1 return text .. n end")
    assert [solo.get(page).text for _ in range(2)] == ["a,b1", "a,b2"]
    site.write("data.csv", "c,d")
    wait_until(lambda: solo.get(page).text == "c,d1", "the edited data")


def test_a_mistake_in_a_template_is_mended_by_an_edit(web, site):
    site.write("t.html", "<ul>\n<% for %>\n")
    page = web.script("function main() return lf.render('t.html', {list = {1}}) end")
    response = web.get(page)
    assert response.status == 500 and "t.html:2:" in response.text
    web.expect_error(r"t\.html:2:")
    site.write("t.html", LIST)
    wait_until(lambda: web.get(page).status == 200, "the mended template")
    web.expect_error(r"t\.html:2:")


def test_a_missing_template_appears(web, site):
    page = web.script("function main() return lf.render('later.html') end")
    assert web.get(page).status == 500
    web.expect_error("cannot open template later.html")
    site.write("later.html", "here")
    wait_until(lambda: web.get(page).text == "here", "the template")
    web.expect_error("cannot open template later.html")


def test_templates_may_wait(web, site):
    site.write("t.html", "a<% Sleep(0.01) include 'part.html' %>d")
    site.write("part.html", "b<% Sleep(0.01) %>c")
    page = web.script("function main() Send(lf.render('t.html'), lf.render('t.html')) end")
    assert web.get(page).text == "abcdabcd"


@pytest.mark.parametrize("call", ["lf.render(%s)", "lf.watch(%s)", "lf.render('i.html', {p = %s})"])
def test_a_path_is_not_cut_at_a_nul(web, site, call):
    site.write("secret", "secret")
    site.write("i.html", "<% include(p) %>")
    page = web.script("function main() return tostring(select(2, pcall(function() return %s end))) "
                      "end" % call % "'secret\\0.html'")
    assert "a path expected" in web.get(page).text


def test_a_path_is_that_of_the_script(web, site):
    os.mkdir(os.path.join(site.root, "views"))
    site.write("views/a.html", "<% include 'b.html' %>")
    site.write("views/b.html", LIST)
    page = web.script("function main() return lf.render('views/a.html', {list = {'<', 2}}) end")
    for _ in range(2):
        assert web.get(page).text == "<ul>\n<li>&lt;\n<li>2\n</ul>\n"
