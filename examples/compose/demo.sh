#!/bin/sh
# Index the demo's countries into the index that is named, e.g. http://127.0.0.1:9200/countries, and expand a set.
set -eu
corpus=$(mktemp -d)/corpus
python -c 'import sys, pathlib; from entity_expand.demo import write_demo_corpus as w; w(pathlib.Path(sys.argv[1]))' "$corpus"
bundle=$(python -c 'from entity_expand.demo import bundle_path; print(bundle_path())')
entity-expand index "$bundle" "$corpus" --to "$1"
entity-expand expand "$1" Ghana Mali Senegal --both-directions 1 --size 10
