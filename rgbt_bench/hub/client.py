"""Speaking to the Hugging Face Hub: one client of theirs, patient with a busy server, whose failures are sentences.

Who the user is stays with `huggingface_hub`: its login or HF_TOKEN. No token passes through code of ours.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from rgbt_bench.errors import BadInputError, BenchError, HubError, MissingError

from .names import HubName, Kind

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_T = TypeVar("_T")
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"
_AGAIN = "the same command goes on where it stopped"
_BUSY = frozenset({429, 500, 502, 503, 504})
_WAITS_S = (1.0, 2.0, 4.0, 8.0, 8.0)
_LONGEST_WAIT_S = 300.0
# Addresses of stored files are signed, and whoever has one may use it.
_SIGNED = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")
_TOKEN = re.compile(r"\bhf_\w+|(?<=Bearer )\S+")
_LOGGERS = frozenset({"huggingface_hub", "httpx", "httpx2", "httpcore"})
_log = logging.getLogger(__name__)


def client() -> HfApi:
    """Return a client that acts as the user who is logged in."""
    from huggingface_hub import HfApi

    return HfApi(library_name="rgbt-bench")


@contextmanager
def speaking(name: HubName, kind: Kind = "dataset") -> Iterator[None]:
    """Turn whatever the Hub and the way there can answer into one error of ours, about a repository.

    Raises:
        MissingError: there is no such repository, revision or file for this user, or nobody is logged in.
        HubError: the Hub refused, or could not be reached.
    """
    import huggingface_hub.errors as theirs
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    _be_discreet()
    try:
        yield
    except theirs.LocalTokenNotFoundError:
        raise MissingError(f"{name}: nobody is logged in to the Hub; {_LOGIN}") from None
    except theirs.OfflineModeIsEnabled:
        raise MissingError(f"{name}: HF_HUB_OFFLINE is set, so the Hub is not asked; unset it") from None
    except theirs.GatedRepoError:
        page = f"{'datasets/' if kind == 'dataset' else ''}{name.repo_id}"
        raise MissingError(
            f"{name}: its owner asks for consent first; log in, and give it on the page {page} of the Hub"
        ) from None
    except theirs.RevisionNotFoundError:
        raise MissingError(f"{name}: the {kind} repository has no revision {name.revision or 'main'!r}") from None
    except theirs.HfHubHTTPError as error:
        raise _refused(error, name, kind) from None
    except theirs.LocalEntryNotFoundError as error:
        raise HubError(f"{name}: the Hub cannot be reached ({_reason(error)}); {_AGAIN}") from None
    except theirs.EntryNotFoundError as error:
        raise MissingError(f"{name}: {_reason(error)}") from None
    except HTTPError as error:
        raise HubError(f"{name}: the Hub cannot be reached ({_reason(error)}); {_AGAIN}") from None


def status_of(error: Exception) -> int | None:
    """Return the HTTP status that an error of the Hub's client came from, or None where no answer came."""
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def is_passing(error: Exception) -> bool:
    """Tell whether an error may be gone in a moment: a busy or failing server, or a broken connection."""
    status = status_of(error)
    return status in _BUSY if status is not None else True


def patiently(call: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
    """Return what an idempotent call returns, made again while the Hub is busy or out of reach.

    Raises:
        Exception: what the call raises, once waiting did not help.
    """
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    for wait in _WAITS_S:
        try:
            return call(*arguments, **options)
        except HTTPError as error:
            if not is_passing(error):
                raise
            pause(error, wait)
    return call(*arguments, **options)


def pause(error: Exception, wait: float) -> None:
    """Wait before a call is made again: as long as the Hub asks for, else `wait` seconds."""
    asked = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "")
    seconds = min(float(asked), _LONGEST_WAIT_S) if re.fullmatch(r"\d+", asked) else wait
    _log.warning("the Hub is busy or out of reach (%s); trying again in %.0f s", _reason(error), seconds)
    time.sleep(seconds)


def _refused(error: Any, name: HubName, kind: Kind) -> BenchError:
    """Return our error for an answer of the Hub with a status of failure."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    status = status_of(error)
    if isinstance(error, RemoteEntryNotFoundError):
        return MissingError(f"{name}: the {kind} repository has no such file: {_path_of(error)}")
    if status == 401:
        return MissingError(f"{name}: the Hub does not know this user: no token, or a wrong or expired one; {_LOGIN}")
    if status == 403:
        return HubError(
            f"{name}: the Hub does not allow that to the user who is logged in: the repository is somebody else's, or"
            f" the token may only read ({_reason(error)})"
        )
    if status == 404:
        return MissingError(
            f"{name}: there is no such {kind} repository, or it is private and not shared with the user who is logged"
            f" in; check the name, or {_LOGIN}"
        )
    if status in _BUSY:
        return HubError(f"{name}: the Hub is busy ({_reason(error)}); {_AGAIN}")
    if status == 400:
        return BadInputError(f"{name}: the Hub does not take that: {_reason(error)}")
    return HubError(f"{name}: the Hub refused ({_reason(error)})")


def _path_of(error: Any) -> str:
    return str(error.response.url.path).partition("/resolve/")[2].partition("/")[2] or "?"


def _reason(error: Exception) -> str:
    """Return what an error says, in one line, without signed addresses and tokens."""
    status = status_of(error)
    told = getattr(error, "server_message", None) or (f"HTTP {status}" if status else str(error))
    text = " ".join(_hide(told).split())[:300] or type(error).__name__
    return f"HTTP {status}: {text}" if status and f"{status}" not in text else text


def _hide(text: str) -> str:
    return _TOKEN.sub("***", _SIGNED.sub(r"\1", text))


class _Hiding(logging.Filter):
    """Keeps signed addresses and tokens out of what the Hub's client logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] in _LOGGERS:
            record.msg, record.args = _hide(record.getMessage()), ()
        return True


_hiding = _Hiding()


def _be_discreet() -> None:
    """Let what the Hub's client logs be seen without secrets, from now on: threads speak to it at once."""
    for handler in [*logging.getLogger("huggingface_hub").handlers, *logging.getLogger().handlers]:
        handler.addFilter(_hiding)
