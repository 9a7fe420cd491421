-- What the pages of the sample site show of a configuration.
Config = {
    Greeting = "Values in Config are for your scripts.",
    Colours = { "red", "green", "blue" },
    localhost = { Note = "This part is for the server named localhost." },
}
