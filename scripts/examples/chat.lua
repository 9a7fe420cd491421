-- What one visitor writes, all others read at once. Nothing is kept: whoever comes
-- later has not seen it.

local page = require "lib.page"
local source = require "lib.source"

-- begin
-- Messages look like name=Ada&text=Hello. Browsers take them apart.
local function write()
    local form = lf.parse(Receive())
    local message = "name=" .. lf.urlencode(page.field(form, "name"))
        .. "&text=" .. lf.urlencode(page.field(form, "text"))
    if #message > 2000 then
        RespStatus(413)
        return
    end
    local readers = Publish("chat", message)
    Publish("chat", "here=" .. readers)
    RespStatus(204)
end

local function read()
    local chat = Subscribe("chat")
    Event("here=" .. Publish("chat", ""))
    repeat until not Event((chat:next()))
end
-- end

local script = [[
<script>
const form = document.querySelector("form"), list = document.getElementById("said");
const state = document.getElementById("state");

function show(name, text) {
    const item = document.createElement("li"), who = document.createElement("b");
    who.textContent = (name || "somebody").slice(0, 40);
    item.append(who, " ", text);
    list.append(item);
    while (list.children.length > 100)
        list.firstChild.remove();
    list.scrollTop = list.scrollHeight;
}

const stream = new EventSource("chat.lua?events");
stream.onopen = () => state.textContent = "connected";
stream.onerror = () => state.textContent = "waiting for the server";
stream.onmessage = (event) => {
    const said = new URLSearchParams(event.data);
    if (said.has("here"))
        document.getElementById("here").textContent = said.get("here");
    if (said.get("text"))
        show(said.get("name"), said.get("text"));
};

form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    form.text.value = "";
    const answer = await fetch("chat.lua", { method: "POST", body }).catch(() => null);
    if (!answer || !answer.ok)
        state.textContent = "the last message was not sent";
});
</script>
]]

function main()
    if Env.REQUEST_METHOD == "POST" then
        return write()
    elseif Env.QUERY_STRING == "events" then
        return read()
    end
    Send(page.top("Chat", "wide"), [[
<p class="lead"><span id="state" role="status">connecting</span>,
<span id="here">0</span> here</p>
<noscript><p class="warn">This page needs JavaScript.</p></noscript>
<div class="beside">
<div>
<ul id="said" class="said" tabindex="0" aria-label="Messages" aria-live="polite"></ul>
<form class="box">
<p><label>Your name <input name="name" maxlength="40" autocomplete="nickname"></label></p>
<p><label>Message <input name="text" maxlength="400" required autocomplete="off"></label></p>
<p><button>Send</button></p>
</form>
</div>
<div>
<p>This is all of the Lua that it takes:</p>
]], source("chat.lua"), [[
<p><a href="chat.lua" target="_blank">Open it again</a>, here or on a phone, and talk to
yourself.</p>
</div>
</div>
]], script, page.bottom())
end
