"""One search after another, and the rules of its stages."""

from latentsearch.searchers.stages.stages import Afresh, Further, Uncertified
from latentsearch.searchers.stages.then import Then

__all__ = ["Afresh", "Further", "Then", "Uncertified"]
