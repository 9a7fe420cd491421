-- The small things that every site needs once: other characters for bytes, hashes,
-- random texts, dates, types. Most of the table is made of the visitor's own text.

local page = require "lib.page"

local function rows(text)
    local key = "a key that only the server has"
    return {
        { "lf.escape", lf.escape(text) },
        { "lf.escape_js", lf.escape_js(text) },
        { "lf.urlencode", lf.urlencode(text) },
        { "lf.urldecode", lf.urldecode(text) },
        { "lf.base64", lf.base64(text) },
        { "lf.base64url", lf.base64url(text) },
        { "lf.unbase64", lf.unbase64(text) or "this is no Base64" },
        { "lf.hex", lf.hex(text) },
        { "lf.unhex", lf.unhex(text) or "these are no hexadecimal digits" },
        { "lf.sha256", lf.hex(lf.sha256(text)) },
        { "lf.hmac_sha256", lf.base64url(lf.hmac_sha256(key, text)) },
        { "lf.equal", lf.equal(text, "secret") and "it is the secret"
            or "it is not the secret" },
        { "lf.mime", lf.mime(text) },
        { "lf.serialize", lf.serialize { text, #text } },
        { "lf.token", lf.token() },
        { "lf.random", lf.hex(lf.random(8)) },
        { "lf.http_date", lf.http_date() },
        { "lf.parse_http_date", lf.parse_http_date(text) or "this is no date" },
    }
end

function main()
    local text = lf.field("text", "photo.jpeg"):sub(1, 200)
    Header("Cache-Control", "no-store")
    Send(page.top("Tools"), [[
<form class="box">
<p><label>A text <input name="text" maxlength="200" value="]], page.escape(text), [["></label></p>
<p><button>Look</button></p>
</form>
<div class="scroll"><table>
<caption>What becomes of it</caption>
]])
    for _, row in ipairs(rows(text)) do
        Send('<tr><th scope="row">', row[1], "</th><td>",
             page.escape(row[2]), "</td></tr>\n")
    end
    Send([[
</table></div>
<p class="note">Compare secrets with <code>lf.equal</code>, whose time does not tell where
they differ, and store passwords by <code>lf.password_hash</code>, never by a fast hash.</p>
]], page.bottom())
end
