"""Who asks: every method that shows or changes something of somebody takes a principal."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from core.errors import AdminsOnly, ReadOnly

PAGES = "pages"
"""The owner of what came through the pages while nobody signed in, and of what all people here share."""
LINK = "link-"
"""So the owners begin who are visitors with a link."""
PERSON = "person-"
"""So the owners begin who are people that sign in."""


class Door(StrEnum):
    """By which way somebody came."""

    PAGES = "pages"
    API = "api"
    SYSTEM = "system"
    """Nobody came: it was done by itself, or by a command on the machine."""


class Role(StrEnum):
    """What a person may do here, from the most to the least."""

    ADMIN = "admin"
    """Everything: keys, settings, money, work of others."""
    MEMBER = "member"
    """Bring recordings, and change their own and what others let them change."""
    READER = "reader"
    """See what others let them see."""


@dataclass(frozen=True)
class Principal:
    """Who asks: sees their own, or everything if admin."""

    owner: str
    admin: bool = False
    language: str = "en"
    read_only: bool = False
    """Sees what is theirs and changes nothing of it."""
    name: str = ""
    """Of the person, where the owner is more than one."""
    session: str = ""
    """Of their sign-in: what was given out for it ends with it."""
    only: str = ""
    """The one recording that they may see, where they come by a link."""
    moment: str = ""
    """The one kept moment, where the link is to that."""
    groups: tuple[str, ...] = ()
    """Theirs, in small letters, with which recordings may be shared."""
    door: Door = Door.PAGES
    key: str = field(default="", compare=False)
    """The id of the key that they came with."""

    @property
    def actor(self) -> str:
        """Who acts, as the audit trail names them: a key by id, a person by name, the pages, the system."""
        return self.key or self.name or self.owner

    @property
    def is_person(self) -> bool:
        """Whether somebody on the pages asks, or a key of theirs; no program with a key of its own."""
        return is_person(self.owner)

    @property
    def common(self) -> str:
        """The owner of what they have in common with all people here; of a program its own."""
        return PAGES if self.is_person else self.owner

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose things are theirs: their own, and what all people here have in common."""
        return tuple(dict.fromkeys((self.owner, self.common)))

    @property
    def may_administer(self) -> bool:
        """Whether they may change what concerns all: keys, providers, money, the work of others."""
        return self.admin and not self.read_only

    def must_write(self) -> None:
        """Raises ReadOnly for those who may only look."""
        if self.read_only:
            raise ReadOnly

    def must_administer(self) -> None:
        """Raises AdminsOnly for those who may not change what concerns all."""
        if not self.may_administer:
            raise AdminsOnly


def is_person(owner: str) -> bool:
    """Whether this owner is people: one of them, or all together."""
    return owner == PAGES or owner.startswith(PERSON)


EVERYONE = Principal(PAGES, admin=True)
"""Where nobody signs in, whoever reaches the pages acts as admin."""

SYSTEM = Principal("system", admin=True, door=Door.SYSTEM)
"""What this installation does by itself, and who has a shell on its machine."""
