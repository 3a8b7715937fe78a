"""Load a model by reference, and prove that every weight it uses came from its files."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairsqueeze.errors import BadSetting, ModelError
from fairsqueeze.models.checkpoint import Record, read_record
from fairsqueeze.models.configuration import kind_of_config, read_config
from fairsqueeze.models.fingerprint import fingerprint
from fairsqueeze.models.matrices import weight_of
from fairsqueeze.models.model import Model
from fairsqueeze.models.place import config_place_of, model_entry, place_of
from fairsqueeze.models.quantised import quantisation_of, quantised_problem
from fairsqueeze.models.quiet import quiet_transformers
from fairsqueeze.models.reference import Reference, parse_reference
from fairsqueeze.models.references import make_reference
from fairsqueeze.models.slimmed import plain_class, slimmed_loader
from fairsqueeze.models.weights import stored_names
from fairsqueeze.registry import Kind

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = ("float32", "bfloat16", "float16")
HEADS = frozenset(
    (
        *("cls", "lm_head", "mlm_head", "embed_out", "predictions", "pooler", "score", "classifier", "pre_classifier"),
        *("classification_head", "qa_outputs", "sop_classifier", "seq_relationship", "discriminator_predictions"),
        *("vocab_transform", "vocab_layer_norm", "vocab_projector"),
        *("generator_predictions", "generator_lm_predictions", "generator_lm_head"),
    )
)
"""Names under which transformers keeps what stands on top of a trunk. Weights in files that another kind's head would
use are ignored, and listed; any other weight that finds no place is an error."""
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.tiktoken", "tekken.json")


def load(reference: str | Path, *, kind: Kind | None = None, device: str = "cpu", dtype: str = "float32") -> Model:
    """The model that `reference` names, in eval mode.

    Args:
        reference: a folder, a `.gguf` file, `builtin:NAME`, a hub id `org/name[@revision]`, or
            `reference:random|constant|destroyed:MODEL`.
        kind: load it as this kind; None is its own, by its config. Any model can be loaded as an encoder.
        device: "cpu", "cuda", "cuda:1", …
        dtype: "float32", "bfloat16" or "float16": the precision of weights and arithmetic, on every device.

    Returns:
        The model; weights of heads that this kind never uses are listed in `absent` and `ignored`.

    Raises:
        ModelError: no such model, damaged or incomplete files, weights missing, left over or of the wrong shape (each
            named), pickles only, a network that needs its own code, or a kind that does not fit.
        AssetError, UnknownName: a built-in model that is not here, or does not exist.
    """
    parsed = parse_reference(reference)
    if dtype not in DTYPES:
        raise BadSetting(f"dtype is {dtype!r}.", f"It must be {', '.join(DTYPES)}.")
    target = device_named(device)
    if parsed.source == "reference" and parsed.of is not None and parsed.which is not None:
        base = load(parsed.of.text, kind=kind, device=device, dtype=dtype)
        return make_reference(base, parsed.which)
    place = place_of(parsed)
    model = load_folder(place.folder, parsed.text, kind=kind, dtype=dtype)
    model.provenance = {**place.provenance, **model.provenance}
    model.network.to(device=target)  # type: ignore[call-arg]
    return model


def kind_of(reference: str | Path) -> Kind:
    """The kind that `load` would give `reference`, from its config alone. Raises as `load` does."""
    parsed = parse_reference(reference)
    while parsed.of is not None:
        parsed = parsed.of
    known = _known_kind(parsed)
    if known is not None:
        return known
    folder = config_place_of(parsed).folder
    return kind_of_config(read_config(folder), parsed.text)


def prepare_builtin(name: str) -> Path:
    """The folder of the built-in model `name`, converted now if it comes as GGUF, so that no later use has to wait.

    Raises AssetError if it is not on this machine, UnknownName if there is none of this name.
    """
    return place_of(parse_reference(f"builtin:{name}")).folder


def load_folder(folder: Path, reference: str, *, kind: Kind | None = None, dtype: str = "float32") -> Model:
    """The model in `folder` on the CPU; `reference` is what messages and the model call it.

    Of a folder that `checkpoint.save` wrote, the weights are proved against the recorded id before anything else.
    """
    config = read_config(folder)
    record = read_record(folder)
    stored = stored_names(folder)
    wanted = _fitting_kind(config, kind, reference)
    precision = record.dtype if record is not None and wanted == record.kind else dtype
    if record is not None and wanted != record.kind:
        _prove(_network(folder, record.kind, record.dtype, stored)[0], record, folder)
    network, absent, ignored = _network(folder, wanted, precision, stored)
    provenance: dict[str, Any] = {"steps": []}
    if record is not None:
        if wanted == record.kind:
            _prove(network, record, folder)
        provenance = dict(record.provenance)
    if precision != dtype:
        network = network.to(dtype=_dtype(dtype))  # type: ignore[call-arg]
    tokenizer = _tokenizer(folder, network)
    return Model(network.eval(), tokenizer, wanted, reference, provenance, absent, ignored)


def _known_kind(parsed: Reference) -> Kind | None:
    if parsed.source == "gguf":
        return "causal"
    if parsed.source == "builtin":
        return model_entry(parsed.name).model_kind  # type: ignore[return-value]
    return None


def _fitting_kind(config: dict[str, Any], kind: Kind | None, reference: str) -> Kind:
    if kind is not None and not config.get("architectures"):
        return kind
    own = kind_of_config(config, reference)
    if kind in (None, own, "encoder"):
        return kind or own
    named = ", ".join(config["architectures"])
    raise ModelError(
        f"{reference} is a {own} model ({named}) and can't be loaded as {kind}.",
        f"Ask for measures and tasks of {own} models, or choose a {kind} model.",
    )


def _network(
    folder: Path, kind: Kind, dtype: str, stored: set[str]
) -> tuple[PreTrainedModel, tuple[str, ...], tuple[str, ...]]:
    """The network, the heads it is built without, and the stored weights it has no place for."""
    import transformers
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    quantised = quantisation_of(read_config(folder), folder)
    automatic: Any = {
        "causal": transformers.AutoModelForCausalLM,
        "masked": transformers.AutoModelForMaskedLM,
        "encoder": transformers.AutoModel,
        "pair_classifier": transformers.AutoModelForSequenceClassification,
        "pair_regressor": transformers.AutoModelForSequenceClassification,
    }[kind]
    try:
        with quiet_transformers():
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            absent = _unbuilt(automatic, config, stored) if kind == "encoder" else ()
            network, info = slimmed_loader(automatic, config).from_pretrained(
                folder,
                config=config,
                dtype=_dtype(dtype),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # reported in info, and refused below with their names
                output_loading_info=True,
                **({"add_pooling_layer": False} if absent else {}),
            )
    except (
        *(OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError, AttributeError),
        *(SafetensorError, StrictDataclassError),
    ) as e:
        first = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
        if quantised is not None:
            raise quantised_problem(folder, quantised, kind, e, first) from e
        raise ModelError(f"{folder} can't be loaded as {kind}: {first}", "Check the config and the kind.") from e
    return plain_class(network), absent, _checked(network, info, folder)


def _unbuilt(automatic: Any, config: Any, stored: set[str]) -> tuple[str, ...]:
    """An encoder's pooler is left out where the files have none; it would be random, and no vector comes from it."""
    network_class = automatic._model_mapping[type(config)]
    if not inspect.isclass(network_class):
        return ()
    can_do_without = "add_pooling_layer" in inspect.signature(network_class.__init__).parameters
    has_one = any("pooler" in name.split(".") for name in stored)
    return ("pooler",) if can_do_without and not has_one else ()


def _checked(network: PreTrainedModel, info: dict[str, Any], folder: Path) -> tuple[str, ...]:
    """The left-over weights of other heads. Raises ModelError for every other way in which files and network differ."""
    base = network.base_model_prefix
    unexpected = sorted(info["unexpected_keys"])
    ignored = [name for name in unexpected if _of_a_head(name, base)]
    problems = [
        ("missing from the files", sorted(info["missing_keys"])),
        ("without a place in the network", [name for name in unexpected if name not in ignored]),
        (
            "of the wrong shape",
            sorted(f"{name} (file {tuple(a)}, network {tuple(b)})" for name, a, b in info["mismatched_keys"]),
        ),
        ("without data", sorted(name for name, p in network.named_parameters() if p.is_meta)),
    ]
    found = [f"{len(names)} weights {what}: {_first(names)}" for what, names in problems if names]
    if found or info["error_msgs"]:
        raise ModelError(
            f"{folder} does not fit a {type(network).__name__}. {'. '.join([*found, *info['error_msgs']])}.",
            "What it lacks would be random. Check model_type and sizes in config.json, and the kind.",
        )
    return tuple(ignored)


def _of_a_head(name: str, base: str) -> bool:
    parts = name.removeprefix(f"{base}.").split(".")
    return parts[0] in HEADS


def _first(names: Iterable[str], n: int = 8) -> str:
    names = list(names)
    more = f", … and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more


def _prove(network: PreTrainedModel, record: Record, folder: Path) -> None:
    found = fingerprint(network)
    if found != record.id:
        raise ModelError(
            f"{folder} holds weights with id {found}, but its fairsqueeze.json says {record.id}.",
            "The weights or the config were changed after it was written; delete fairsqueeze.json to use them anyway.",
        )


def _tokenizer(folder: Path, network: PreTrainedModel) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    if not any(next(folder.glob(pattern), None) for pattern in _TOKENIZER_FILES):
        raise ModelError(
            f"{folder} has no tokeniser.", "Copy the tokeniser's files (tokenizer.json, …) beside the weights."
        )
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # The tokenizers library raises bare Exception for a damaged file.
    except Exception as e:
        raise ModelError(f"The tokeniser in {folder} can't be loaded: {e}", "Restore its files.") from e
    rows = weight_of(network.get_input_embeddings()).shape[0]
    if tokenizer.vocab_size > rows:
        raise ModelError(
            f"The tokeniser in {folder} has {tokenizer.vocab_size} tokens, the network only {rows}.",
            "It belongs to another model.",
        )
    return tokenizer


def device_named(name: str) -> torch.device:
    """The device of this name (`cpu`, `cuda:1`, …). Raises BadSetting if there is none, or torch can't use it here."""
    import torch

    try:
        device = torch.device(name)
        if device.type == "meta":
            raise RuntimeError("it holds no numbers")
    except RuntimeError as problem:
        raise BadSetting(
            f"device is {name!r}.", "It must be cpu, cuda, cuda:N or another device of torch."
        ) from problem
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadSetting(f"device is {name!r}, but torch finds no GPU here.", "Use cpu, or see: fairsqueeze doctor")
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as problem:  # AssertionError: torch was built without it
        first = str(problem).partition("\n")[0]
        raise BadSetting(
            f"device is {name!r}, which torch can't use here: {first}", "Use cpu, or see: fairsqueeze doctor"
        ) from problem
    return device


def _dtype(name: str) -> torch.dtype:
    import torch

    return getattr(torch, name)
