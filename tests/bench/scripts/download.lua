-- 20 MB, in pieces that are flushed.
local piece = ("0123456789abcdef"):rep(4096)

function main()
    for _ = 1, 320 do
        Send(piece)
        Flush()
    end
end
