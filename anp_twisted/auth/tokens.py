"""
The receivers' token in a file: made once, readable by its owner only.

A gateway that is started without any credential makes C{receiver.token} in its
state folder; a receiver in the same folder finds it there.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol

from anp_twisted.auth.bearer import LONGEST_TOKEN, is_token
from anp_twisted.errors import CredentialError

TOKEN_FILE: Final = "receiver.token"
"""Its name in the state folder."""

MANAGEMENT_FILE: Final = "management.token"
"""The name of the token that the management interface asks for."""


class TokenSource(Protocol):
    """Where a token comes from, each time one is needed."""

    def read(self) -> str:
        """
        @raise CredentialError: there is none, or it is not safe to use.
        """


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A token that was given as itself, in a variable or in the settings file."""

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        """
        @raise CredentialError: it cannot be sent in a header field.
        """
        if not is_token(self.token):
            raise CredentialError("the token has characters that a token cannot have, or is too long")

    def read(self) -> str:
        """
        @return: the token.
        """
        return self.token


@dataclass(frozen=True, slots=True)
class FileToken:
    """
    A token in a file that is read again each time, so that a new one is taken up without a restart.

    @ivar path: the file.
    """

    path: str

    def read(self) -> str:
        """
        @return: the token.
        @raise CredentialError: see L{read_token}.
        """
        return read_token(self.path)


def token_path(state_dir: str, name: str = TOKEN_FILE) -> str:
    """
    @param name: of the file.
    @return: where the token of this state folder is.
    """
    return os.path.join(state_dir, name)


def source_of(*, token: str | None, token_file: str | None, state_dir: str) -> TokenSource:
    """
    @param token: the setting of that name.
    @param token_file: the setting of that name.
    @param state_dir: where the token is when both are missing.
    @return: where to read the token; nothing is read yet.
    @raise CredentialError: C{token} is none that can be sent.
    """
    if token is not None:
        return FixedToken(token)
    return FileToken(token_file if token_file is not None else token_path(state_dir))


def read_token(path: str) -> str:
    """
    @param path: the file; the token alone is in it, a line end may follow.
    @return: the token.
    @raise CredentialError: it is missing, unreadable, others may read it, or what is in it is no token.
    """
    text = _read_private(path, "the token")
    if not is_token(text):
        raise CredentialError(f"{path} does not hold a token alone")
    return text


def read_secret(*, secret: str | None, file: str | None) -> str:
    """
    @param secret: the setting C{shared_secret}.
    @param file: the setting C{shared_secret_file}; one of the two is given.
    @return: the secret; a line end in the file is no part of it.
    @raise CredentialError: the file is missing, unreadable, or others may read it.
    """
    assert secret is not None or file is not None
    return secret if secret is not None else _read_private(str(file), "the secret")


def _read_private(path: str, what: str) -> str:
    """
    @param what: is in the file, for errors.
    @raise CredentialError: it cannot be read, or others may read it.
    """
    try:
        # Without O_NONBLOCK a named pipe in this place would hold the whole process.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise CredentialError(f"cannot read {what} in {path}: {error.strerror}") from None
    try:
        _check_mode(path, os.fstat(descriptor), what)
        # One read is enough: a file of this size comes whole.
        data = os.read(descriptor, LONGEST_TOKEN + 2)
    finally:
        os.close(descriptor)
    return data.decode("ascii", "replace").strip()


def _check_mode(path: str, found: os.stat_result, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise CredentialError(f"{path} is not a file")
    if found.st_mode & 0o077:
        raise CredentialError(f"others can read {what} in {path}: chmod 600 {path}")


def new_token() -> str:
    """
    @return: 256 random bits as 43 characters.
    """
    return secrets.token_urlsafe(32)


def create_or_read(state_dir: str, make: Callable[[], str] = new_token, *, name: str = TOKEN_FILE) -> tuple[str, bool]:
    """
    Read the token of this state folder, and make folder and token when they are not there.

    Of several processes that do this at once, one makes the token and all return it.

    @param state_dir: the folder.
    @param make: makes a token.
    @param name: of the file.
    @return: the token, and whether it was made now.
    @raise CredentialError: the folder or file cannot be made, or is not safe to use.
    """
    path = token_path(state_dir, name)
    make_folder(state_dir)
    try:
        made = not os.path.lexists(path) and _publish(path, make())
    except OSError as error:
        _unmakeable(state_dir, error)
    return read_token(path), made


def make_folder(state_dir: str) -> None:
    """
    Make a state folder, with mode 0700, where there is none.

    @raise CredentialError: it cannot be made, or others can write into it.
    """
    try:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        _check_folder(state_dir)
    except OSError as error:
        _unmakeable(state_dir, error)


def write_token(path: str, token: str) -> None:
    """
    Put a token into a file of its own, which its owner alone can read.

    @raise CredentialError: there is a file already, or none can be made.
    """
    try:
        written = _publish(path, token)
    except OSError as error:
        raise CredentialError(f"cannot write {path}: {error.strerror}") from None
    if not written:
        raise CredentialError(f"{path} is there already")


def read_or_make(*, token: str | None, token_file: str | None, state_dir: str) -> tuple[str, str]:
    """
    Find the token of a gateway, or make one where the settings say nothing of it.

    @param token: the setting of that name.
    @param token_file: the setting of that name.
    @param state_dir: where the token is, or is made, when both are missing.
    @return: the token, and a line for the operator that says where it is.
    @raise CredentialError: it is not safe to use, or cannot be made.
    """
    if token is not None or token_file is not None:
        source = source_of(token=token, token_file=token_file, state_dir=state_dir)
        return source.read(), f"receivers need the token in {token_file or 'the settings'}"
    found, made = create_or_read(state_dir)
    verb = "was made, it is in" if made else "is in"
    return found, f"the token for receivers {verb} {token_path(state_dir)}"


def _check_folder(state_dir: str) -> None:
    """Who may write into the folder may put another token there, whatever the mode of the file."""
    if os.stat(state_dir).st_mode & 0o022:
        raise CredentialError(f"others can write into {state_dir}: chmod 700 {state_dir}")


def _publish(path: str, token: str) -> bool:
    """
    Give the file its name when it is whole: a reader never sees half a token.

    @return: whether this process did it; another may have been faster.
    """
    # os.replace() would be as atomic, but the last of two processes would win, after the first had read its own.
    draft = f"{path}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(token.encode("ascii") + b"\n")
            file.flush()
            os.fsync(descriptor)
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(draft)
    return True


def _unmakeable(state_dir: str, error: OSError) -> NoReturn:
    raise CredentialError(f"cannot keep a token in {state_dir}: {error.strerror}") from None
