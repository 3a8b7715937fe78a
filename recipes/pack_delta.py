"""Put what a training recipe learned into the package: the delta with its metadata, and its catalogue entry.

    python recipes/pack_delta.py minilm-nli --encoder FOLDER --run runs/minilm-nli

Prints the catalogue entry; the model that comes out is built once here: every other machine must get its id.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pair_data import LABELS
from safetensors.torch import load_file, save_file

from fairsqueeze.assets.checksum import sha256_of
from fairsqueeze.models.delta import applied
from fairsqueeze.models.fingerprint import fingerprint

DELTAS = Path(__file__).parent.parent / "src" / "fairsqueeze" / "models" / "deltas"
MAKES = {
    "minilm-mlm": ("BertForMaskedLM", {}, "masked"),
    "minilm-nli": (
        "BertForSequenceClassification",
        {
            "id2label": {str(k): label for k, label in enumerate(LABELS)},
            "label2id": {label: k for k, label in enumerate(LABELS)},
        },
        "pair_classifier",
    ),
    "minilm-sts": (
        "BertForSequenceClassification",
        {"id2label": {"0": "similarity"}, "label2id": {"similarity": 0}, "problem_type": "regression"},
        "pair_regressor",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(MAKES))
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    args = parser.parse_args()
    architecture, config, kind = MAKES[args.name]
    card = json.loads((args.run / "card.json").read_text())
    recipe = {k: v for k, v in card.items() if k != "arguments"}
    told = {"architecture": architecture, "config": config, "recipe": recipe}
    target = DELTAS / f"{args.name}.safetensors"
    DELTAS.mkdir(exist_ok=True)
    save_file(load_file(args.run / "delta.safetensors"), target, metadata={"fairsqueeze": json.dumps(told)})
    target.chmod(0o644)  # safetensors writes for its owner alone
    network, _ = applied(args.encoder, target)
    parameters = sum(p.numel() for p in network.parameters())
    print(f"[model.{args.name}]")
    print(f'base = "minilm"\nn_items = {parameters}\nunit = "parameters"\nmodel_kind = "{kind}"')
    print(
        f'delta = {{ file = "{target.name}", sha256 = "{sha256_of(target)}", id = "{fingerprint(network)}", '
        f'card = "{args.name}.md" }}'
    )
    print(f"# {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
