"""Who the workers are: user and group, given up by each worker before it loads the application.

Nothing here is tried and forgotten: a worker that cannot become who it should be does not start.
"""

from __future__ import annotations

import contextlib
import os
import pwd

from fastwsgi.config.settings import Settings
from fastwsgi.errors import BootError


def drop(settings: Settings) -> None:
    """Become the user and the group of `settings`, for good. Raises BootError.

    The kernel forgets PR_SET_PDEATHSIG by this. The groups of whoever started the server are not
    kept: there are the group alone, or with `initgroups` those of the user.
    """
    user, group = settings.user, settings.group
    if not changes(settings):
        return
    try:
        if user != os.geteuid() or settings.initgroups:
            set_groups(settings)
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    except OSError as error:
        raise BootError(
            f"a worker cannot become the user {user} and the group {group}: {error.strerror};"
            " only root may change them, by --user and --group"
        ) from None
    if os.getresuid() != (user,) * 3 or os.getresgid() != (group,) * 3 or can_return(user):
        raise BootError(f"a worker became the user {user}, and could become root again")


def changes(settings: Settings) -> bool:
    """Whether the workers are others than the master."""
    present = (os.geteuid(), os.getegid())
    return (settings.user, settings.group) != present or settings.initgroups


def set_groups(settings: Settings) -> None:
    """Set the supplementary groups. Raises OSError, and BootError for a user without a name."""
    if not settings.initgroups:
        os.setgroups([settings.group])
        return
    try:
        name = pwd.getpwuid(settings.user).pw_name
    except KeyError:
        raise BootError(
            f"the groups of the user {settings.user} are not known, as it has no name;"
            " leave --initgroups out"
        ) from None
    os.initgroups(name, settings.group)


def can_return(user: int) -> bool:
    """Whether root is within reach of a process that is to be `user`."""
    if user == 0:
        return False
    with contextlib.suppress(PermissionError):
        os.setuid(0)
        return True
    return False


def give(file: int | str, settings: Settings) -> None:
    """Let a file, which the master made, belong to the workers, so that they can open it anew.

    Where it may not be given, as /dev/null, it stays whose it is.
    """
    if changes(settings):
        with contextlib.suppress(OSError):
            os.chown(file, settings.user, settings.group)
