-- A page that shows what the machine does, second by second. The answer to ?events is
-- the stream that feeds it; the browser draws.

local page = require "lib.page"
local source = require "lib.source"

local function number(path, pattern)
    local file = io.open(path)
    local text = file and file:read("a") or ""
    if file then
        file:close()
    end
    return tonumber(text:match(pattern))
end

-- What is not known on this machine is nil, and so is left out.
local function measure(asked)
    local total = number("/proc/meminfo", "MemTotal:%s*(%d+)")
    local free = number("/proc/meminfo", "MemAvailable:%s*(%d+)")
    local heat = number("/sys/class/thermal/thermal_zone0/temp", "%-?%d+")
    local values = {
        load = number("/proc/loadavg", "%S+"),
        memory = total and free and 100 * (total - free) / total,
        temperature = heat and heat / 1000,
        pages = asked,
    }
    local list = {}
    for name, value in pairs(values) do
        list[#list + 1] = ("%s=%.2f"):format(name, value)
    end
    return table.concat(list, "&")
end

-- begin
-- Each visitor has a stream of his own. One measures for all:
-- the first that has heard nothing for a second.
local function stream()
    local machine, pages = Subscribe("machine"), Subscribe("page")
    repeat
        local news = machine:next(1 + math.random() / 4)
        local asked = 0
        while pages:next(0) do
            asked = asked + 1
        end
        if not news then
            local watching = Publish("machine", measure(asked))
            Publish("machine", "watching=" .. watching)
            news = machine:next()
        end
    until not Event(news)
end
-- end

local function chart(name, title, unit)
    return '<figure data-name="' .. name .. '" data-unit="' .. unit .. '" hidden>'
        .. "<figcaption>" .. title .. " <output></output></figcaption>"
        .. '<svg viewBox="0 0 240 80" preserveAspectRatio="none" role="img" '
        .. 'aria-label="' .. title .. ' of the last two minutes">'
        .. "<polygon/><polyline/></svg></figure>\n"
end

local script = [[
<script>
const charts = new Map(), length = 120;
for (const figure of document.querySelectorAll("figure[data-name]"))
    charts.set(figure.dataset.name, { figure, values: [] });

function draw({ figure, values }) {
    const most = 1.1 * Math.max(figure.dataset.unit === "%" ? 90 : 1, ...values);
    const step = 240 / (length - 1), first = 240 - (values.length - 1) * step;
    const points = values.map((value, i) =>
        `${(first + i * step).toFixed(1)},${(80 - 78 * value / most).toFixed(1)}`).join(" ");
    figure.querySelector("polyline").setAttribute("points", points);
    figure.querySelector("polygon").setAttribute("points", `${first},80 ${points} 240,80`);
    figure.querySelector("output").textContent =
        values[values.length - 1].toFixed(figure.dataset.unit ? 1 : 2) + figure.dataset.unit;
    figure.hidden = false;
}

function take(name, value) {
    if (name === "watching")
        document.getElementById("watching").textContent = value;
    const chart = charts.get(name);
    if (!chart)
        return;
    chart.values.push(Number(value));
    chart.values.splice(0, chart.values.length - length);
    draw(chart);
}

const state = document.getElementById("state");
const stream = new EventSource("live.lua?events");
stream.onopen = () => state.textContent = "live";
stream.onerror = () => state.textContent = "waiting for the server";
stream.onmessage = (event) => {
    for (const [name, value] of new URLSearchParams(event.data))
        take(name, value);
};
</script>
]]

function main()
    if Env.QUERY_STRING == "events" then
        return stream()
    end
    Send(page.top("Live", "wide"), [[
<p class="lead"><span id="state" role="status">connecting</span>,
<span id="watching">0</span> watching</p>
<noscript><p class="warn">This page needs JavaScript.</p></noscript>
<div class="beside">
<div class="charts">
]], chart("load", "Load", ""), chart("memory", "Memory in use", "%"),
        chart("temperature", "Temperature", "\u{A0}\u{B0}C"),
        chart("pages", "Pages asked for", "/s"), [[
</div>
<div>
<p>This Lua keeps the page live. A stream that waits takes no worker.</p>
]], source("live.lua"), [[
<p><a href="index.lua" target="_blank">Open some pages</a> and see them counted:
each publishes that it was asked for. <a href="live.lua" target="_blank">Open this
one again</a>, and two are watching.</p>
</div>
</div>
]], script, page.bottom())
end
