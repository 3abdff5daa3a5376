"""Tensors of a checkpoint from a stranger: nothing in it is run, and no size in it is believed before it is checked."""

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from kubevoice.errors import InputError
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Tensors", "build_network", "count_members", "get_shape", "read_array", "read_tensors"]

LARGEST_ARRAY = 1 << 20
"""Bytes of an .npy file: a speaker's vector has less than a kilobyte."""
Tensors = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


def _load(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size == 0:
            raise InputError(f"{path} is empty; fetch it again")
        zipped = zipfile.is_zipfile(path)
        if zipped:
            with zipfile.ZipFile(path) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > size:
                    raise InputError(f"{path} claims to unpack to more than it holds; it is not a checkpoint of torch")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path} holds more than tensors, or is damaged; it is refused, because loading it could run code"
        ) from None
    except (OSError, ValueError, RuntimeError, EOFError, KeyError, IndexError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{path} is damaged or cut short ({reason}); fetch it again") from None
    except (MemoryError, OverflowError, RecursionError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a checkpoint of torch ({type(error).__name__}); fetch it again") from None


def read_tensors(path: Path, keys: Sequence[str]) -> Tensors:
    """Read the state of a network from a checkpoint that is not trusted. Optimizer states are not read.

    Parameters
    ----------
    path
        The checkpoint.
    keys
        Nested keys of the state, such as ("model", "generator").

    Returns
    -------
    Tensors
        Tensors by name; weights without normalization are split into direction and length.

    Raises
    ------
    InputError
        If the file is damaged, holds more than tensors, or a tensor's data does not fill its shape. It names file and
        key.
    """
    state, where = _load(path), ""
    for key in keys:
        where = f"{where}.{key}".lstrip(".")
        if not isinstance(state, Mapping) or key not in state:
            raise InputError(f"{path}: {where} is missing")
        state = state[key]
    if not isinstance(state, Mapping) or not state:
        raise InputError(f"{path}: {where} holds no tensors")
    tensors: Tensors = {}
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or not value.is_floating_point():
            raise InputError(f"{path}: {where}.{name} is not a tensor of real numbers")
        # A tensor may claim any shape over a few bytes by visiting them again and again.
        if value.numel() == 0 or value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise InputError(f"{path}: {where}.{name} claims a shape {tuple(value.shape)} that its data does not fill")
        tensors[name] = value
    return _split_weight_norm(tensors)


def _split_weight_norm(tensors: Tensors) -> Tensors:
    """Give a plain convolution of a voice without weight normalisation the two parts that our networks have."""
    parts: Tensors = {}
    for name, value in tensors.items():
        owner = name.removesuffix(".weight")
        if owner != name and owner.endswith((".conv1d", ".deconv", "source_module.ffn.0")):
            parts[f"{owner}.weight_v"] = value
            parts[f"{owner}.weight_g"] = value.flatten(1).norm(dim=1).view(-1, 1, 1)
        else:
            parts[name] = value
    return parts


def read_array(path: Path) -> NDArray[np.float32]:
    """Read an .npy file of real numbers.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    NDArray
        At least one finite number, in float32.

    Raises
    ------
    InputError
        If it is anything else.
    """
    try:
        if path.stat().st_size > LARGEST_ARRAY:
            raise InputError(f"{path} is far larger than a vector should be")
        array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False), np.float32)
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, MemoryError, OverflowError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a readable .npy file ({reason})") from None
    if array.size == 0 or not np.isfinite(array).all():
        raise InputError(f"{path} is empty or holds values that are not numbers")
    return array


def get_shape(tensors: Tensors, file: Path, key: str, dimensions: int) -> tuple[int, ...]:
    """Return a tensor's shape.

    Parameters
    ----------
    tensors
        Tensors by name.
    file
        The checkpoint, for messages.
    key
        Name of the tensor.
    dimensions
        How many it has.

    Returns
    -------
    tuple
        The shape.

    Raises
    ------
    InputError
        If the tensor is missing or has another number of dimensions.
    """
    if key not in tensors:
        raise InputError(f"{file}: {key} is missing")
    shape = tuple(tensors[key].shape)
    if len(shape) != dimensions:
        raise InputError(f"{file}: {key} has shape {shape}; {dimensions} dimensions were expected")
    return shape


def count_members(tensors: Tensors, prefix: str) -> int:
    """Count the members of a list of modules, by the numbers in the names of their tensors.

    Parameters
    ----------
    tensors
        Tensors by name.
    prefix
        Name of the list, with a dot at the end.

    Returns
    -------
    int
        Number of different members.
    """
    return len({name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)})


def build_network(
    make: Callable[[], Network], tensors: Tensors, file: Path, *, optional: Sequence[str] = ()
) -> Network:
    """Create a network and load tensors into it.

    Shapes are compared before memory is allocated.

    Parameters
    ----------
    make
        Creates the network.
    tensors
        Tensors by name.
    file
        The checkpoint, for messages.
    optional
        Prefixes of tensors that the network may lack.

    Returns
    -------
    Network
        The network, in evaluation mode.

    Raises
    ------
    InputError
        If a tensor is missing, not expected, of another shape or not finite; it lists all of them.
    """
    with torch.device("meta"):
        expected = make().state_dict()
    problems = [f"{key} is missing" for key in expected if key not in tensors]
    for key, value in tensors.items():
        if key not in expected:
            if not key.startswith(tuple(optional)):
                problems.append(f"{key} has no place in the network")
        elif value.shape != expected[key].shape:
            problems.append(f"{key} has shape {tuple(value.shape)}; {tuple(expected[key].shape)} was expected")
        elif not value.isfinite().all():
            problems.append(f"{key} holds values that are not numbers")
    if problems:
        raise InputError(f"{file} does not fit the network: {problems[0]}", problems)
    network = make()
    network.load_state_dict({key: tensors[key] for key in expected})
    return network.eval()
