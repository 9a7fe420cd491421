-- The pages of this site, in the order of the tour. The front page, the links from
-- page to page, and the list of files that source.lua shows are made from this
-- table.

return {
    { file = "hello-2009.lua", title = "Hello, 2009",
      text = "The oldest style: a function returns the page as a string." },
    { file = "hello-v1.lua", title = "Hello, v1",
      text = "The request and the connection come as arguments." },
    { file = "hello-v2.lua", title = "Hello, v2",
      text = "Everything is a global: Env, Send, Header." },
    { file = "environment.lua", title = "Environment",
      text = "All that a script can know about the request and about itself." },
    { file = "form.lua", title = "Form",
      text = "Read what a visitor sends, and show it safely." },
    { file = "cookies.lua", title = "Cookies",
      text = "Set one, read it back, delete it." },
    { file = "counter.lua", title = "Counter",
      text = "What stays in memory between requests, and what does not." },
    { file = "streaming.lua", title = "Streaming",
      text = "A page that arrives while it is being made." },
    { file = "live.lua", title = "Live",
      text = "A page that stays up to date, and what it costs." },
    { file = "chat.lua", title = "Chat",
      text = "What one visitor writes, all others read at once." },
    { file = "picture.lua", title = "Picture",
      text = "A script can answer with more than HTML." },
    { file = "module.lua", title = "Module",
      text = "Code that several scripts use. Edit it, and see the change." },
    { file = "login.lua", title = "Login",
      text = "Sessions: log in, stay logged in, log out." },
    { file = "error.lua", title = "Error",
      text = "What happens when a script fails." },
}
