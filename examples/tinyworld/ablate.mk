# The ablation: what each part of the loop gives, arm by arm. Included by the Makefile; every target is one artifact.
#
#   make ablate                                 three seeds, then results/ablation.{md,json,png}
#   make best                                   the best configuration and the demo's loop, then results/best.*
#   make ablate-arms SEED=0                     the arms of one seed
#   make runs/seed-0/ablation/rewrite.jsonl     any single artifact
#
# All arms train on the same problems, with the same replay, for the same number of optimizer steps. SFT arms differ
# in targets and scaffolds alone; all arms with strip-rl take their prompts from the rows of `rewrite`. The arms
# without any SFT see as many rows as SFT and strip-rl together: 90 x 128 = 240 x 16 + 60 x 128, where a completion
# counts as a row.
SEEDS ?= 0 1 2
BASE_STEPS ?= 90
BEST_STEPS ?= 2550
BEST_ALONE ?= 950
ABL := $(RUN)/ablation

# --- rows -----------------------------------------------------------------------------------------------------------
ABL_REPLAY := --replay $(RUN)/rollouts.jsonl --replay-share 0.25
ABL_LEVELS := --levels 0,0,0,2 --template scaffold.yaml
ABL_ROWS := $(RUN)/anchored.jsonl $(RUN)/rollouts.jsonl

$(ABL)/raw.jsonl: $(ABL_ROWS)
	$(ANECTL) scaffold $< --targets raw --template scaffold.yaml $(ABL_REPLAY) $(EXAMPLES) -o $@

$(ABL)/scaffold.jsonl: $(ABL_ROWS)
	$(ANECTL) scaffold $< --targets template $(ABL_LEVELS) $(ABL_REPLAY) $(EXAMPLES) -o $@

$(ABL)/rewrite.jsonl: $(ABL_ROWS)
	$(ANECTL) scaffold $< --targets rewrite --model base --max-tokens 96 $(ABL_LEVELS) $(ABL_REPLAY) $(EXAMPLES) \
		--resume -o $@

# --- SFT alone, and the SFT that strip-rl goes on from --------------------------------------------------------------
# Drift and forgetting are measured on problems that nobody trains on: what the base solves of data/valid.jsonl.
ABL_SFT := raw scaffold rewrite
# The second moments of Adam are to follow within 50 steps, not 1,000: these runs have 300.
ABL_FIT := $(SFT) --trl adam_beta2=0.98
ABL_DRIFT := --held-out runs/valid.rollouts.jsonl

runs/valid.rollouts.jsonl: data/valid.jsonl
	$(ANECTL) rollout $< --model base -n 8 --instruction "" --max-tokens 96 --seed 0 --batch-size 64 --resume -o $@

$(ABL_SFT:%=$(ABL)/%/result.json) $(ABL_SFT:%=$(ABL)/%-start/result.json): runs/valid.rollouts.jsonl

$(ABL_SFT:%=$(ABL)/%/result.json): $(ABL)/%/result.json: $(ABL)/%.jsonl
	$(ANECTL) sft $< --model base $(ABL_FIT) $(ABL_DRIFT) --max-steps $(CONTROL_STEPS) $(TRAIN) -o $(ABL)/$*

$(ABL_SFT:%=$(ABL)/%-start/result.json): $(ABL)/%-start/result.json: $(ABL)/%.jsonl
	$(ANECTL) sft $< --model base $(ABL_FIT) $(ABL_DRIFT) --max-steps $(SFT_STEPS) $(TRAIN) -o $(ABL)/$*-start

# --- strip-rl ---------------------------------------------------------------------------------------------------------
# `RL` is the demo's; --hint cap shows all problems the level of the schedule, so that schedules differ at all.
ABL_TOP := --top-level 2
ABL_RL := $(ANECTL) strip-rl $(ABL)/rewrite.jsonl $(RL)

$(ABL_SFT:%=$(ABL)/%-rl/result.json): $(ABL)/%-rl/result.json: $(ABL)/%-start/result.json $(ABL)/rewrite.jsonl
	$(ABL_RL) --model $(ABL)/$*-start --schedule cosine $(ABL_TOP) --max-steps $(RL_STEPS) $(TRAIN) -o $(ABL)/$*-rl

ABL_SCHEDULES := cosine linear exponential staged binomial
$(ABL_SCHEDULES:%=$(ABL)/%/result.json): $(ABL)/%/result.json: $(ABL)/rewrite-start/result.json $(ABL)/rewrite.jsonl
	$(ABL_RL) --model $(ABL)/rewrite-start --schedule $* --hint cap $(ABL_TOP) --max-steps $(RL_STEPS) $(TRAIN) \
		-o $(ABL)/$*

# The control: a hint in every prompt up to the last step.
ABL_NEVER := --schedule never --hint cap --bare-share 0 $(ABL_TOP)
$(ABL)/never/result.json: $(ABL)/rewrite-start/result.json $(ABL)/rewrite.jsonl
	$(ABL_RL) --model $(ABL)/rewrite-start $(ABL_NEVER) --max-steps $(RL_STEPS) $(TRAIN) -o $(ABL)/never

# No SFT at all: GRPO without hints, with hints that are withdrawn, and with hints to the end.
$(ABL)/grpo/result.json: $(ABL)/rewrite.jsonl
	$(ABL_RL) --model base --top-level 0 --max-steps $(BASE_STEPS) $(TRAIN) -o $(ABL)/grpo

$(ABL)/base-strip/result.json: $(ABL)/rewrite.jsonl
	$(ABL_RL) --model base --schedule cosine --hint cap $(ABL_TOP) --max-steps $(BASE_STEPS) $(TRAIN) \
		-o $(ABL)/base-strip

$(ABL)/base-never/result.json: $(ABL)/rewrite.jsonl
	$(ABL_RL) --model base $(ABL_NEVER) --max-steps $(BASE_STEPS) $(TRAIN) -o $(ABL)/base-never

# --- the best configuration found ------------------------------------------------------------------------------------
# More anchors of each failing problem, all of them with worked steps, two rows in nine with the plan in their prompts.
# First they are learned alone, then among anchors of what was solved, which is had back for fewer rows than it takes to
# keep it all along. Batches by length, half as many rows in each and no rewrites or strip-rl: the time is the demo's.
BEST := $(ABL)/best
BEST_ANCHOR := --index runs/truth.idx --signals joint --no-tiers
BEST_FIT := --batch-size 8 --group-by-length --learning-rate 3.5e-4 --warmup-steps 20 --trl adam_beta2=0.99 \
	--seed $(SEED)
BEST_TARGETS := --targets template --template scaffold.yaml --from anchors --answer-format "Answer: {answer}"

$(BEST)-anchored.jsonl: $(RUN)/frontier.jsonl runs/truth.idx/manifest.json
	$(ANECTL) anchor $< $(BEST_ANCHOR) --top-k 16 -o $@

$(BEST)-solved.jsonl: $(RUN)/rollouts.jsonl runs/truth.idx/manifest.json
	$(ANECTL) locate-frontier $< --zones solved | $(ANECTL) anchor $(BEST_ANCHOR) --top-k 32 -o $@

$(BEST).jsonl: $(BEST)-anchored.jsonl $(RUN)/rollouts.jsonl
	$(ANECTL) scaffold $< $(BEST_TARGETS) --levels 0,0,0,0,2,0,0,0,2 --replay $(RUN)/rollouts.jsonl --replay-share 0.12 \
		--seed $(SEED) -o $@

$(BEST)-kept.jsonl: $(BEST)-solved.jsonl
	$(ANECTL) scaffold $< $(BEST_TARGETS) --levels 0 --seed $(SEED) -o $@

$(BEST)-alone/result.json: $(BEST).jsonl runs/valid.rollouts.jsonl
	$(ANECTL) sft $< --model base $(BEST_FIT) $(ABL_DRIFT) --total-steps $(BEST_STEPS) --max-steps $(BEST_ALONE) $(TRAIN) \
		-o $(BEST)-alone

# Drift is measured against the policy that a round begins with, here no longer the base.
$(BEST)/result.json: $(BEST)-alone/result.json $(BEST).jsonl $(BEST)-kept.jsonl
	$(ANECTL) sft $(BEST).jsonl $(BEST)-kept.jsonl --continue-from $(BEST)-alone --drift-rows 0 \
		--max-steps $(shell expr $(BEST_STEPS) - $(BEST_ALONE)) $(TRAIN) -o $(BEST)

# --- scores: bare, hinted, and samples for pass@8 -------------------------------------------------------------
ABL_FROM_BASE := grpo base-strip base-never
ABL_ARMS := $(ABL_SFT) $(ABL_SFT:%=%-rl) $(ABL_SCHEDULES) never $(ABL_FROM_BASE)
ABL_SHOWN := scaffold rewrite rewrite-rl cosine never $(ABL_FROM_BASE)
# Hinted by the plan, on the families that the base does not master: a hint tells it nothing about the others.
ABL_HINTED := $(ANECTL) eval $(FRONTIER:%=data/bench/%.jsonl) --instruction "" --max-tokens 96 --batch-size 128 \
	--resume --hint-level 2 --template scaffold.yaml
# Thirty-two samples: pass@8 of eight is one draw, and the base solves some problems with one sample in eight.
PASS8 := $(ANECTL) eval --instruction "" --max-tokens 96 --batch-size 128 --resume -k 32 --temperature 1
# Of 256 problems that the base masters, one decides whether pass@8 falls: many more, of another seed.
LARGE := $(MASTERED:%=runs/large/bench/%.jsonl)

$(ABL)/%.scores.jsonl: $(ABL)/%/result.json
	$(EVAL) --model $(ABL)/$* -o $@

$(ABL)/%.hinted.jsonl: $(ABL)/%/result.json
	$(ABL_HINTED) --model $(ABL)/$* -o $@

$(ABL)/%.pass8.jsonl: $(ABL)/%/result.json
	$(PASS8) $(BENCH) --model $(ABL)/$* -o $@

$(ABL)/%.large8.jsonl: $(ABL)/%/result.json runs/large/.made
	$(PASS8) $(LARGE) --model $(ABL)/$* -o $@

runs/base.hinted.jsonl: data/.made
	$(ABL_HINTED) --model base -o $@

runs/base.pass8.jsonl: data/.made
	$(PASS8) $(BENCH) --model base -o $@

runs/large/.made: world.py
	$(PY) world.py runs/large --seed 1012 --pool 8 --truth 8 --valid 8 --bench 8192
	touch $@

runs/base.large8.jsonl: runs/large/.made
	$(PASS8) $(LARGE) --model base -o $@

ABL_SCORES := $(ABL_ARMS:%=$(ABL)/%.scores.jsonl) $(ABL_SHOWN:%=$(ABL)/%.hinted.jsonl) $(ABL)/grpo.pass8.jsonl
BASE_SCORES := runs/base.scores.jsonl runs/base.hinted.jsonl runs/base.pass8.jsonl
BEST_SCORES := $(BEST).scores.jsonl $(BEST).hinted.jsonl $(BEST).pass8.jsonl $(BEST).large8.jsonl \
	runs/base.large8.jsonl $(RUN)/ane.scores.jsonl $(ABL)/scaffold.scores.jsonl

.PHONY: ablate ablate-arms best best-arms
ablate-arms: $(ABL_SCORES) $(BASE_SCORES)
best-arms: $(BEST_SCORES) $(BASE_SCORES)

ablate best:
	for seed in $(SEEDS); do $(MAKE) --jobs $(JOBS) $@-arms SEED=$$seed BIN=$(BIN) || exit 1; done
	$(PY) ablation.py $(SEEDS:%=runs/seed-%) --anectl $(ANECTL) --page $(@:ablate=ablation) --write results
