# luafcgid2: `make` builds ./luafcgid2; `make help` lists the rest.

VERSION = 2.0.0
SHELL   = /bin/sh
CC     ?= cc

PKG_CONFIG ?= pkg-config
LUA_PC     := $(shell for n in lua5.3 lua-5.3 lua53 lua; do \
                $(PKG_CONFIG) --exists "$$n >= 5.3 $$n < 5.4" 2>/dev/null && echo $$n && break; done)
ifneq ($(LUA_PC),)
LUA_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags $(LUA_PC))
LUA_LIBS   ?= $(shell $(PKG_CONFIG) --libs $(LUA_PC))
else
LUA_CFLAGS ?= -I/usr/include/lua5.3
LUA_LIBS   ?= -llua5.3
endif
FCGI_LIBS  ?= -lfcgi

WARNINGS  = -Wall -Wextra -Wshadow -Wconversion
CFLAGS   ?= -O2 -g
ALL_CFLAGS = -std=c11 -pthread -D_GNU_SOURCE -DLUAFCGID2_RELEASE='"$(VERSION)"' \
             $(WARNINGS) $(LUA_CFLAGS) $(CFLAGS) $(MODE_CFLAGS) $(CPPFLAGS)
ALL_LIBS   = $(LUA_LIBS) $(FCGI_LIBS) $(MODE_LIBS) $(LIBS)

# Builds of another mode live beside the ordinary one, in .build/MODE/:
#   make SANITIZE=address    AddressSanitizer and UndefinedBehaviorSanitizer
#   make SANITIZE=thread     ThreadSanitizer
#   make POLLER=kqueue       the BSD poller, on Linux through libkqueue
#   make WERROR=1            warnings are errors
MODE := release
ifeq ($(SANITIZE),address)
MODE := address
MODE_CFLAGS = -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
              -fno-sanitize-recover=undefined
else ifeq ($(SANITIZE),thread)
MODE := thread
MODE_CFLAGS = -O1 -fno-omit-frame-pointer -fsanitize=thread
else ifneq ($(SANITIZE),)
$(error SANITIZE is address or thread)
endif
ifeq ($(POLLER),kqueue)
MODE := $(MODE)-kqueue
MODE_CFLAGS += -DPOLLER_KQUEUE -I/usr/include/kqueue
MODE_LIBS   += -lkqueue
endif
ifneq ($(WERROR),)
WARNINGS += -Werror
endif

BUILD  := .build/$(MODE)
BINARY := $(if $(filter release,$(MODE)),luafcgid2,$(BUILD)/luafcgid2)

SOURCES := $(wildcard *.c)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))

all: $(BINARY)

$(BINARY): $(OBJECTS)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LIBS)

$(BUILD)/%.o: %.c Makefile | $(BUILD)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD) $(BUILD)/unit:
	mkdir -p $@

# A unit test is linked with all of the daemon but main; test_pool brings a fake of the
# script room, with which it can count compilations and break them.
$(BUILD)/unit/%: tests/unit/%.c $(filter-out $(BUILD)/main.o,$(OBJECTS)) | $(BUILD)/unit
	$(CC) $(ALL_CFLAGS) -I. -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $(filter %.c %.o,$^) \
	    $(ALL_LIBS) -lcmocka

$(BUILD)/unit/test_pool: tests/unit/test_pool.c $(addprefix $(BUILD)/,pool.o source.o buffer.o log.o) \
                         | $(BUILD)/unit
	$(CC) $(ALL_CFLAGS) -I. -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $(filter %.c %.o,$^) \
	    $(ALL_LIBS) -lcmocka

check-unit: $(UNIT)
	@for t in $(UNIT); do echo "== $$t"; $$t || exit 1; done

check:
	sh scripts/test.sh

bench: all
	sh tests/bench/bench.sh

clean:
	rm -rf .build luafcgid2

help:
	@sed -n 's/^# \{0,1\}//p' Makefile

-include $(wildcard $(BUILD)/*.d) $(wildcard $(BUILD)/unit/*.d)

.PHONY: all check check-unit bench clean help
.DELETE_ON_ERROR:
