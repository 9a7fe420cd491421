/* The program: command line, start, signals, shutdown. */
#ifndef LUAFCGID2_MAIN_H
#define LUAFCGID2_MAIN_H

#ifndef LUAFCGID2_RELEASE
#define LUAFCGID2_RELEASE "unknown"
#endif

#define LUAFCGID2_CONFIG_FILE "/etc/luafcgid2/config.lua"

#endif
