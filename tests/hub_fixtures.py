"""A Hub for a test, with huggingface_hub of this process and of those it starts turned to it."""

import importlib
import sys
import time
from contextlib import contextmanager

import pytest

from hub_server import HubServer

TOKEN = "hf_" + "a" * 34
BOBS_TOKEN = "hf_" + "b" * 34
# What would lead to another Hub, cache or token.
FOREIGN = [
    "HUGGING_FACE_HUB_TOKEN",
    "HUGGINGFACE_HUB_CACHE",
    "HUGGINGFACE_ASSETS_CACHE",
    "HUGGINGFACE_CO_STAGING",
    "TRANSFORMERS_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "HF_OIDC_RESOURCE",
    "HF_DEBUG",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_HUB_ETAG_TIMEOUT",
    "HF_HUB_DOWNLOAD_TIMEOUT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
]


def environment(url, home):
    """Return the variables that turn a process to a Hub at `url`, with all it keeps below `home`."""
    return {
        "HF_ENDPOINT": url,
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_ASSETS_CACHE": str(home / "assets"),
        "HF_XET_CACHE": str(home / "xet"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_DATASETS_CACHE": str(home / "datasets"),
        "HF_MODULES_CACHE": str(home / "modules"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        # datasets would count a load at a server of its own.
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


class Waits:
    """The `time` of huggingface_hub: notes every wait that it asks for, and makes it short."""

    def __init__(self, noted):
        self.noted = noted

    def __getattr__(self, name):
        return getattr(time, name)

    def sleep(self, seconds):
        self.noted.append(seconds)
        time.sleep(min(seconds, 0.02))


def reread_environment():
    """Let what is read once, at import, be read again; drop connections and listings of another Hub."""
    from huggingface_hub import constants, hf_api, hf_file_system
    from huggingface_hub.utils import _cache_assets, _detect_agent, _hf_uris, _http

    _http.close_session()
    importlib.reload(constants)
    if "datasets.config" in sys.modules:
        importlib.reload(sys.modules["datasets.config"])
    _http._HUB_ORIGINS = frozenset(
        _http._url_origin(each)
        for each in (
            constants._HF_DEFAULT_ENDPOINT,
            constants._HF_DEFAULT_STAGING_ENDPOINT,
            constants.ENDPOINT,
            "https://hf.co",
        )
    )
    _cache_assets.HF_ASSETS_CACHE = constants.HF_ASSETS_CACHE
    bars = importlib.import_module("huggingface_hub.utils.tqdm")
    bars.HF_HUB_DISABLE_PROGRESS_BARS = constants.HF_HUB_DISABLE_PROGRESS_BARS
    _hf_uris.parse_hf_uri.cache_clear()
    _detect_agent._registry = None
    hf_api.api.endpoint = constants.ENDPOINT
    hf_api.api._whoami_cache.clear()
    hf_file_system.HfFileSystem.clear_instance_cache()
    hf_file_system.hffs.__init__()
    hf_file_system.hffs.invalidate_cache()


@contextmanager
def turned_to(server, home, monkeypatch):
    """Turn this process and those it starts to a Hub; at the end undo all changes of `monkeypatch`."""
    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(server.url, home).items():
        monkeypatch.setenv(name, value)
    reread_environment()
    server.waits = []
    for module in (_http, file_download):
        monkeypatch.setattr(module, "time", Waits(server.waits))
    try:
        yield server
    finally:
        # Now, not after the test's own fixtures: what is read again must not be this Hub's.
        monkeypatch.undo()
        reread_environment()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub with ann of the organisation lab, whose token is set, and bob; `hub.waits` lists the client's waits.

    At its end all changes of the test's `monkeypatch` are undone.
    """
    pytest.importorskip("huggingface_hub")
    with HubServer() as server, turned_to(server, tmp_path / "huggingface", monkeypatch):
        server.add_user("ann", TOKEN, orgs=("lab",))
        server.add_user("bob", BOBS_TOKEN)
        yield server
    assert not server.errors, server.errors
