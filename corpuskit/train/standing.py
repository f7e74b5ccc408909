"""Whether what is to be trained stands already: so the same command again does nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpuskit import files
from corpuskit.errors import TargetError

__all__ = ["FIX", "standing"]

FIX = "choose another folder, or replace it with --force"


def standing(
    folder: str, description: str, what: str, asked: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Return what a folder's description tells, if it was trained as `asked`; null where nothing is there.

    Args:
        folder: The folder that is to be written.
        description: The JSON file in it.
        what: What the folder holds, as an error names it.
        asked: What must be told of it.
        names: How an error calls what differs, where that is not its key.

    Raises:
        TargetError: The folder holds something else, or what was trained otherwise.
    """
    try:
        told = json.loads(files.read_bytes(files.join(folder, description)))
    except NotADirectoryError:
        raise TargetError(f"the target {folder!r} is a file", fix="choose another") from None
    except FileNotFoundError:
        if not files.is_url(folder) and Path(folder).is_dir() and any(Path(folder).iterdir()):
            raise TargetError(f"{folder} holds something that is no {what}", fix=FIX) from None
        return None
    except ValueError:
        raise TargetError(f"{folder}/{description} is damaged", fix=FIX) from None
    for key, value in asked.items():
        if not isinstance(told, dict) or told.get(key) != value:
            raise TargetError(f"{folder} was trained with other {(names or {}).get(key, key)}", fix=FIX)
    return dict(told)
