"""A finished checkpoint goes to the Hugging Face hub: the model and its card, and nothing that it was trained from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import HfApi

# HTTPError is that of the library which this version of the hub's own talks with.
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from anectl.core.card_facts import FACTS_FILE
from anectl.core.errors import AnectlError
from anectl.core.model_card import CARD_FILE
from anectl.core.prm import LABELS_FILE

# What a model is loaded from, and what tells of it. All else stays here: optimizer state, logs, rejected rows.
PUSHED = (
    *("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "adapter_config.json"),
    *("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json", "chat_template.*"),
    *("tokenizer*", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model"),
    *(CARD_FILE, FACTS_FILE, LABELS_FILE),
)


def pushed_files(folder: Path) -> list[str]:
    """The names of a checkpoint's files that are uploaded; folders inside it never are."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return [name for name in names if any(fnmatch(name, pattern) for pattern in PUSHED)]


def check_access(repo: str, *, public: bool) -> None:
    """Find out now, before hours of training, whether the upload can work.

    Raises AnectlError: no token, no connection, no such name, or a public repository that is not meant to be one.
    """
    with _told(repo):
        api = HfApi()
        api.whoami()
        _refuse_public(api, repo, public=public)


def upload(folder: Path, repo: str, *, public: bool) -> str:
    """Upload the checkpoint in one commit; the repository is made where there is none. Returns its address.

    Raises AnectlError as `check_access`, and when the hub refuses.
    """
    with _told(repo):
        api = HfApi()
        if not _refuse_public(api, repo, public=public):
            api.create_repo(repo, private=not public, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            allow_patterns=pushed_files(folder),
            commit_message=f"Upload {folder.name}",
        )
    return str(commit.commit_url)


def _refuse_public(api: HfApi, repo: str, *, public: bool) -> bool:
    """Whether the repository is there. Raises AnectlError where all can read it and that is not asked for."""
    try:
        found = api.model_info(repo)
    except RepositoryNotFoundError:
        return False
    if not found.private and not public:
        raise AnectlError(f"{repo} is a public repository", hint="--hub-public publishes there; or name another")
    return True


@contextmanager
def _told(repo: str) -> Iterator[None]:
    """Turn what the hub and its library say into the user's error."""
    problem = f"--push-to-hub {repo}: "
    try:
        yield
    except LocalTokenNotFoundError:
        hint = "hf auth login, or set HF_TOKEN to a token that may write"
        raise AnectlError(problem + "no token for the Hugging Face hub", hint=hint) from None
    except OfflineModeIsEnabled:
        raise AnectlError(problem + "the hub is switched off", hint="unset HF_HUB_OFFLINE") from None
    except HFValidationError as error:
        raise AnectlError(problem + _first_line(error), hint="a name is OWNER/MODEL") from None
    except HfHubHTTPError as error:
        hint = "the token must be allowed to write there (https://huggingface.co/settings/tokens)"
        raise AnectlError(problem + _first_line(error), hint=hint) from None
    except (HTTPError, OSError) as error:
        hint = "check the network, and HF_ENDPOINT if it is set"
        raise AnectlError(problem + f"cannot reach the hub: {_first_line(error)}", hint=hint) from None


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
