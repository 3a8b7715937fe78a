"""Footprint: what a model costs, counted on the weights that are in memory: parameters, zeros, bytes, operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fairsqueeze.compress.encoding import dense_bytes, packed_bytes, sparse_bytes, zstd_bytes
from fairsqueeze.compress.flops import flops_per_token
from fairsqueeze.compress.layers import LAYER_TYPES, typed_parameters
from fairsqueeze.models.anatomy import weight_matrices
from fairsqueeze.models.model import Model
from fairsqueeze.models.packed import floats_of, inner_tensors, uncountable

NOTE = (
    "Zeros scattered over a matrix save neither time nor memory by themselves: they are stored and multiplied like any "
    "other number. bytes_sparse, bytes_zstd and skipping_zeros say what a format or kernel that leaves them out could "
    "save."
)


def footprint(model: Model) -> dict[str, Any]:
    """Counts of everything that `model` costs except time, JSON-ready; for time see `measure_latency`.

    Returns:
        `parameters`, `nonzeros`, `zeros`, `sparsity` (share of zeros) of the whole model, tied weights once;
        `linear`: the same of the linear layers' weights (sparsity null if there are none);
        `layers`: the same by layer type (embedding, attention, feed_forward, norm, head, other), where present;
        `dtype`: of most parameters, and `dtypes`: parameters by type (of packed weights that of their codes);
        `bytes_dense`: tensors as saved in safetensors, without its header of a few kB; of packed weights their codes
            and scales;
        `bytes_sparse`: each tensor as bitmap and non-zero values, or dense where that is less or weights are packed;
        `bytes_zstd`: of the dense bytes, level 3;
        `bits_per_weight`: each of the three × 8 / parameters;
        `flops_per_token`: `dense`, and `skipping_zeros` if zeros cost nothing (see `flops_per_token`);
        `note`: what the numbers don't say.

    Of weights that are packed in a way not known here (4 bits of bitsandbytes, GPTQ, AWQ) only `bytes_dense`,
    `bytes_zstd` and `dtypes` (of the numbers held) are counted; all else is null, and `note` says why.

    Memory: one layer's worth beside the model.
    """
    network = model.network
    unknown = uncountable(network)
    if unknown is not None:
        return _bytes_alone(network, unknown)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in LAYER_TYPES}
    types: Counter[str] = Counter()
    nonzeros: dict[int, int] = {}
    dense = sparse = 0
    for _, parameter, kind in typed_parameters(network):
        left = int(torch.count_nonzero(floats_of(parameter)))
        nonzeros[id(parameter)] = left
        counts[kind].update(parameters=parameter.numel(), nonzeros=left)
        inner = inner_tensors(parameter)
        types[str(inner[0].dtype).removeprefix("torch.")] += parameter.numel()
        dense += packed_bytes(parameter)
        sparse += sparse_bytes(parameter, left) if len(inner) == 1 else packed_bytes(parameter)
    for buffer in _saved_buffers(network):
        dense += dense_bytes(buffer)
        sparse += dense_bytes(buffer)
    whole: Counter[str] = sum(counts.values(), Counter())
    sizes = {"bytes_dense": dense, "bytes_sparse": sparse, "bytes_zstd": zstd_bytes(_saved(network))}
    flops = flops_per_token(network, nonzeros)
    return {
        **_shares(whole),
        "linear": _shares(_linear_counts(network, nonzeros)),
        "layers": {kind: _shares(count) for kind, count in counts.items() if count["parameters"]},
        "dtype": types.most_common(1)[0][0],
        "dtypes": dict(types),
        **sizes,
        "bits_per_weight": {
            name.removeprefix("bytes_"): 8 * size / whole["parameters"] for name, size in sizes.items()
        },
        "flops_per_token": {"dense": flops.dense, "skipping_zeros": flops.skipping_zeros},
        "note": NOTE,
    }


def _bytes_alone(network: Any, unknown: str) -> dict[str, Any]:
    """The footprint of a network whose weights can't be told from the numbers that hold them."""
    types: Counter[str] = Counter()
    for tensor in _saved(network):
        types[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
    nothing = dict.fromkeys(("parameters", "nonzeros", "zeros", "sparsity"))
    return {
        **nothing,
        "linear": nothing,
        "layers": {},
        "dtype": types.most_common(1)[0][0],
        "dtypes": dict(types),
        "bytes_dense": sum(dense_bytes(tensor) for tensor in _saved(network)),
        "bytes_sparse": None,
        "bytes_zstd": zstd_bytes(_saved(network)),
        "bits_per_weight": dict.fromkeys(("dense", "sparse", "zstd")),
        "flops_per_token": dict.fromkeys(("dense", "skipping_zeros")),
        "note": f"{unknown} holds several weights in each number, in a way that is not known here: weights, zeros and "
        "operations are not counted.",
    }


def _linear_counts(network: Any, nonzeros: dict[int, int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for ref in weight_matrices(network, "linear"):
        counts.update(parameters=ref.parameter.numel(), nonzeros=nonzeros[id(ref.parameter)])
    return counts


def _shares(count: Counter[str]) -> dict[str, Any]:
    parameters, nonzeros = count["parameters"], count["nonzeros"]
    zeros = parameters - nonzeros
    return {
        "parameters": parameters,
        "nonzeros": nonzeros,
        "zeros": zeros,
        "sparsity": zeros / parameters if parameters else None,
    }


def _saved_buffers(network: Any) -> Iterator[Tensor]:
    """Buffers that a checkpoint holds."""
    parameters = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    for name, tensor in network.state_dict().items():
        if name not in parameters:
            yield tensor


def _saved(network: Any) -> Iterator[Tensor]:
    """Every tensor that a checkpoint holds, tied ones once, packed ones taken apart."""
    for _, parameter in network.named_parameters():
        yield from inner_tensors(parameter)
    yield from _saved_buffers(network)
