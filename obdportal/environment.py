"""Where settings come from: the environment, then the .env file.

Apart from settings.py because the embedded database must be up before Django reads its settings.
"""

import os
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
environ.Env.read_env(os.environ.get("ENV_FILE", BASE_DIR / ".env"))


def data_dir() -> Path:
    """Return the folder for everything that the portal keeps: database, media, secret key. It may not exist yet."""
    # Joining with an absolute path gives that path, so both relative and absolute ones work from any folder.
    return (BASE_DIR / Path(env.str("DATA_DIR", default="var")).expanduser()).resolve()
