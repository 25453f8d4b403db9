"""One search after another, and the rules of its stages."""

from latentsearch.searchers.stages.stage import Stage
from latentsearch.searchers.stages.then import Then

__all__ = ["Stage", "Then"]
