# SPDX-License-Identifier: Apache-2.0
#
# The only place that knows how to compile C.  rebar3 (a hook) and mix (a
# compiler in mix.exs) call `make native`; everything else is for people working
# on holt itself.  `make help` lists the targets.
#
#   V=1           show commands instead of one line per file
#   CC, CFLAGS    the compiler, and options that come after ours
#   ERL_ROOT      where Erlang/OTP is installed; asked of erl otherwise
#
# Objects are in _build/native, one tree per kind of build:
#
#   release    what ships: libholt.a, priv/holt_nif.so, priv/holtd and priv/holt
#   verify     optimised, with the structural checks: the simulator
#   asan       AddressSanitizer, UBSan and the structural checks: the tests
#   tsan       ThreadSanitizer: what has threads
#   fault      the NIF with a fault planted, for the sanitizers to find
#   fuzz       the same, by clang, and watched by libFuzzer
#   cover      by clang, and counting which lines are run
#   check/CC   nothing but warnings, as errors, one tree per compiler

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

NATIVE := _build/native
EBIN   := _build/default/lib/holt/ebin
NIF    := priv/holt_nif.so
HOLTD  := priv/holtd
CLIENT := priv/holt

CFLAGS ?= -g
REBAR3 ?= rebar3

# What a make of ours tells its children is not for the makes that rebar3 and
# mix start.
CLEAN_ENV := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL

ifeq ($(V),1)
say = @:
Q   :=
else
say = @printf '%-6s %s\n'
Q   := @
endif
# Silent with `make -s`, as the hooks call it, until something is wrong.
ifneq ($(findstring s,$(firstword -$(MAKEFLAGS))),)
say = @:
endif

#-----------------------------------------------------------------------------
# Sources

CORE_SRC := $(sort $(wildcard c_src/core/*.c))
NIF_SRC  := $(sort $(wildcard c_src/nif/*.c))
NODE_SRC := $(sort $(wildcard c_src/node/*.c))
CLIENT_SRC := $(sort $(wildcard c_src/client/*.c))
LIB_SRC  := $(sort $(wildcard test/c/lib/*.c))
UNIT_SRC := $(sort $(wildcard test/c/unit/*.c))
SIM_SRC  := $(sort $(wildcard test/c/sim/*.c))
TEST_NODE_SRC := $(sort $(wildcard test/c/node/*.c))
TEST_NIF_SRC := $(sort $(wildcard test/c/nif/*.c))
BENCH_SRC := $(sort $(wildcard bench/*.c))

# What there is to fuzz: test/c/fuzz/fuzz_NAME.c.  The second line is of the
# daemon's.
FUZZ_CORE := key liveset packet rows
FUZZ_NODE := commands config frames handshake options terms
FUZZ_CORE_SRC := $(patsubst %,test/c/fuzz/%.c,fuzz replay store rows_model rows_walks \
  $(addprefix fuzz_,$(FUZZ_CORE)))
FUZZ_NODE_SRC := $(patsubst %,test/c/fuzz/%.c,controls deaf given $(addprefix fuzz_,$(FUZZ_NODE)))

ELIXIR_SRC := $(shell test -d lib && find lib -name '*.ex' | LC_ALL=C sort)
ELIXIRC := $(shell command -v elixirc 2>/dev/null)

# The daemon and its command line need libraries that the NIF does not.
has_header = $(shell echo '\#include <$1>' | $(CC) -E -x c - >/dev/null 2>&1 && echo $1)
NODE_HEADERS := uv.h md5.h confuse.h jansson.h
NODE_MISSING := $(filter-out $(foreach h,$(NODE_HEADERS),$(call has_header,$h)),$(NODE_HEADERS))
VERSION := $(shell sed -n 's/.*{vsn, *"\([^"]*\)"}.*/\1/p' src/holt.app.src)

#-----------------------------------------------------------------------------
# Flags

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-prototypes \
            -Wstrict-prototypes

BASE_FLAGS := -std=c11 -fPIC -fvisibility=hidden -fno-common $(WARNINGS) -Iinclude

# Evaluated once, and only when something needs it.
ERL_ROOT ?= $(eval ERL_ROOT := $$(shell erl -noshell -eval \
  'io:put_chars(code:root_dir()), halt().'))$(ERL_ROOT)

# What a folder's files may include: the arrow nif -> core <- node is enforced by
# the compiler first, and by tools/tidy for what the compiler cannot see.
FOLDER_FLAGS = $(strip \
  $(if $(filter c_src/core/%,$1),-Ic_src/core) \
  $(if $(filter c_src/nif/%,$1),-Ic_src/nif -isystem $(ERL_ROOT)/usr/include) \
  $(if $(filter c_src/node/%,$1),-Ic_src/node $(NODE_FLAGS)) \
  $(if $(filter c_src/client/%,$1),-Ic_src/client $(NODE_FLAGS) -pthread \
    -isystem $(ERL_ROOT)/usr/include) \
  $(if $(filter test/c/node/% test/c/fuzz/%,$1),-Ic_src/node $(NODE_FLAGS)) \
  $(if $(filter test/c/fuzz/%,$1),-Itest/c/unit) \
  $(if $(filter test/c/nif/%,$1),-D_GNU_SOURCE -pthread -Ic_src/nif \
    -isystem $(ERL_ROOT)/usr/include) \
  $(if $(filter test/c/%,$1),-Ic_src/core -Itest/c/lib -I$(dir $1)) \
  $(if $(filter bench/%,$1),-D_POSIX_C_SOURCE=200809L -Ibench))

NODE_FLAGS  := -D_GNU_SOURCE -DHOLT_VERSION='"$(VERSION)"'
NODE_LIBS   := -luv -lmd -lconfuse
CLIENT_LIBS = -L$(ERL_ROOT)/usr/lib -lei -ljansson -pthread -lm

release_FLAGS := -O2
verify_FLAGS  := -O2 -DHOLT_VERIFY
asan_FLAGS    := -O1 -DHOLT_VERIFY -fno-omit-frame-pointer \
                 -fsanitize=address,undefined -fno-sanitize-recover=all
tsan_FLAGS    := -O1 -fno-omit-frame-pointer -fsanitize=thread
fuzz_FLAGS    := $(asan_FLAGS) -fsanitize=fuzzer-no-link
cover_FLAGS   := -O0 -DHOLT_VERIFY -fprofile-instr-generate -fcoverage-mapping

# Whatever CC is.
FUZZ_CC ?= clang
$(NATIVE)/fuzz/% $(NATIVE)/cover/%: override CC := $(FUZZ_CC)

# A library that has been upgraded stays where it is: what it has opened calls
# its functions.  A bundle of macOS is not unloaded in any case.
ifeq ($(shell uname -s),Darwin)
NIF_LDFLAGS := -bundle -undefined dynamic_lookup
else
NIF_LDFLAGS := -shared -Wl,-z,nodelete
endif

CHECK := $(NATIVE)/check/$(notdir $(firstword $(CC)))
objects = $(patsubst %.c,$(NATIVE)/$1/%.o,$2)

#-----------------------------------------------------------------------------
# Native code

## native     the NIF, priv/holt_nif.so (all that a dependency needs)
.PHONY: native
native: $(NIF)

$(NIF): $(call objects,release,$(NIF_SRC)) $(NATIVE)/libholt.a
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(NIF_LDFLAGS) $(LDFLAGS) -o $@.new $^
	@mv -f $@.new $@

$(NATIVE)/libholt.a: $(call objects,release,$(CORE_SRC))
	$(say) AR $@
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# One set of rules per tree: objects, and the programs made of them.
define tree
$(NATIVE)/$1/%.o: %.c Makefile
	$$(say) CC $$<
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $(BASE_FLAGS) $$($1_FLAGS) $$(call FOLDER_FLAGS,$$<) $$(CFLAGS) \
	  -MMD -MP -c -o $$@ $$<

$(NATIVE)/$1/test_unit: $(call objects,$1,$(CORE_SRC) $(LIB_SRC) $(UNIT_SRC))
	$$(say) LD $$@
	$$(Q)$$(CC) $$($1_FLAGS) $$(LDFLAGS) -o $$@ $$^ -lcunit

$(NATIVE)/$1/test_node: $(call objects,$1,$(CORE_SRC) $(LIB_SRC) \
  $(filter-out c_src/node/main.c,$(NODE_SRC)) $(TEST_NODE_SRC))
	$$(say) LD $$@
	$$(Q)$$(CC) $$($1_FLAGS) $$(LDFLAGS) -o $$@ $$^ $(NODE_LIBS) -lcunit

$(NATIVE)/$1/holtd: $(call objects,$1,$(CORE_SRC) $(NODE_SRC))
	$$(say) LD $$@
	$$(Q)$$(CC) $$($1_FLAGS) $$(LDFLAGS) -o $$@ $$^ $(NODE_LIBS)

$(NATIVE)/$1/holt: $(call objects,$1,$(CORE_SRC) $(CLIENT_SRC))
	$$(say) LD $$@
	$$(Q)$$(CC) $$($1_FLAGS) $$(LDFLAGS) -o $$@ $$^ $$(CLIENT_LIBS)

$(NATIVE)/$1/test_nif: $(call objects,$1,$(CORE_SRC) $(NIF_SRC) $(TEST_NIF_SRC))
	$$(say) LD $$@
	$$(Q)$$(CC) $$($1_FLAGS) $$(LDFLAGS) -o $$@ $$^ -pthread

$(NATIVE)/$1/test_sim: $(call objects,$1,$(CORE_SRC) $(LIB_SRC) $(SIM_SRC))
	$$(say) LD $$@
	$$(Q)$$(CC) $$($1_FLAGS) $$(LDFLAGS) -o $$@ $$^
endef
$(foreach kind,release verify asan tsan fuzz cover,$(eval $(call tree,$(kind))))

# The NIF with one fault each; all else is that of its sanitizer's tree.
NIF_FAULTS := $(shell sed -n 's/^  XX.\([0-9]*\), \([a-z]*\), .*/\2:\1/p' c_src/nif/nif_fault.h)

define fault
$(NATIVE)/fault/$2/$1/%.o: %.c Makefile
	$$(say) CC "$$< (fault $1)"
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $(BASE_FLAGS) $$($2_FLAGS) $$(call FOLDER_FLAGS,$$<) $$(CFLAGS) \
	  -DNIF_FAULT=$1 -MMD -MP -c -o $$@ $$<

$(NATIVE)/fault/$2/$1/test_nif: $(call objects,fault/$2/$1,$(NIF_SRC)) \
  $(call objects,$2,$(CORE_SRC) $(TEST_NIF_SRC))
	$$(say) LD $$@
	$$(Q)$$(CC) $$($2_FLAGS) $$(LDFLAGS) -o $$@ $$^ -pthread
endef
$(foreach pair,$(NIF_FAULTS),$(eval $(call fault,$(word 2,$(subst :, ,$(pair))),$(word 1,$(subst :, ,$(pair))))))

# A target of fuzzing: with libFuzzer, or with replay.c.
NODE_PARTS := $(filter-out c_src/node/main.c,$(NODE_SRC))
fuzz_packet_SRC   := test/c/unit/pair.c
fuzz_packet_LIBS  := -lcunit
fuzz_rows_SRC     := test/c/fuzz/rows_model.c test/c/fuzz/rows_walks.c
fuzz_commands_SRC := test/c/fuzz/deaf.c test/c/fuzz/controls.c \
  $(filter-out %/connection.c %/listen.c %/epmd.c,$(NODE_PARTS))
$(foreach name,config options,$(eval fuzz_$(name)_SRC := $(NODE_PARTS) test/c/fuzz/given.c))
$(foreach name,handshake terms,$(eval fuzz_$(name)_SRC := $(NODE_PARTS)))
fuzz_frames_SRC   := $(NODE_PARTS) test/c/fuzz/controls.c
$(foreach name,$(FUZZ_NODE),$(eval fuzz_$(name)_LIBS := $(NODE_LIBS)))

define fuzz_target
$(NATIVE)/$1/fuzz_$2: $(call objects,$1,$(CORE_SRC) $(LIB_SRC) $(fuzz_$2_SRC) \
  $(patsubst %,test/c/fuzz/%.c,fuzz store fuzz_$2 $(if $(filter fuzz,$1),,replay)))
	$$(say) LD $$@
	$$(Q)$$(CC) $$($1_FLAGS) $(if $(filter fuzz,$1),-fsanitize=fuzzer) $$(LDFLAGS) -o $$@ $$^ \
	  $$(fuzz_$2_LIBS)
endef
FUZZ_TARGETS := $(FUZZ_CORE) $(if $(NODE_MISSING),,$(FUZZ_NODE))
$(foreach kind,asan fuzz cover,$(foreach name,$(FUZZ_CORE) $(FUZZ_NODE),\
  $(eval $(call fuzz_target,$(kind),$(name)))))

## node       the daemon priv/holtd and the command line priv/holt
.PHONY: node
ifeq ($(NODE_MISSING),)
node: $(HOLTD) $(CLIENT)
	@:
else
node:
	@echo "no $(NODE_MISSING): the daemon is left out (tools/require node)"
endif

$(HOLTD): $(NATIVE)/release/holtd
	@mkdir -p $(@D)
	@cp $< $@.new && mv -f $@.new $@

$(CLIENT): $(NATIVE)/release/holt
	@mkdir -p $(@D)
	@cp $< $@.new && mv -f $@.new $@

## install-node  holtd and holt into DESTDIR/PREFIX/bin (PREFIX: /usr/local)
PREFIX ?= /usr/local
.PHONY: install-node
install-node: $(HOLTD) $(CLIENT)
	install -d $(DESTDIR)$(PREFIX)/bin
	install $(HOLTD) $(CLIENT) $(DESTDIR)$(PREFIX)/bin

# The microbenchmarks: one program per file, from what ships.
$(NATIVE)/bench/%: $(NATIVE)/release/bench/%.o $(NATIVE)/libholt.a
	$(say) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

.PHONY: bench-native
bench-native: $(patsubst bench/%.c,$(NATIVE)/bench/%,$(BENCH_SRC))
	@:

# A missing erl_nif.h is the most common mistake; say it in words, once.
$(call objects,release,$(NIF_SRC)) $(patsubst %.c,$(CHECK)/%.o,$(NIF_SRC) $(TEST_NIF_SRC)): \
  | $(NATIVE)/erl-headers

$(NATIVE)/erl-headers:
	@test -f "$(ERL_ROOT)/usr/include/erl_nif.h" || { \
	  echo "holt: no erl_nif.h in '$(ERL_ROOT)/usr/include'." \
	    "On Debian it is in the package erlang-dev." >&2; exit 1; }
	@mkdir -p $(@D)
	@touch $@

#-----------------------------------------------------------------------------
# Erlang and Elixir

## all        the NIF, the Erlang modules; the Elixir ones and the daemon where possible
.PHONY: all
all: native erlang elixir node

.PHONY: erlang
erlang: native
	$(say) REBAR3 compile
	$(Q)$(CLEAN_ENV) QUIET=1 $(REBAR3) compile

## elixir     the Elixir modules, beside the Erlang ones
.PHONY: elixir
elixir: erlang $(if $(and $(ELIXIRC),$(ELIXIR_SRC)),$(EBIN)/.elixir)
ifeq ($(ELIXIRC),)
	@echo "no elixirc: the Elixir modules are left out"
endif

# All of them at once: there are few, and elixirc knows their order.
$(EBIN)/.elixir: $(ELIXIR_SRC) $(wildcard src/*.erl) | erlang
	$(say) ELIXIR "$(words $(ELIXIR_SRC)) files"
	@rm -f $(EBIN)/Elixir.*.beam
	$(Q)elixirc $(ELIXIRC_FLAGS) --ignore-module-conflict -pa $(EBIN) -o $(EBIN) \
	  $(ELIXIR_SRC)
	@touch $@

## docs       the Erlang documentation, in _build/doc
.PHONY: docs
docs: all
	$(Q)$(CLEAN_ENV) $(REBAR3) edoc

#-----------------------------------------------------------------------------
# Trying it, testing it

## demo       three nodes and a C-node on this machine, some names, a crash
.PHONY: demo
demo:
	@tools/require demo
	@$(MAKE) --no-print-directory all
	@examples/demo/run

## examples   runs all of examples/, each a small program or project
.PHONY: examples
examples:
	@tools/require demo
	@$(MAKE) --no-print-directory all
	@$(CLEAN_ENV) examples/run

## test       every test; ONLY="unit ct" some stages, SEED=n replays a random one
.PHONY: test
test:
	@tools/require test
	@$(CLEAN_ENV) tools/run-tests

# What the driver runs, without running it.
.PHONY: test-unit-native test-node-native test-sim-native test-corpus-native
test-corpus-native: $(addprefix $(NATIVE)/asan/fuzz_,$(FUZZ_TARGETS))
	@:
test-unit-native: $(if $(UNIT_SRC),$(NATIVE)/asan/test_unit)
	@:
test-node-native: $(if $(TEST_NODE_SRC),$(NATIVE)/asan/test_node)
	@:
test-sim-native: $(if $(SIM_SRC),$(NATIVE)/verify/test_sim)
	@:

## sanitize   C tests, NIF and daemon under sanitizers and valgrind; ONLY="..." some
.PHONY: sanitize
sanitize:
	@tools/require sanitize
	@$(CLEAN_ENV) tools/sanitize

# What it runs, without running it.
.PHONY: sanitize-native
sanitize-native: $(addprefix $(NATIVE)/,asan/test_unit asan/test_sim asan/test_nif tsan/test_nif \
  $(foreach fault,$(NIF_FAULTS),fault/$(subst :,/,$(fault))/test_nif) \
  $(if $(NODE_MISSING),,asan/test_node tsan/test_node asan/holtd release/holtd)) \
  test-corpus-native
	@:
.PHONY: sanitize-has-node
sanitize-has-node:
	@echo $(if $(NODE_MISSING),,yes)

## soak       new random seeds for MINUTES (10) minutes, then real nodes for as long at most
.PHONY: soak
soak:
	@tools/require test
	@$(MAKE) --no-print-directory all test-sim-native
	@SIM_SECONDS=$$(( $${MINUTES:-10} * 60 )) $(NATIVE)/verify/test_sim
	@HOLT_SOAK=$$(( $${MINUTES:-10} * 60 )) $(CLEAN_ENV) $(REBAR3) ct --suite test/holt_real_SUITE

## fuzz       libFuzzer for MINUTES (2) on each target; TARGETS="rows key" some
TARGETS ?= $(FUZZ_TARGETS)
.PHONY: fuzz
fuzz:
	@tools/require fuzz
	@$(MAKE) --no-print-directory $(addprefix $(NATIVE)/fuzz/fuzz_,$(TARGETS))
	@tools/fuzz run $(TARGETS)

# Seeds, what is kept and what was found, minimized: what is kept from now on.
.PHONY: fuzz-keep
fuzz-keep: $(addprefix $(NATIVE)/fuzz/fuzz_,$(TARGETS)) $(addprefix $(NATIVE)/asan/fuzz_,$(TARGETS))
	@tools/fuzz keep $(TARGETS)

# Which lines the corpora reach.
.PHONY: fuzz-cover
fuzz-cover: $(addprefix $(NATIVE)/cover/fuzz_,$(TARGETS))
	@tools/fuzz cover $(TARGETS)

## mutants    faults planted one at a time: do the tests notice?  MUTANTS="3 17" some
.PHONY: mutants
mutants: $(NATIVE)/verify/test_sim $(NATIVE)/verify/test_unit
	@tools/mutants

## model      the protocol as models: spin looks at all their states.  MODELS="stream" some
.PHONY: model
model:
	@tools/require model
	@tools/model

## bench      the benchmarks; ROWS="lookup presence" some sections
.PHONY: bench
bench:
	@tools/require bench
	@$(MAKE) --no-print-directory all bench-native
	@bench/run $(ROWS)

#-----------------------------------------------------------------------------
# Checking it

## check      warnings as errors (gcc, clang), dialyzer, xref, tidy
.PHONY: check
check:
	@tools/require check
	@for cc in gcc clang; do \
	  if command -v $$cc >/dev/null 2>&1; then \
	    $(MAKE) --no-print-directory check-c CC=$$cc || exit 1; \
	  else echo "no $$cc: not checked with it"; fi; \
	done
	@$(MAKE) --no-print-directory check-beam
	@$(MAKE) --no-print-directory tidy


.PHONY: check-c
check-c: $(patsubst %.c,$(CHECK)/%.o,$(CORE_SRC) $(NIF_SRC) $(LIB_SRC) $(UNIT_SRC) $(SIM_SRC) \
  $(TEST_NIF_SRC) $(BENCH_SRC) $(FUZZ_CORE_SRC) \
  $(if $(NODE_MISSING),,$(NODE_SRC) $(CLIENT_SRC) $(TEST_NODE_SRC) $(FUZZ_NODE_SRC)))

# With optimisation, because half of the warnings come from it.
$(CHECK)/%.o: %.c Makefile
	$(say) CHECK "$< ($(notdir $(firstword $(CC))))"
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_FLAGS) -O2 -Werror -DHOLT_VERIFY $(call FOLDER_FLAGS,$<) \
	  $(CFLAGS) -MMD -MP -c -o $@ $<

.PHONY: check-beam
check-beam: native
	$(Q)$(CLEAN_ENV) $(REBAR3) as check do compile, xref, dialyzer
	@if [ -n "$(and $(ELIXIRC),$(ELIXIR_SRC))" ]; then \
	  rm -rf _build/check/elixir && mkdir -p _build/check/elixir && \
	  elixirc --warnings-as-errors -pa _build/check/lib/holt/ebin \
	    -o _build/check/elixir $(ELIXIR_SRC); fi

## tidy       layering, purity, formatting, lengths
.PHONY: tidy
tidy: $(if $(CORE_SRC),$(NATIVE)/libholt.a)
	@tools/tidy $(NATIVE)/libholt.a

## format     put C and Elixir into the form that tidy wants
.PHONY: format
format:
	clang-format -i $$(find include c_src test/c bench examples -name '*.[ch]' 2>/dev/null)
	if command -v mix >/dev/null 2>&1; then mix format; fi

#-----------------------------------------------------------------------------
# Housekeeping

## clean      remove everything that was built
.PHONY: clean
clean: clean-native
	@rm -rf _build

.PHONY: clean-native
clean-native:
	@rm -rf $(NATIVE) $(NIF) $(HOLTD) $(CLIENT)

## help       this list
.PHONY: help
help:
	@sed -n 's/^## /  make /p' $(firstword $(MAKEFILE_LIST))

-include $(shell test -d $(NATIVE) && find $(NATIVE) -name '*.d')
