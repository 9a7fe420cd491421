-- hello.lua for one who wants to know who asks: Env is made for it.
function main(env)
    Send("hello world")
end
