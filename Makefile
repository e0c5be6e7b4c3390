# SPDX-License-Identifier: Apache-2.0
# sluice: plain GNU make. `make help` names every target.
#
#   CC=clang            the other compiler (its own folder under build/)
#   SANITIZE=address,undefined
#   T=unit/workflows/test_expr   one test, or a folder of them
#   V=1                 show the commands

CC       ?= gcc
ifeq ($(origin CC),default)
CC       := gcc
endif
PREFIX   ?= /usr/local
DESTDIR  ?=
SANITIZE ?=
FAULTS   ?=
VERSION  := 0.1.0

comma    := ,
VARIANT  := $(notdir $(CC))$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(FAULTS),-faults)$(if $(COVERAGE),-coverage)
B        := build/$(VARIANT)
Q        := $(if $(V),,@)
say       = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

# ---- third-party libraries: who may link what (see ARCHITECTURE.md, "Libraries") ----
# libmicrohttpd is here for its header: the first server loads it (runner/http.c).
PC            := pkg-config
SLUICE_PKGS   := jansson yaml-0.1 libcrypto sqlite3 libseccomp libmicrohttpd
HELPER_PKGS   := jansson libcrypto libseccomp libgit2 libcurl libarchive libpcre2-8 libzstd
SPAWNER_PKGS  := jansson yaml-0.1 libcrypto libseccomp
SLUICE_LIBS    = $(shell $(PC) --libs $(SLUICE_PKGS)) -lm
SPAWNER_LIBS   = $(shell $(PC) --libs $(SPAWNER_PKGS)) -lm
HELPER_LIBS    = $(shell $(PC) --libs $(HELPER_PKGS)) -lm
TEST_LIBS      = $(shell $(PC) --libs $(sort $(SLUICE_PKGS) $(HELPER_PKGS)) cmocka) -lm

WARN     := -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes \
            -Wmissing-prototypes -Wwrite-strings -Wno-unused-parameter \
            -Wno-missing-field-initializers
ifneq ($(findstring clang,$(CC)),)
WARN     += -Wno-format-nonliteral
else
WARN     += -Wjump-misses-init -Wno-format-nonliteral
endif
DEV      ?= 1
ifeq ($(DEV),1)
WARN     += -Werror
endif
OPT      := $(if $(SANITIZE),-O1 -fno-omit-frame-pointer,-O2)
HARDEN   := -fstack-protector-strong -fPIE $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
CFLAGS   ?= -g
ALL_CFLAGS = -std=gnu11 $(OPT) $(CFLAGS) $(WARN) $(HARDEN) -I. -D_GNU_SOURCE \
             -DSLUICE_VERSION='"$(VERSION)"' \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all) \
             $(if $(FAULTS),-DSLUICE_FAULTS) \
             $(if $(COVERAGE),--coverage -O0)
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now -Wl,--as-needed \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(if $(COVERAGE),--coverage)

# ---- layers: each folder is one static library ------------------------------------
LAYERS   := base workflows sandbox store executor webhooks runner
# Programs' main files stay out of the libraries.
MAINS    := runner/main.c runner/spawner_main.c executor/helper_main.c
srcs      = $(filter-out $(MAINS),$(wildcard $(1)/*.c)) $(wildcard $(1)/pages/*.c)
objs      = $(patsubst %.c,$(B)/%.o,$(1))
lib       = $(B)/lib$(1).a

# What each folder's tests and programs link, upper layers first.
DEPS_base      := base
DEPS_workflows := workflows base
DEPS_sandbox   := sandbox base
DEPS_store     := store base
DEPS_executor  := executor workflows sandbox base
DEPS_webhooks  := webhooks workflows store base
DEPS_runner    := runner webhooks executor store sandbox workflows base
libs_of         = $(foreach l,$(DEPS_$(1)),$(call lib,$(l)))

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

##@ Build
all: build/sluice build/sluice-spawner build/sluice-helper ## build/sluice, its spawner and its helper

# Always: the link may lead to what another compiler made.
build/sluice: $(B)/sluice
	$(Q)ln -sfn $(VARIANT)/sluice $@
build/sluice-spawner: $(B)/sluice-spawner
	$(Q)ln -sfn $(VARIANT)/sluice-spawner $@
build/sluice-helper: $(B)/sluice-helper
	$(Q)ln -sfn $(VARIANT)/sluice-helper $@

$(B)/sluice: $(B)/runner/main.o $(call libs_of,runner)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(SLUICE_LIBS)

# Not all of runner: what its own files call is found there, and no more.
$(B)/sluice-spawner: $(B)/runner/spawner_main.o $(call libs_of,runner)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(SPAWNER_LIBS)

$(B)/sluice-helper: $(B)/executor/helper_main.o $(call libs_of,executor)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(HELPER_LIBS)

define layer_rule
$(call lib,$(1)): $(call objs,$(call srcs,$(1)))
	$$(call say,AR,$$@)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rule,$(l))))

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Pages' assets are compiled in: runner/assets/X becomes a byte array.
ASSETS := $(wildcard runner/assets/*)
$(B)/runner/assets.inc: $(ASSETS) tests/tools/embed.sh tests/tools/squeeze.awk
	@mkdir -p $(@D)
	$(call say,EMBED,$@)sh tests/tools/embed.sh $(ASSETS) > $@
$(B)/runner/assets.o: $(B)/runner/assets.inc
$(B)/runner/assets.o: ALL_CFLAGS += -I$(B)

# What a job with profile build finds of ours inside, likewise.
INSIDE := $(wildcard executor/assets/*)
$(B)/executor/inside.inc: $(INSIDE) tests/tools/embed.sh tests/tools/squeeze.awk
	@mkdir -p $(@D)
	$(call say,EMBED,$@)sh tests/tools/embed.sh $(INSIDE) > $@
$(B)/executor/containers.o: $(B)/executor/inside.inc
$(B)/executor/containers.o: ALL_CFLAGS += -I$(B)

-include Makefile.tests

##@ Other
docs: all ## the documents that the tables write: docs/cli.md, docs/configuration.md
	$(Q)build/sluice help --markdown > docs/cli.md
	$(Q)build/sluice config markdown > docs/configuration.md

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z_-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile Makefile.tests

install: all ## into PREFIX (DESTDIR is honoured)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/sluice
	install -m 755 $(B)/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	install -m 755 $(B)/sluice-spawner $(B)/sluice-helper $(DESTDIR)$(PREFIX)/libexec/sluice
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	for v in $$($(B)/sluice help --verbs); do \
	  $(B)/sluice help --man $$v > $(DESTDIR)$(PREFIX)/share/man/man1/sluice-$$v.1; done

clean: ## remove build/
	rm -rf build

.PHONY: all docs help install clean build/sluice build/sluice-helper

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d $(B)/*/*/*/*.d)
