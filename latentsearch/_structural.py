"""``isinstance`` of a protocol by what an object answers to, the same on every Python and quick.

Since Python 3.12 runtime protocols look with ``inspect.getattr_static``, which sees neither the buffers nor the
submodules of an ``nn.Module``: a model whose codebook is a buffer would be none. Before, they gathered a protocol's
members anew at each call, of which a search makes thousands.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Protocol

from typing_extensions import get_protocol_members

if TYPE_CHECKING:
    from abc import ABCMeta as _ProtocolMeta
else:
    _ProtocolMeta = type(Protocol)


class Structural(_ProtocolMeta):
    """The metaclass of protocols that are looked for at run time."""

    def __instancecheck__(cls, instance: object) -> bool:
        if not getattr(cls, "_is_protocol", False):
            return super().__instancecheck__(instance)
        return cls in type(instance).__mro__ or all(_has(instance, name) for name in _members(cls))


def lacking(thing: object, protocol: type) -> list[str]:
    """The members of a protocol that an object has not."""
    return [name for name in _members(protocol) if not _has(thing, name)]


@cache
def _members(protocol: type) -> tuple[str, ...]:
    return tuple(sorted(get_protocol_members(protocol)))


def _has(thing: object, name: str) -> bool:
    # A property counts without being worked out, and None in the place of a method says that there is none.
    return (
        isinstance(getattr(type(thing), name, None), (property, cached_property))
        or getattr(thing, name, None) is not None
    )
