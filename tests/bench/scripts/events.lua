-- One of many visitors of a page that stays up to date.
function main()
    local news = Subscribe("bench")
    Event("begin")
    repeat until not Event((news:next()))
end
