# luafcgid2
#
#   make                  builds ./luafcgid2
#   make check            installs what the tests need, then runs all of them
#   make check-unit       the unit tests, and check-layers
#   make check-layers     whether includes and calls keep to the layers of the README
#   make check-warnings   compiles with gcc and clang the ways that distributions do
#   make check-torture    serves requests while memory runs out at every possible point
#   make fuzz             fuzzes what peers can send, with clang; FUZZ_SECONDS=60 each
#   make bench            the benchmark, against nginx, php-fpm and Apache
#   make clean            removes what was built

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
CRYPT_LIBS ?= -lcrypt

WARNINGS  = -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes
CFLAGS   ?= -O2 -g
# On 32-bit systems too: files over 2 GiB, inode numbers over 2^32, times after 2038.
FEATURES  = -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
ALL_CFLAGS = -std=c11 -pthread -I. -I$(BUILD)/include $(FEATURES) -DLUAFCGID2_RELEASE='"$(VERSION)"' \
             $(WARNINGS) $(LUA_CFLAGS) $(CFLAGS) $(MODE_CFLAGS) $(CPPFLAGS)
ALL_LIBS   = $(LUA_LIBS) $(FCGI_LIBS) $(CRYPT_LIBS) $(MODE_LIBS) $(LIBS)

# Builds of another mode live beside the ordinary one, in .build/MODE/:
#
#   make SANITIZE=address    AddressSanitizer and UndefinedBehaviorSanitizer
#   make SANITIZE=thread     ThreadSanitizer
#   make POLLER=kqueue       the BSD poller, on Linux: through libkqueue where that is
#                            installed, else through tests/kqueue (epoll as a kqueue)
#   make TORTURE=1           AddressSanitizer, the smallest of buffers, an allocator that
#                            fails on demand; see tests/fault/torture/faults.h
#   make WERROR=1            warnings are errors
MODE := release
ifneq ($(TORTURE),)
SANITIZE := address
endif
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
ifneq ($(TORTURE),)
MODE := torture
MODE_CFLAGS += -include tests/fault/torture/faults.h -DBUFFER_FIRST_BYTES=1 -DHEAD_KEEP=1 \
               -DBODY_KEEP=1 -DSTREAM_BYTES=1
endif
ifeq ($(POLLER),kqueue)
MODE := $(MODE)-kqueue
ifeq ($(shell $(PKG_CONFIG) --exists libkqueue 2>/dev/null && echo yes),yes)
MODE_CFLAGS += -DPOLLER_KQUEUE $(shell $(PKG_CONFIG) --cflags libkqueue)
MODE_LIBS   += $(shell $(PKG_CONFIG) --libs libkqueue)
else ifneq ($(wildcard /usr/include/kqueue/sys/event.h),)
MODE_CFLAGS += -DPOLLER_KQUEUE -I/usr/include/kqueue
MODE_LIBS   += -lkqueue
else ifeq ($(shell uname -s),Linux)
MODE_CFLAGS += -DPOLLER_KQUEUE -Itests/kqueue
KQUEUE      := tests/kqueue/kevent.c
endif
endif
ifneq ($(WERROR),)
WARNINGS += -Werror
endif

BUILD  := .build/$(MODE)
FUZZ   := .build/fuzz
BINARY := $(if $(filter release,$(MODE)),luafcgid2,$(BUILD)/luafcgid2)

# The layers, bottom up; a file at the top is the face of the folder of its name.
LAYERS  := base config http fastcgi store request lua pool daemon

SOURCES := $(wildcard *.c $(LAYERS:%=%/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(KQUEUE:tests/kqueue/%.c=$(BUILD)/%.o)
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c tests/unit/*/test_*.c))

all: $(BINARY)

$(BINARY): $(OBJECTS)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LIBS)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Texts that are part of the program: each as a list of its lines, every one a C string.
$(BUILD)/daemon/status_page.o: $(BUILD)/include/daemon/status_page.inc
$(BUILD)/lua/builtin.o: $(BUILD)/include/lua/wsapi.inc $(BUILD)/include/lua/lua51.inc

$(BUILD)/include/daemon/status_page.inc: daemon/status_page.html
$(BUILD)/include/lua/wsapi.inc: lua/wsapi.lua
$(BUILD)/include/lua/lua51.inc: scripts/lua51.lua
$(BUILD)/include/%.inc: Makefile
	@mkdir -p $(@D)
	sed 's/\\/&&/g; s/"/\\"/g; s/.*/"&\\n",/' $(filter-out Makefile,$^) >$@

$(BUILD)/%.o: tests/kqueue/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(FUZZ):
	mkdir -p $@

# -- The same program in a hurry --
#
# .build/MODE/hasty/luafcgid2, for tests only: a tenth of the times that nobody can set and
# that are longer than a test should wait. tests/servers.py takes it where it is not older
# than the program itself.
HASTY         = $(BUILD)/hasty/luafcgid2
HASTY_FLAGS   = -DSHUTDOWN_TIMEOUT=3000 -DSAVE_PERIOD=1000 -DSAVE_SHARE=10 -DSAVE_TIME=1000 \
                -DSAVING_TIMEOUT=1000 -DSPARE_TIME=100 -DSUPERFLUOUS_TIME=1000 \
                -DALARM_QUIET=1000 -DHOOKS_LATE=1000 -DHOOKS_HANDOVER=1000
HASTY_SOURCES = main.c base/alarm.c daemon/governor.c daemon/hooks.c daemon/saver.c \
                pool/closer.c store/save.c
HASTY_OBJECTS = $(HASTY_SOURCES:%.c=$(BUILD)/hasty/%.o)

hasty: $(HASTY)

$(HASTY): $(HASTY_OBJECTS) $(filter-out $(HASTY_SOURCES:%.c=$(BUILD)/%.o),$(OBJECTS)) | $(BINARY)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LIBS)

$(BUILD)/hasty/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(HASTY_FLAGS) -MMD -MP -c -o $@ $<

# A unit test is linked with all of the daemon but main. Those of the pool bring a script
# room of their own (tests/unit/pool_fixture.h), so lua/ is left out but for the sources.
# test_local and test_hash bring an allocator that fails.
UNIT_LDFLAGS_base/test_hash = -Wl,--wrap=calloc
UNIT_LDFLAGS_store/test_local = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

$(BUILD)/unit/%: tests/unit/%.c $(filter-out $(BUILD)/main.o,$(OBJECTS))
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) $(UNIT_LDFLAGS_$*) -o $@ \
	    $< $(filter %.o,$^) $(ALL_LIBS) -lcmocka

POOL_TESTS = $(filter $(BUILD)/unit/test_pool $(BUILD)/unit/pool/%,$(UNIT))

$(POOL_TESTS): $(BUILD)/unit/%: tests/unit/%.c $(BUILD)/pool.o \
                                $(addprefix $(BUILD)/lua/,source.o fingerprint.o confine.o) \
                                $(filter $(BUILD)/pool/% $(BUILD)/base/%,$(OBJECTS))
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(filter %.o,$^) \
	    $(ALL_LIBS) -lcmocka

# The programs run side by side with make -j; what each says stays together.
$(UNIT:%=%.run): %.run: %
	@$< >$<.log 2>&1; status=$$?; echo "== $<"; cat $<.log; exit $$status

check-unit: $(UNIT:%=%.run) check-layers

check-layers: $(OBJECTS)
	tests/check_layers $(BUILD)

$(BUILD)/torture: tests/fault/torture/torture.c tests/fault/torture/faults.c \
                  tests/fault/torture/faults.h $(filter-out $(BUILD)/main.o,$(OBJECTS))
	$(CC) $(ALL_CFLAGS) -DFAULTS_NONE -MMD -MP -MF $@.d $(LDFLAGS) -o $@ \
	    $(filter %.c %.o,$^) $(ALL_LIBS)

check-torture:
	$(MAKE) TORTURE=1 .build/torture/torture
	.build/torture/torture

check-warnings:
	sh tests/compile.sh

check:
	sh scripts/test.sh

# -- Fuzzing --
#
# The targets are linked with fastcgi/, http/ and base/ alone, and run for FUZZ_SECONDS each
# from a copy of their corpus; a finding is a failure. make fuzz FUZZ_TARGETS=head is one.

FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= head connection multipart
FUZZ_FLAGS    = -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
                -fno-sanitize-recover=undefined
FUZZ_SOURCES_head       = fastcgi/record.c
FUZZ_SOURCES_multipart  = http/multipart.c http/parameter.c
FUZZ_SOURCES_connection = $(filter-out fastcgi/fcgi.c base/value.c base/password.c,$(wildcard fastcgi/*.c base/*.c))

.SECONDEXPANSION:
$(FUZZ)/fuzz_%: tests/fuzz/fuzz_%.c $$(FUZZ_SOURCES_$$*) $(wildcard *.h */*.h) Makefile | $(FUZZ)
	$(FUZZ_CC) -std=c11 -pthread $(FEATURES) $(WARNINGS) $(LUA_CFLAGS) $(FUZZ_FLAGS) $(CPPFLAGS) \
	    -I. -o $@ $(filter %.c,$^) $(FCGI_LIBS)

fuzz: $(FUZZ_TARGETS:%=$(FUZZ)/fuzz_%)
	sh tests/fuzz/run.sh $(FUZZ) $(FUZZ_SECONDS) $(FUZZ_TARGETS)

bench: all
	sh tests/bench/bench.sh

# -- Installing --
#
#   make install          the program, its Lua files, man pages, and a configuration if
#                         there is none (a differing new one becomes config.lua.new)
#   make install-daemon   what starts it: systemd units, init.d or rc.d script, logrotate
#   make update           program and Lua files only; then restarts the service if it runs
#   make uninstall        removes all of that, but no configuration, log or session
#   make dist             luafcgid2-VERSION.tar.gz of what is committed
#
# PREFIX, BINDIR, CONFDIR, DATADIR, MANDIR, DOCDIR, UNITDIR, TMPFILESDIR and SERVICE_USER
# may be set; with DESTDIR=DIR all goes below DIR and the running system is left alone.

ifeq ($(shell uname -s),FreeBSD)
PREFIX       ?= /usr/local
SYSCONFDIR   ?= /usr/local/etc
SERVICE_USER ?= www
else
PREFIX       ?= /usr
SYSCONFDIR   ?= /etc
SERVICE_USER ?= www-data
endif
CONFDIR      ?= $(SYSCONFDIR)/luafcgid2
BINDIR       ?= $(PREFIX)/bin
DATADIR      ?= $(PREFIX)/share/luafcgid2
MANDIR       ?= $(PREFIX)/share/man
DOCDIR       ?= $(PREFIX)/share/doc/luafcgid2
UNITDIR      ?= $(PREFIX)/lib/systemd/system
TMPFILESDIR  ?= $(PREFIX)/lib/tmpfiles.d
INSTALL      ?= install

MAN_PAGES = luafcgid2.8 luafcgid2-config.5 luafcgid2-lua.3 luafcgid2-tutorial.7
SNIPPETS  = $(wildcard etc/nginx etc/apache etc/lighttpd etc/caddy etc/haproxy etc/prometheus)

# The files in etc/ name the default places and user; these are put in while installing.
SUBSTITUTE = sed -e 's|/usr/share/doc/luafcgid2|$(DOCDIR)|g' \
                 -e 's|\(/usr\(/local\)\{0,1\}\)/share/luafcgid2|$(DATADIR)|g' \
                 -e 's|/usr\(/local\)\{0,1\}/bin/luafcgid2|$(BINDIR)/luafcgid2|g' \
                 -e 's|\(/usr/local\)\{0,1\}/etc/luafcgid2|$(CONFDIR)|g' \
                 -e 's|www-data|$(SERVICE_USER)|g'

# install_program FILE, PLACE, MODE: through SUBSTITUTE, replaced in one step by mv.
define install_program
	@echo "installing $(DESTDIR)$(strip $(2))"
	@$(INSTALL) -d "$(DESTDIR)$(dir $(strip $(2)))"
	@$(SUBSTITUTE) $(1) >"$(DESTDIR)$(strip $(2)).tmp"
	@chmod $(3) "$(DESTDIR)$(strip $(2)).tmp"
	@mv -f "$(DESTDIR)$(strip $(2)).tmp" "$(DESTDIR)$(strip $(2))"
endef

# install_config FILE, PLACE, NEW: the administrator's file stays; a new one that differs
# is put at NEW, and what an earlier version left there goes when it no longer does.
define install_config
	@$(INSTALL) -d "$(DESTDIR)$(dir $(strip $(2)))" "$(DESTDIR)$(dir $(strip $(3)))"
	@$(SUBSTITUTE) $(1) >"$(DESTDIR)$(strip $(3)).tmp"
	@chmod 0644 "$(DESTDIR)$(strip $(3)).tmp"
	@if [ ! -e "$(DESTDIR)$(strip $(2))" ]; then \
	    echo "installing $(DESTDIR)$(strip $(2))"; \
	    mv -f "$(DESTDIR)$(strip $(3)).tmp" "$(DESTDIR)$(strip $(2))"; \
	elif cmp -s "$(DESTDIR)$(strip $(3)).tmp" "$(DESTDIR)$(strip $(2))"; then \
	    rm -f "$(DESTDIR)$(strip $(3)).tmp" "$(DESTDIR)$(strip $(3))"; \
	else \
	    echo "keeping $(DESTDIR)$(strip $(2)); the new one is $(DESTDIR)$(strip $(3))"; \
	    mv -f "$(DESTDIR)$(strip $(3)).tmp" "$(DESTDIR)$(strip $(3))"; \
	fi
endef

install-files: $(BINARY)
	@echo "installing $(DESTDIR)$(BINDIR)/luafcgid2"
	@$(INSTALL) -d "$(DESTDIR)$(BINDIR)"
	@$(INSTALL) -m 0755 $(BINARY) "$(DESTDIR)$(BINDIR)/luafcgid2.tmp"
	@mv -f "$(DESTDIR)$(BINDIR)/luafcgid2.tmp" "$(DESTDIR)$(BINDIR)/luafcgid2"
	$(call install_program, scripts/serve.sh, $(BINDIR)/luafcgid2-serve, 0755)
	$(call install_program, etc/daemon.lua, $(DATADIR)/daemon.lua, 0644)
	$(call install_program, scripts/lua51.lua, $(DATADIR)/lua51.lua, 0644)
	@$(INSTALL) -d "$(DESTDIR)$(DATADIR)/examples"
	@cd scripts/examples && find . -type d -exec $(INSTALL) -d "$(DESTDIR)$(DATADIR)/examples/{}" \; \
	    && find . -type f -exec $(INSTALL) -m 0644 {} "$(DESTDIR)$(DATADIR)/examples/{}" \;

install: install-files
	$(call install_config, config.lua, $(CONFDIR)/config.lua, $(CONFDIR)/config.lua.new)
	@for page in $(MAN_PAGES); do \
	    section=$${page##*.}; \
	    $(INSTALL) -d "$(DESTDIR)$(MANDIR)/man$$section"; \
	    $(INSTALL) -m 0644 etc/man/$$page "$(DESTDIR)$(MANDIR)/man$$section/$$page"; \
	done
	@ln -sf luafcgid2.8 "$(DESTDIR)$(MANDIR)/man8/luafcgid2-serve.8"
	@$(INSTALL) -d "$(DESTDIR)$(DOCDIR)"
	@$(INSTALL) -m 0644 README* LICENSE CHANGELOG* config.lua "$(DESTDIR)$(DOCDIR)"
	@for d in $(SNIPPETS); do \
	    $(INSTALL) -d "$(DESTDIR)$(DOCDIR)/$${d#etc/}"; \
	    $(INSTALL) -m 0644 $$d/* "$(DESTDIR)$(DOCDIR)/$${d#etc/}"; \
	done

# A service needs its user; on the running system that is checked before anything else.
check-service-user:
	@if [ -z "$(DESTDIR)" ] && ! id "$(SERVICE_USER)" >/dev/null 2>&1; then \
	    echo "there is no user $(SERVICE_USER) here: make install-daemon SERVICE_USER=NAME" >&2; \
	    exit 1; \
	fi

ifeq ($(shell uname -s),FreeBSD)
install-daemon: check-service-user
	$(call install_program, etc/rc.d/luafcgid2, /usr/local/etc/rc.d/luafcgid2, 0755)
else
install-daemon: check-service-user
	$(call install_program, etc/systemd/luafcgid2.service, $(UNITDIR)/luafcgid2.service, 0644)
	$(call install_program, etc/systemd/luafcgid2.socket, $(UNITDIR)/luafcgid2.socket, 0644)
	$(call install_program, etc/tmpfiles.d/luafcgid2.conf, $(TMPFILESDIR)/luafcgid2.conf, 0644)
	$(call install_program, etc/systemd/own-user.conf, $(DOCDIR)/systemd/own-user.conf, 0644)
	$(call install_program, etc/systemd/hardware.conf, $(DOCDIR)/systemd/hardware.conf, 0644)
	$(call install_program, etc/init.d/luafcgid2, $(SYSCONFDIR)/init.d/luafcgid2, 0755)
	$(call install_config, etc/default/luafcgid2, $(SYSCONFDIR)/default/luafcgid2, \
	    $(CONFDIR)/default.new)
	$(call install_config, etc/logrotate.d/luafcgid2, $(SYSCONFDIR)/logrotate.d/luafcgid2, \
	    $(CONFDIR)/logrotate.new)
	@if [ -z "$(DESTDIR)" ]; then sh etc/service.sh installed "$(SERVICE_USER)" "$$(id -gn "$(SERVICE_USER)")"; fi
endif

update: install-files
	@if [ -z "$(DESTDIR)" ]; then sh etc/service.sh updated; fi

uninstall:
	@if [ -z "$(DESTDIR)" ]; then sh etc/service.sh leaving; fi
	rm -f "$(DESTDIR)$(BINDIR)/luafcgid2" "$(DESTDIR)$(BINDIR)/luafcgid2-serve"
	rm -rf "$(DESTDIR)$(DATADIR)" "$(DESTDIR)$(DOCDIR)"
	rm -f "$(DESTDIR)$(UNITDIR)/luafcgid2.service" "$(DESTDIR)$(UNITDIR)/luafcgid2.socket" \
	    "$(DESTDIR)$(TMPFILESDIR)/luafcgid2.conf" "$(DESTDIR)$(SYSCONFDIR)/init.d/luafcgid2" \
	    "$(DESTDIR)$(SYSCONFDIR)/logrotate.d/luafcgid2" \
	    "$(DESTDIR)/usr/local/etc/rc.d/luafcgid2"
	rm -f "$(DESTDIR)$(CONFDIR)/config.lua.new" "$(DESTDIR)$(CONFDIR)/default.new" \
	    "$(DESTDIR)$(CONFDIR)/logrotate.new"
	@for page in $(MAN_PAGES) luafcgid2-serve.8; do rm -f "$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page"; done
	@if [ -z "$(DESTDIR)" ]; then sh etc/service.sh left; fi
	@echo "kept: $(DESTDIR)$(CONFDIR), $(DESTDIR)$(SYSCONFDIR)/default/luafcgid2," \
	    "/var/log/luafcgid2, /var/lib/luafcgid2"

dist:
	git archive --format=tar --prefix=luafcgid2-$(VERSION)/ HEAD | gzip -9n \
	    >luafcgid2-$(VERSION).tar.gz

.PHONY: install-files install check-service-user install-daemon update uninstall dist

clean:
	rm -rf .build luafcgid2

help:
	@sed -n -e 's/^#   make/make/p' -e 's/^#   \( \{20,\}\)/\1/p' Makefile

-include $(wildcard $(BUILD)/*.d $(BUILD)/*/*.d $(BUILD)/*/*/*.d $(BUILD)/*/*/*/*.d)

.PHONY: all hasty check check-unit check-layers check-warnings check-torture fuzz bench clean help
.DELETE_ON_ERROR:
