"""Where the key to people's names lies: the configured file, a systemd credential, or beside the journal."""

import os
from collections.abc import Mapping
from pathlib import Path

from gateway.config import Config
from store import keyring

CREDENTIALS = "CREDENTIALS_DIRECTORY"
CREDENTIAL = "identity-key"


def journal(config: Config) -> Path:
    """Return where the journal lies."""
    return config.state / "journal.db"


def key_file(config: Config, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the key file: `key_file`, else the credential `identity-key`, else the default one."""
    if config.key_file is not None:
        return config.key_file
    credential = Path(environ.get(CREDENTIALS, "")) / CREDENTIAL
    if environ.get(CREDENTIALS) and credential.exists():
        return credential
    return keyring.default_file(journal(config))


def is_credential(path: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Say whether *path* is systemd's copy of a credential, made at the start and never written."""
    folder = environ.get(CREDENTIALS)
    return bool(folder) and path.is_relative_to(Path(folder or ""))
