-- Fails on request. The state goes on after an error: it counts its failures.

local page = require "lib.page"

local failures = 0

local function fail(when)
    failures = failures + 1
    error("this page fails on purpose, " .. when)
end

function main()
    local when = page.field(lf.parse(Env.QUERY_STRING), "fail")
    if when == "at once" then
        Send("<p>Nobody ever sees this.</p>") -- not sent yet, so it is dropped
        fail(when)
    end

    Send(page.top("Error"))
    if when == "late" then
        Send('<p class="warn">This much was sent before the error.</p>\n')
        Flush()
        fail(when)
    end

    Send([[
<ul>
<li><a href="error.lua?fail=at+once">Fail at once</a>: the visitor gets an
error page with status 500.</li>
<li><a href="error.lua?fail=late">Fail after a flush</a>: the status was already
sent, so the page just stops.</li>
<li><a href="no-such-page.lua">Request a page that does not exist</a>: status
404.</li>
</ul>
<p>The log gets file, line, message and traceback of an error. The visitor sees
them only with <code>ShowErrors = true</code>. This demo sets it; leave it false
on a public server.</p>
]])
    Send("<p>This state has failed ", failures,
         failures == 1 and " time" or " times", " and still works.</p>\n")
    Send(page.bottom())
end
