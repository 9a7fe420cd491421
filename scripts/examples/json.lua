-- A JSON endpoint, and a page that asks it. A POST of {"text": "..."} is answered with
-- what was counted in that text, as JSON. lf.json and lf.json_encode use lua-cjson if it
-- is installed, or else lua-dkjson.

local page = require "lib.page"
local source = require "lib.source"

-- begin
local function count(text)
    local words, longest = {}, ""
    for word in text:gmatch("[^%s%p]+") do
        word = word:lower()
        words[word] = (words[word] or 0) + 1
        if utf8.len(word) and utf8.len(word) > utf8.len(longest) then
            longest = word
        end
    end
    return { characters = utf8.len(text) or #text, longest = longest,
             words = words }
end

local function answer()
    RespContentType("application/json")
    local order = lf.json() -- a body that is no JSON makes a 400
    if type(order) ~= "table" or type(order.text) ~= "string" then
        RespStatus(422)
        return lf.json_encode { error = "expected an object with a text" }
    end
    return lf.json_encode(count(order.text))
end
-- end

local script = [[
<script>
const form = document.querySelector("form"), output = document.querySelector("output");
form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch("json.lua", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ text: form.text.value }),
    });
    output.textContent = answer.ok ? JSON.stringify(await answer.json(), null, 2)
        : `status ${answer.status}`;
});
</script>
]]

function main()
    if Env.REQUEST_METHOD == "POST" then
        return answer()
    end
    Send(page.top("JSON"), [[
<form class="box">
<p><label>A text <textarea name="text" maxlength="2000" rows="4">The quick brown fox
jumps over the lazy dog.</textarea></label></p>
<p><button>Count</button></p>
</form>
<noscript><p class="warn">This page needs JavaScript.</p></noscript>
<pre tabindex="0"><output aria-live="polite">The answer comes here.</output></pre>
<p>This is all of the Lua that answers:</p>
]], source("json.lua"), [[
<p>It also answers who asks without a browser:</p>
<pre tabindex="0"><code>curl -H 'Content-Type: application/json' \
    -d '{"text": "to be or not to be"}' http://]], page.escape(Env.HTTP_HOST or ""),
        page.escape(Env.SCRIPT_NAME), "</code></pre>\n", script, page.bottom())
end
